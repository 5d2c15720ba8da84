//! Lower bound on the maximum nearest-neighbour distance, shared by threads.

use std::sync::atomic::{AtomicU32, Ordering};

/// The largest nearest-neighbour distance of the finished queries. A query that is nearer than this to any
/// row cannot be the farthest, so its search may end.
#[derive(Debug, Default)]
pub(in crate::search::pruned) struct BestSoFar(AtomicU32);

impl BestSoFar {
    pub(super) fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Raises the bound to `distance`. Non-negative floats order like their bits, so this is a maximum of
    /// floats.
    pub(super) fn raise(&self, distance: f32) {
        self.0.fetch_max(distance.to_bits(), Ordering::Relaxed);
    }
}
