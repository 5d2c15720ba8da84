//! The order in which the coreset's rows are chosen, against the reference's.

use crate::support::golden::{Golden, formula};
use patchcore::internals::coreset::select;
use patchcore::internals::tensor::Patches;
use patchcore::{Isa, Pool};
use std::ops::ControlFlow;

trials!(the_selection_is_the_references; shared: a_larger_selection_is_the_references);

fn the_selection_is_the_references() {
    let features: Vec<f32> = formula("features", 400 * 12).collect();
    assert_order(&features, 12, &Golden::here("coreset.safetensors").usize("order"));
}

fn a_larger_selection_is_the_references() {
    let golden = Golden::shared("coreset.safetensors");
    assert_order(&golden.f32("features"), golden.shape("features")[1], &golden.usize("order"));
}

/// Selects from `features` on every instruction set, at two thread counts.
fn assert_order(features: &[f32], dim: usize, expected: &[usize]) {
    let patches = Patches { dim, grid_width: features.len() / dim, data: features };
    for isa in Isa::available() {
        for threads in [1, 3] {
            let pool = Pool::new(threads).unwrap();
            let observer = &mut |_, _| ControlFlow::Continue(());
            let chosen = select(patches, expected.len(), expected[0], isa, &pool, observer).unwrap();
            let chosen: Vec<usize> = chosen.into_iter().map(|row| row as usize).collect();
            assert_eq!(chosen, expected, "{isa:?}, {threads} threads");
        }
    }
}
