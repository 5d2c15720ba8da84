//! PatchCore finds defects in photographs of manufactured parts, having seen only good ones
//! ([arXiv 2106.08265](https://arxiv.org/abs/2106.08265)). This is the method for CPUs without accelerators: the
//! scores of anomalib 2.7 (here "the reference") up to rounding, with exact nearest neighbours, without Python.
//!
//! # The method
//!
//! 1. A photograph is resized and normalised ([`image`]).
//! 2. A network that was trained on something else turns it into feature maps ([`network`]); two of its middle layers
//!    are kept.
//! 3. Each position of the maps, averaged with its neighbours, is the embedding of a patch ([`patches`]).
//! 4. Training collects the patches of good parts and keeps a tenth of them, chosen so that none of the others is far
//!    from a kept one ([`coreset`]): the memory bank ([`bank`]).
//! 5. A patch of a new part scores its distance to the nearest row of the memory bank ([`search`]).
//! 6. The highest patch score, weighted by how crowded the bank is around that row, is the score of the part; all of
//!    them, smoothed, are the anomaly map ([`score`]).
//! 7. A threshold, found on defective parts or on good ones alone, says what is anomalous ([`score::Calibration`]).
//!
//! # Example
//!
//! [`PatchCore`] is a trained model, which threads share; each scores with a [`Session`] of its own, which allocates
//! nothing after its first prediction. [`Trainer`] takes the photographs of good parts one by one.
//!
//! ```
//! # #[cfg(all(feature = "train", feature = "embedded-small"))]
//! # fn main() -> patchcore::Result<()> {
//! use patchcore::image::{Frame, PixelFormat};
//! use patchcore::{Backbone, TrainOptions, PatchCore, Session, Trainer};
//! use std::ops::ControlFlow;
//!
//! /// A gray plate of 64x64 pixels, as a camera's buffer holds it.
//! fn plate(number: u8) -> Vec<u8> {
//!     (0..64 * 64).map(|i| 120 + number + (i % 5) as u8).collect()
//! }
//!
//! let mut options = TrainOptions::default();
//! options.preprocess.resize = (64, 64);
//! let mut trainer = Trainer::new(&Backbone::embedded("small")?, &options)?;
//! for number in 0..4 {
//!     trainer.add(&Frame::new(64, 64, 64, PixelFormat::Gray8, &plate(number))?)?;
//! }
//! let model = trainer.finish(&mut |_stage, _done, _total| ControlFlow::Continue(()))?;
//! # let folder = tempfile::tempdir().unwrap();
//! # std::env::set_current_dir(folder.path()).unwrap();
//! model.save("plates.pcore")?;
//!
//! let model = PatchCore::open("plates.pcore")?;
//! let mut session = Session::new(&model, 1)?;
//! let mut scratched = plate(2);
//! (10..50).for_each(|i| scratched[i * 65] = 255);
//! let found = session.predict(&Frame::new(64, 64, 64, PixelFormat::Gray8, &scratched)?)?;
//! assert_eq!(found.is_anomalous, Some(true));
//! assert_eq!(found.map.len(), 64 * 64);
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "train", feature = "embedded-small")))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `train` | training, calibration, weight files, data sets and metrics ([`evaluate`]), NumPy files | with `cli` |
//! | `decode` | PNG, JPEG, BMP and TIFF files | with `cli` |
//! | `embedded-default` | the backbone `default` inside the library, 5.6 MB | yes |
//! | `embedded-small` | the backbone `small` inside the library, 1.4 MB | yes |
//! | `safetensors` | weights from the bytes of a `.safetensors` file | with `train` and the embedded backbones |
//! | `kdtree` | search by k-d tree over the leading principal components | with `cli` |
//! | `ndarray` | conversions from and to `ndarray` views | no |
//! | `capi` | the C interface | no |
//! | `cli` | the program, and all that it needs | yes |
//!
//! A device that only predicts needs the feature of the backbone that its models refer to, and none where they hold a copy
//! (`patchcore train --copy-backbone`): `default-features = false` is the library alone, with the fewest crates.

#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::panic, clippy::unreachable, clippy::todo, clippy::unimplemented)
)]

#[cfg(feature = "train")]
pub mod anomalib;
#[cfg(feature = "train")]
mod atomic;
mod bytes;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod capi;
#[cfg(feature = "train")]
mod coreset;
mod detector;
mod error;
#[cfg(feature = "train")]
pub mod evaluate;
mod half;
pub mod image;
#[doc(hidden)]
pub mod internals;
mod kernels;
mod memory_bank;
mod model_file;
#[cfg(feature = "ndarray")]
mod ndarray;
mod network;
#[cfg(feature = "train")]
mod npy;
mod parallel;
#[cfg(feature = "decode")]
mod parts;
mod patches;
mod principal;
mod random;
pub mod score;
mod search;
mod tensor;
pub mod weights;

pub use detector::{
    MemoryEstimate, ModelInfo, OpenOptions, PatchCore, PatchExtractor, Prediction, Session, Stage, Timings,
    TrainOptions, Training,
};
#[cfg(feature = "train")]
pub use detector::{Observer, Trainer};
pub use error::{Error, ErrorKind, Result};
pub use kernels::Isa;
pub use memory_bank::Precision;
pub use network::{Architecture, Backbone, Layer, Mode};
pub use parallel::Pool;
pub use search::SearchKind;

/// The README's examples, which thereby compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
