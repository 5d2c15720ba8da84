//! All arithmetic that is worth SIMD: one file for each operation, the vector types below them, one
//! dispatcher.
//!
//! An operation is a function that takes an [`Isa`]. An `Isa` can only be made on a CPU that has the
//! instructions, so holding one proves that calling its kernels is sound. Algorithms are written once, over
//! the vector type `simd::Simd`, and instantiated for each instruction set.

#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub(crate) mod aligned;
#[cfg(target_arch = "arm")]
mod arm;
pub(crate) mod bounds;
pub(crate) mod conv;
mod direct;
pub(crate) mod distance;
pub(crate) mod gemm;
pub(crate) mod int8;
mod isa;
pub(crate) mod map;
pub(crate) mod max_pool;
pub(crate) mod mean;
mod portable;
#[cfg(feature = "train")]
pub(crate) mod product;
pub(crate) mod quantize;
#[cfg(feature = "train")]
pub(crate) mod screen;
pub(crate) mod simd;
#[cfg(feature = "train")]
pub(crate) mod sparse_projection;
mod tile;
pub(crate) mod upsample;
pub(crate) mod weighted;
pub(crate) mod widen;
pub(crate) mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use isa::Isa;

/// NEON, by the processor's word size.
#[cfg(target_arch = "aarch64")]
use aarch64 as neon;
#[cfg(target_arch = "arm")]
use arm as neon;
