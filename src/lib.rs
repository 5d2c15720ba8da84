//! PatchCore finds defects in photographs of manufactured parts, having seen only good ones ([arXiv
//! 2106.08265](https://arxiv.org/abs/2106.08265)). It runs on CPUs without accelerators, reproduces the
//! scores of anomalib 2.7 (here "the reference") to within rounding, uses exact nearest-neighbour search, and
//! needs no Python.
//!
//! # The method
//!
//! 1. A photograph is resized and normalised ([`image`]).
//! 2. A network that was trained on other pictures turns it into feature maps ([`Backbone`]). Two of its
//!    middle layers are used.
//! 3. Each position of the maps, averaged with its neighbours, is the embedding of a patch
//!    ([`PatchExtractor`]).
//! 4. Training ([`Trainer`]) collects the patches of good parts and keeps a tenth of them, the coreset,
//!    chosen so that none of the others is far from a kept one. They are the memory bank.
//! 5. The score of a patch of a new part is its distance to the nearest row of the memory bank ([`Session`]).
//! 6. The highest patch score, weighted by how crowded the bank is around that row, is the score of the part.
//!    All patch scores, smoothed, are the anomaly map.
//! 7. A threshold, set by good photographs for a false-alarm rate, turns the score into a [`Verdict`], and
//!    the map into regions and a mask ([`score`]).
//!
//! # Example
//!
//! [`PatchCore`] is a trained model, which threads share. Each thread scores with a [`Session`] of its own,
//! which allocates nothing after its first prediction. [`Trainer`] takes the photographs of good parts one by
//! one.
//!
//! ```
//! # #[cfg(all(feature = "train", feature = "embedded-small"))]
//! # fn main() -> patchcore::Result<()> {
//! use patchcore::image::{Frame, PixelFormat};
//! use patchcore::{Backbone, Decision, PatchCore, Session, TrainOptions, Trainer};
//! use std::ops::ControlFlow;
//!
//! /// A grey plate of 64x64 pixels, as a camera's buffer holds it.
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
//! let verdict = session.predict(&Frame::new(64, 64, 64, PixelFormat::Gray8, &scratched)?)?;
//! assert_eq!(verdict.decision, Decision::Anomalous);
//! assert!(session.regions()?.len() > 0);
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "train", feature = "embedded-small")))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `train` | training, calibration, weight files, import of checkpoints, data sets and metrics ([`evaluate`]) | yes |
//! | `decode` | photographs from files | yes |
//! | `embedded-default` | the backbone `default` inside the library, 5.6 MB | yes |
//! | `embedded-small` | the backbone `small` inside the library, 1.4 MB | no |
//! | `safetensors` | weights from the bytes of a `.safetensors` file | with `train` and the embedded backbones |
//! | `kdtree` | search by k-d tree over the leading principal components | no |
//! | `ndarray` | conversions from and to `ndarray` views | no |
//! | `capi` | the C interface | no |
//!
//! A device that only predicts needs none of them: a model holds a copy of its backbone, unless it was
//! trained with [`TrainOptions::refer_to_backbone`]. `default-features = false` is the library with the
//! fewest crates.

#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::panic, clippy::unreachable, clippy::todo, clippy::unimplemented)
)]

#[macro_use]
mod setters;

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
    Calibrator, Decision, MemoryEstimate, ModelInfo, OpenOptions, PatchCore, PatchExtractor, Session, Stage,
    Timings, TrainOptions, Training, Verdict,
};
#[cfg(feature = "train")]
pub use detector::{Observer, Outlier, Trainer, TrainingReport};
pub use error::{Error, ErrorKind, Result, Setting};
pub use kernels::Isa;
pub use memory_bank::Precision;
pub use model_file::map::MappedFile;
pub use network::{Architecture, Backbone, Layer, Mode};
pub use parallel::Pool;
pub use search::SearchKind;

/// The README's examples, which thereby compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
