//! PatchCore anomaly detection for CPUs without accelerators.

#![deny(unsafe_code)]

#[cfg(feature = "train")]
#[allow(dead_code)]
mod atomic;
pub mod bank;
pub mod error;
#[cfg(feature = "train")]
pub mod evaluate;
pub mod kernels;
pub mod network;
pub mod patches;
pub mod score;
pub mod tensor;
pub mod weights;

pub use error::{Error, ErrorKind, Result};
