//! Selection of the patches that the memory bank stores: greedy k-center over randomly projected embeddings.
//!
//! The coreset of Roth et al., "Towards Total Recall in Industrial Anomaly Detection" (arXiv 2106.08265),
//! section 3.2: `projection` shortens the embeddings, `lazy` selects. The selection is exactly that of the
//! plain greedy loop (`naive`).

mod lazy;
mod leading;
#[cfg(test)]
mod naive;
mod projection;

pub use projection::Projection;

use crate::error::{Error, Result, Setting};
use crate::kernels::Isa;
use crate::parallel::Pool;
use crate::principal::SAMPLE_ROWS;
use crate::random::Random;
use crate::tensor::{Patches, not_finite};
use lazy::LazyGreedy;
use std::ops::ControlFlow;

/// Rows that are refreshed together, and their share of all rows in small sets. Fewer candidates need more
/// scans over all rows; more make each pick slower.
const MAX_CANDIDATES: usize = 8192;
const CANDIDATE_DIVISOR: usize = 16;

/// Size of the coreset: `trunc(rows * ratio)`, as in the reference implementation.
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

/// Dimensions that keep the squared distances of `rows` points within a factor of `1 ± e`, `e` = 0.9, by the
/// lemma of Johnson and Lindenstrauss: `trunc(4 ln(rows) / (e^2/2 - e^3/3))`, as scikit-learn computes it, at
/// least 1.
pub fn projection_dim(rows: usize) -> usize {
    let eps = 0.9f64;
    ((4.0 * (rows as f64).ln() / (eps * eps / 2.0 - eps * eps * eps / 3.0)) as usize).max(1)
}

/// The row that the selection starts with: uniformly random, determined by `seed`.
pub fn start(rows: usize, seed: u64) -> usize {
    Random::new(seed, 0x0053_7461_7274).below(rows)
}

/// Greedy k-center: selects `start`, then repeatedly the row that is farthest from all selected rows, ties to
/// the lowest index, until there are `count`. Distances are computed from direct differences, as by
/// `KCenterGreedy.select_coreset_idxs` of the reference implementation. `observer` receives the number of
/// selected rows and `count`, and may stop the selection.
///
/// # Errors
/// A feature is not finite, memory runs out, or `observer` stopped the selection.
///
/// # Panics
/// `start` is not below the number of rows.
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
    let candidates = (features.rows() / CANDIDATE_DIVISOR).clamp(1, MAX_CANDIDATES);
    LazyGreedy::new(features, start, candidates, isa, pool)?.select_rows(count, observer)
}

/// A stratified random sample of `0..total` in ascending order: one index from each of `count` equal parts.
pub(crate) fn sample(total: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed, 0x0053_616D_706C_6500);
    let part = |i: usize| (i as u128 * total as u128 / count as u128) as usize;
    (0..count).map(|i| part(i) + random.below(part(i + 1) - part(i))).collect()
}

/// Upper bound on the bytes that selecting `count` of `rows` takes: the projected rows and their indices, the
/// bounds, the sample for the axes, and the centres.
pub(crate) fn bytes(rows: usize, count: usize) -> u64 {
    let (dim, sample) = (projection_dim(rows) as u64, rows.min(SAMPLE_ROWS) as u64);
    let row = dim + 2 + lazy::ROW_VALUES as u64;
    4 * (rows as u64 * row + sample * dim + count as u64 * lazy::CENTER_VALUES as u64)
}

/// A vector of `length` zeros, or an error naming `what` if memory does not suffice.
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
