//! What spares a search for the farthest patches the others.

use std::sync::atomic::{AtomicU32, Ordering};

/// How far from the bank the farthest of the finished patches is: those that are nearer to some row need not be looked for further.
#[derive(Debug, Default)]
pub(in crate::search::pruned) struct BestSoFar(AtomicU32);

impl BestSoFar {
    pub(super) fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Raises it to `distance`. Bits are in the order of the numbers where none is below zero.
    pub(super) fn raise(&self, distance: f32) {
        self.0.fetch_max(distance.to_bits(), Ordering::Relaxed);
    }
}
