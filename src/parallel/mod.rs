//! The thread pool, and memory that its threads share.

#![allow(unsafe_code)]

mod pool;
mod rendezvous;
mod shared_mut;

pub use pool::Pool;
pub(crate) use shared_mut::SharedMut;
