//! Which patches of the training images the memory bank keeps, within a bound of memory, and the search over
//! them.

use super::options::{Observer, Stage, TrainOptions};
use super::patch_store::PatchStore;
use crate::coreset::{self, Projection};
use crate::error::{Error, Result, Setting};
use crate::kernels::Isa;
use crate::memory_bank::{MemoryBank, Precision};
use crate::parallel::Pool;
use crate::search::{Index, SearchKind};
use crate::tensor::Patches;

/// Rows that the memory bank keeps.
pub(super) struct Selection {
    /// In the order in which the greedy selection found them.
    pub rows: Vec<usize>,
    /// How many rows they were selected from, where that was not all.
    pub sampled: Option<usize>,
}

/// Bytes that making a memory bank of `rows` patches takes at most, beside the patches: those of the
/// selection, or later of the bank and its search.
pub(super) fn bytes(rows: usize, dim: usize, options: &TrainOptions) -> u64 {
    let count = bounded((rows as f64 * options.coreset_ratio) as usize, options);
    coreset::bytes(rows, count).max(count as u64 * Index::build_bytes(dim, options.bank_precision))
}

/// As many of `count` rows as the memory bank may have.
fn bounded(count: usize, options: &TrainOptions) -> usize {
    count.min(options.max_bank_rows.unwrap_or(count).max(1))
}

/// The coreset ratio that `rows` of `patches` are: that of the options, unless the number of rows is bounded.
pub(super) fn ratio(rows: usize, patches: usize, options: &TrainOptions) -> f64 {
    match options.max_bank_rows {
        Some(most) if rows >= most => rows as f64 / patches as f64,
        _ => options.coreset_ratio,
    }
}

/// Projects the patches of some images of `store`, or as many as the bound allows, and selects greedily.
pub(super) fn select(
    store: &PatchStore,
    images: &[usize],
    options: &TrainOptions,
    isa: Isa,
    pool: &Pool,
    observer: &mut Observer<'_>,
) -> Result<Selection> {
    let all = images.len() * store.image_rows();
    let rows = affordable(store, all, options);
    if u32::try_from(rows).is_err() {
        return Err(Error::limit("training patches", rows, "less than 2^32"));
    }
    let count = bounded(coreset::size(rows, options.coreset_ratio)?, options);
    let mut sample = coreset::sample(all, rows, options.seed);
    // Places among the patches of these images become rows of the store.
    for row in &mut sample {
        *row = images[*row / store.image_rows()] * store.image_rows() + *row % store.image_rows();
    }
    let projection = Projection::new(store.dim(), coreset::projection_dim(rows), options.seed);
    let projected = project(store, &sample, &projection, isa, pool)?;
    let features = Patches { dim: projection.output_dim(), grid_width: 1, data: &projected };
    let start = coreset::start(rows, options.seed);
    let chosen = coreset::select(features, count, start, isa, pool, &mut |done, total| {
        observer(Stage::Coreset, done, total)
    })?;
    Ok(Selection {
        rows: chosen.into_iter().map(|row| sample[row as usize]).collect(),
        sampled: (rows < all).then_some(rows),
    })
}

/// Fails where the bound does not allow the `rows` patches of one photograph.
pub(super) fn check_bound(rows: usize, dim: usize, options: &TrainOptions) -> Result<()> {
    let needed = bytes(rows, dim, options);
    match options.max_memory {
        Some(bound) if needed > bound => Err(Error::wrong_setting(
            Setting::MaxMemory,
            format!("{bound} bytes"),
            format!("at least {needed} bytes for the patches of one photograph"),
        )),
        _ => Ok(()),
    }
}

/// The number of patches that can be selected from: all `rows`, or as many as the bound allows, which was
/// [checked](check_bound).
fn affordable(store: &PatchStore, rows: usize, options: &TrainOptions) -> usize {
    let Some(bound) = options.max_memory else { return rows };
    let needed = |rows| bytes(rows, store.dim(), options);
    let (mut enough, mut many) = (store.image_rows(), rows + 1);
    while enough + 1 < many {
        let middle = enough + (many - enough) / 2;
        *if needed(middle) <= bound { &mut enough } else { &mut many } = middle;
    }
    enough
}

/// Projects the patches `rows`, those of an image in sequence, reading one image after the other.
fn project(
    store: &PatchStore,
    rows: &[usize],
    projection: &Projection,
    isa: Isa,
    pool: &Pool,
) -> Result<Vec<f32>> {
    let dim = projection.output_dim();
    let mut projected = coreset::zeros("projected features", rows.len() * dim)?;
    let (mut buffer, mut picked) = (Vec::new(), Vec::new());
    let mut out = &mut projected[..];
    for rows in rows.chunk_by(|a, b| a / store.image_rows() == b / store.image_rows()) {
        let image = store.image(rows[0] / store.image_rows(), &mut buffer)?;
        let patches = match rows.len() == store.image_rows() {
            true => image,
            false => {
                picked.clear();
                for row in rows {
                    picked.extend_from_slice(&image[row % store.image_rows() * store.dim()..][..store.dim()]);
                }
                &picked
            }
        };
        let (own, rest) = out.split_at_mut(rows.len() * dim);
        projection.apply_into(Patches { dim: store.dim(), grid_width: 1, data: patches }, isa, pool, own);
        out = rest;
    }
    Ok(projected)
}

/// The search of a memory bank.
pub(super) fn index(
    bank: Vec<f32>,
    dim: usize,
    precision: Precision,
    kind: SearchKind,
    isa: Isa,
    pool: &Pool,
) -> Result<Index> {
    let rows = match precision {
        Precision::Single => MemoryBank::single(bank.into(), dim)?,
        Precision::Half => {
            let rows = MemoryBank::half(&bank, dim)?;
            drop(bank);
            rows
        }
    };
    Index::build(rows, kind, isa, pool)
}
