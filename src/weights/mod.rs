//! Weight files into named tensors.

#[cfg(feature = "train")]
mod dtype;
#[cfg(feature = "train")]
mod safetensors;
mod tensors;

pub use tensors::{NamedTensors, Tensor};

#[cfg(feature = "train")]
pub use limits::{WeightLimits, load};

#[cfg(feature = "train")]
mod limits {
    use super::{NamedTensors, safetensors};
    use crate::error::{Error, Result};
    use std::path::Path;

    /// What a weight file may ask for.
    #[derive(Clone, Copy, Debug)]
    pub struct WeightLimits {
        /// Tensors in the file.
        pub max_tensors: usize,
        /// Values of one tensor.
        pub max_elements: usize,
    }

    impl Default for WeightLimits {
        fn default() -> Self {
            Self { max_tensors: 10_000, max_elements: 1 << 30 }
        }
    }

    impl WeightLimits {
        pub(super) fn elements(&self, shape: &[usize]) -> Result<usize> {
            let count = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
            count.filter(|&n| n <= self.max_elements).ok_or_else(|| {
                Error::limit("shape", format!("{shape:?}"), format!("at most {} values", self.max_elements))
            })
        }
    }

    /// Reads a `.safetensors` file.
    ///
    /// # Errors
    /// The file cannot be read or is no such file.
    pub fn load(path: &Path, limits: &WeightLimits) -> Result<NamedTensors> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
        safetensors::parse(&path.display().to_string(), &bytes, limits)
    }
}
