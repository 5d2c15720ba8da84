//! Which patches to store: greedy k-center over randomly projected embeddings.

mod lazy;
mod leading;
#[cfg(test)]
mod naive;
mod projection;

pub use projection::Projection;

use crate::error::{Error, Result, Setting};
use crate::kernels::Isa;
use crate::parallel::Pool;
use crate::principal::SAMPLE;
use crate::random::Random;
use crate::tensor::{Patches, not_finite};
use lazy::Lazy;
use std::ops::ControlFlow;

/// Rows that are compared with new centres together, and the share of all where those are few: fewer are slower by the
/// scans between, more by the picks.
const CANDIDATES: usize = 8192;
const CANDIDATE_SHARE: usize = 16;

/// Number of rows that `ratio` of `rows` keeps: `trunc(rows * ratio)`, as the reference.
///
/// # Errors
/// The ratio is not in (0, 1], or keeps no row.
pub fn size(rows: usize, ratio: f64) -> Result<usize> {
    if !(ratio > 0.0 && ratio <= 1.0) {
        return Err(Error::wrong_setting(Setting::CoresetRatio, ratio, "a number above 0, at most 1"));
    }
    match (rows as f64 * ratio) as usize {
        0 => Err(Error::wrong_setting(
            Setting::CoresetRatio,
            format!("{ratio}, which keeps none of {rows} patches"),
            "one that keeps a patch",
        )),
        count => Ok(count),
    }
}

/// Dimensions that keep the distances of `rows` points within a factor 1.9: `trunc(4 ln(rows) / (e^2/2 - e^3/3))` with
/// `e` = 0.9 (Johnson and Lindenstrauss, as scikit-learn computes it), at least 1.
pub fn projection_dim(rows: usize) -> usize {
    let eps = 0.9f64;
    ((4.0 * (rows as f64).ln() / (eps * eps / 2.0 - eps * eps * eps / 3.0)) as usize).max(1)
}

/// The row that the selection starts with: uniform, the same for the same `seed`.
pub fn start(rows: usize, seed: u64) -> usize {
    Random::new(seed, 0x0053_7461_7274).below(rows)
}

/// Greedy k-center: beginning with `start`, `count` times the row that is farthest from all chosen ones, ties to the
/// lowest index; the start is the first. Distances are direct differences (`KCenterGreedy.select_coreset_idxs` of the
/// reference), and the selection is that of the plain loop over all rows, without most of its work. `observer` is told
/// how many are chosen of how many, and may stop.
///
/// # Errors
/// A feature is not finite, memory runs out, or `observer` stopped the selection.
///
/// # Panics
/// There is no row `start`.
pub fn select(
    features: Patches<'_>,
    count: usize,
    start: usize,
    isa: Isa,
    pool: &Pool,
    observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Vec<u32>> {
    if let Some((at, value)) = not_finite(features.data) {
        let subject = format!("features of patch {}", at / features.dim);
        return Err(Error::format(subject, value, "finite numbers"));
    }
    let candidates = (features.rows() / CANDIDATE_SHARE).clamp(1, CANDIDATES);
    Lazy::new(features, start, candidates, isa, pool)?.run(count, observer)
}

/// `count` of `0..total` in ascending order, one at a random place in each of as many equal parts, or all.
pub(crate) fn sample(total: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed, 0x0053_616D_706C_6500);
    let part = |i: usize| (i as u128 * total as u128 / count as u128) as usize;
    (0..count).map(|i| part(i) + random.below(part(i + 1) - part(i))).collect()
}

/// Bytes that selecting `count` of `rows` takes: the projected rows, their places, what bounds their distances and
/// the sample that is estimated from, and the centres.
pub(crate) fn bytes(rows: usize, count: usize) -> u64 {
    let (dim, sample) = (projection_dim(rows) as u64, rows.min(SAMPLE) as u64);
    let row = dim + 2 + lazy::ROW_VALUES as u64;
    4 * (rows as u64 * row + sample * dim + count as u64 * lazy::CENTER_VALUES as u64)
}

/// Zeros, or an error that names `what` does not fit.
pub(crate) fn zeros(what: &str, length: usize) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    values.try_reserve_exact(length).map_err(|_| {
        Error::limit(what, format!("{} bytes", 4 * length as u128), "what memory holds")
            .hint("train on fewer photographs")
    })?;
    values.resize(length, 0.0);
    Ok(values)
}

#[cfg(test)]
mod tests;
