//! From image bytes to the network's input, and from anomaly maps to pictures.

#[cfg(feature = "decode")]
mod decode;
mod frame;
mod heatmap;
#[cfg(feature = "decode")]
mod jpeg;
mod picture;
mod preprocess;

#[cfg(feature = "decode")]
pub use decode::{Limits, Mask, decode_mask};
pub use frame::{Frame, PixelFormat};
pub use heatmap::HeatMap;
pub use picture::Picture;
#[cfg(feature = "train")]
pub(crate) use preprocess::half_to_even;
pub use preprocess::{Preprocess, Preprocessor};
