//! PatchCore anomaly detection for CPUs without accelerators.

#![deny(unsafe_code)]

#[cfg(feature = "train")]
mod atomic;
pub mod bank;
#[cfg(feature = "cli")]
pub mod cli;
pub mod coreset;
pub mod detector;
pub mod error;
#[cfg(feature = "train")]
pub mod evaluate;
pub mod image;
pub mod kernels;
#[cfg(feature = "ndarray")]
mod ndarray;
pub mod network;
pub mod patches;
pub mod score;
pub mod search;
pub mod tensor;
pub mod weights;

#[cfg(feature = "train")]
pub use detector::Trainer;
pub use detector::{FitOptions, OpenOptions, PatchCore, Prediction, Session};
pub use error::{Error, ErrorKind, Result};
pub use network::Backbone;
