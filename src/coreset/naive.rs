//! The plain greedy k-center loop: the oracle of the lazy one.

use crate::kernels::{Isa, distance};
use crate::tensor::Patches;

pub(super) fn select_naively(features: Patches<'_>, count: usize, start: usize, isa: Isa) -> Vec<u32> {
    let mut nearest = vec![f32::INFINITY; features.rows()];
    let mut chosen = vec![start as u32];
    let mut last = start;
    while chosen.len() < count {
        let center = features.row(last);
        for (row, nearest) in nearest.iter_mut().enumerate() {
            *nearest = nearest.min(distance::squared(isa, features.row(row), center));
        }
        last = find_farthest(&nearest);
        chosen.push(last as u32);
    }
    chosen
}

/// The first row with the largest distance.
fn find_farthest(distances: &[f32]) -> usize {
    let mut best = 0;
    for (row, &distance) in distances.iter().enumerate() {
        if distance > distances[best] {
            best = row;
        }
    }
    best
}
