//! PatchCore anomaly detection for CPUs without accelerators.

#![deny(unsafe_code)]

#[cfg(feature = "train")]
#[allow(dead_code)]
mod atomic;
pub mod bank;
pub mod error;
pub mod kernels;
pub mod network;
pub mod patches;
pub mod tensor;
pub mod weights;

pub use error::{Error, ErrorKind, Result};
