//! What a weight file may ask for.

use crate::error::{Error, Result};

/// What a weight file may ask for; checked before memory is taken.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WeightLimits {
    /// Bytes of the file.
    pub max_bytes: u64,
    /// Tensors in the file.
    pub max_tensors: usize,
    /// Values of all tensors together. They are never more than the file has bytes, however often it names
    /// the same ones.
    pub max_elements: usize,
}

impl Default for WeightLimits {
    /// 8 GiB, 10,000 tensors, 2^30 values.
    fn default() -> Self {
        Self { max_bytes: 8 << 30, max_tensors: 10_000, max_elements: 1 << 30 }
    }
}

setters!(WeightLimits { max_bytes: u64, max_tensors: usize, max_elements: usize });

/// What the tensors read so far have taken of the limits.
pub(super) struct Budget {
    tensors: usize,
    elements: usize,
    limits: WeightLimits,
}

impl Budget {
    /// For a file that holds `bytes` of numbers.
    pub(super) fn new(limits: &WeightLimits, bytes: usize) -> Self {
        let max_elements = limits.max_elements.min(bytes);
        Self { tensors: 0, elements: 0, limits: WeightLimits { max_elements, ..*limits } }
    }

    /// The number of values of a tensor of `shape`, which there must be room for.
    pub(super) fn take(&mut self, shape: &[usize]) -> Result<usize> {
        let WeightLimits { max_tensors, max_elements, .. } = self.limits;
        self.tensors += 1;
        if self.tensors > max_tensors {
            return Err(Error::limit("number of tensors", self.tensors, format!("at most {max_tensors}")));
        }
        let count = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
        let total = count.and_then(|n| self.elements.checked_add(n)).filter(|&n| n <= max_elements);
        let (Some(count), Some(total)) = (count, total) else {
            let expected = format!("at most {max_elements} values in all tensors together");
            return Err(Error::limit("shape", format!("{shape:?}"), expected));
        };
        self.elements = total;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tensors_together_must_fit() {
        let limits = WeightLimits { max_tensors: 3, max_elements: 10, ..WeightLimits::default() };
        let mut budget = Budget::new(&limits, 100);
        assert_eq!(budget.take(&[2, 3]).unwrap(), 6);
        assert_eq!(budget.take(&[]).unwrap(), 1);
        assert!(budget.take(&[4]).is_err());
        let message = budget.take(&[1]).unwrap_err().to_string();
        assert_eq!(message, "number of tensors: found 4, expected at most 3");
        assert!(Budget::new(&limits, 100).take(&[usize::MAX, 2]).is_err());
        assert!(Budget::new(&limits, 100).take(&[11]).is_err());
        assert!(Budget::new(&limits, 9).take(&[10]).is_err());
    }
}
