//! From image bytes to the network's input, and from anomaly maps to pictures.

#[cfg(feature = "decode")]
mod decode;
mod decode_options;
#[cfg(all(feature = "decode", feature = "train"))]
mod encode;
#[cfg(any(feature = "decode", feature = "train"))]
mod file_format;
mod frame;
mod heatmap;
#[cfg(feature = "decode")]
mod jpeg;
mod mask;
#[cfg(feature = "decode")]
mod orientation;
#[cfg(feature = "decode")]
mod photograph;
mod picture;
#[cfg(feature = "decode")]
mod png;
mod preprocess;
mod scale;
#[cfg(feature = "decode")]
mod size;
#[cfg(feature = "decode")]
mod tiff;
#[cfg(feature = "decode")]
mod webp;

pub use decode_options::Orientation;
pub(crate) use decode_options::check_bit_depth;
#[cfg(feature = "decode")]
pub use decode_options::{DecodeOptions, Limits};
#[cfg(any(feature = "decode", feature = "train"))]
pub use file_format::FileFormat;
pub use frame::{Frame, PixelFormat};
pub use heatmap::{ColorScale, HeatMap};
pub use mask::Mask;
#[cfg(feature = "decode")]
pub use mask::decode_mask;
#[cfg(feature = "decode")]
pub use photograph::Photograph;
pub use picture::Picture;
#[cfg(feature = "train")]
pub(crate) use preprocess::half_to_even;
pub use preprocess::{Preprocess, Preprocessor};
