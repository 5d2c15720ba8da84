//! What this project's program, benches, tests and fuzzers use beside the public interface. It may change in
//! any release: do not build on it.

#[cfg(feature = "train")]
pub mod atomic {
    //! Files that appear whole or not at all.
    pub use crate::atomic::*;
}
#[cfg(feature = "train")]
pub mod coreset {
    //! Selection of the memory bank's rows.
    pub use crate::coreset::*;
}
pub mod error {
    //! Text that is safe to print.
    pub use crate::error::{place, steers};
}
pub mod evaluate {
    //! Photographs in folders.
    #[cfg(feature = "train")]
    pub use crate::evaluate::{find_images_where_readable, insert_path};
}
pub mod memory_bank {
    //! The rows of a memory bank.
    pub use crate::memory_bank::*;
}
pub mod model_file {
    //! The container of model files.
    pub use crate::model_file::*;
}
pub mod network {
    //! Networks and their working memory.
    pub use crate::network::*;
}
#[cfg(feature = "train")]
pub mod npy {
    //! NumPy files.
    pub use crate::npy::*;
}
#[cfg(feature = "decode")]
pub mod parts {
    //! Drawn photographs of parts.
    pub use crate::parts::*;
}
pub mod patches {
    //! Feature maps into patch embeddings.
    pub use crate::patches::*;
}
pub mod random {
    //! Random numbers that are the same on every platform.
    pub use crate::random::*;
}
pub mod score {
    //! Image scores and anomaly maps.
    pub use crate::score::image::{reweight, strongest};
    pub use crate::score::map::{DEFAULT_SIGMA, MapPlan};
    pub use crate::score::*;
}
pub mod search {
    //! Exact nearest neighbours.
    pub use crate::memory_bank::{MemoryBank, Precision};
    pub use crate::search::*;
}
pub mod tensor {
    //! The plain types that pass from stage to stage.
    pub use crate::tensor::*;
}
