//! Thresholds from good photographs alone: each is scored as a new one would be, by a memory bank of others.

use super::options::{FitOptions, Observer, Stage};
use super::selection;
use super::session::{Scorer, Timings};
use super::store::PatchStore;
use crate::coreset;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Pool};
use crate::score::{Calibration, GOOD_QUANTILE};
use crate::search::{Index, SearchKind};
use crate::tensor::Patches;
use std::ops::ControlFlow;

/// Scoring more photographs than this sharpens the quantile no further.
const MAX_SCORED: usize = 50;
const MAX_FOLDS: usize = 5;
/// Patches that the choices of all folds begin with, about: they shall not take much longer than that of the model.
const PATCHES: usize = 300_000;

/// What is left out of what.
pub(super) struct LeaveOut<'a> {
    pub store: &'a PatchStore,
    /// Rows and columns of a photograph's patches.
    pub grid: (usize, usize),
    pub options: &'a FitOptions,
    pub isa: Isa,
    pub pool: &'a Pool,
}

impl LeaveOut<'_> {
    /// Parts the photographs into folds, chooses a memory bank from all but one fold, scores that one, and so on. There are
    /// five folds, or two where there are many patches; scores are a little high, as each bank knows less than the
    /// model's. From one photograph alone, or where the others leave no memory bank, there is no calibration.
    ///
    /// # Errors
    /// Memory runs out, patches cannot be read, or `observer` stopped it.
    pub fn calibrate(&self, observer: &mut Observer<'_>) -> Result<Calibration> {
        let (images, rows) = (self.store.images(), self.store.rows());
        if images < 2 || coreset::size(rows / 2, self.options.coreset_ratio).is_err() {
            return Ok(Calibration::NONE);
        }
        let folds = (PATCHES / rows).clamp(2, MAX_FOLDS).min(images);
        let scored: Vec<usize> = spread(images, MAX_SCORED).collect();
        let mut tell = |done| match observer(Stage::Calibration, done, scored.len()) {
            ControlFlow::Break(()) => Err(Error::cancelled("calibration")),
            ControlFlow::Continue(()) => Ok(()),
        };
        let mut scorer =
            Scorer::new(self.grid, self.options.preprocess.output_size(), self.options.neighbors)?;
        let (mut scores, mut maps) = (Vec::new(), Vec::new());
        for fold in 0..folds {
            let images: Vec<usize> = scored.iter().copied().filter(|image| image % folds == fold).collect();
            if images.is_empty() {
                continue;
            }
            let done = scores.len();
            let index = self.bank_without(fold, folds, &mut || tell(done))?;
            for image in images {
                tell(scores.len())?;
                scores.push(self.score(image, &index, &mut scorer)?);
                maps.push(range(&scorer.map));
            }
        }
        tell(scores.len())?;
        let peaks: Vec<f32> = maps.iter().map(|range| range.1).collect();
        let lowest = maps.iter().map(|range| range.0).fold(f32::INFINITY, f32::min);
        Ok(Calibration::from_good(&scores, &peaks, lowest, GOOD_QUANTILE).unwrap_or_default())
    }

    /// A memory bank of the photographs outside `fold`. `tell` may stop the choice.
    fn bank_without(&self, fold: usize, folds: usize, tell: &mut dyn FnMut() -> Result<()>) -> Result<Index> {
        let Self { store, options, isa, pool, .. } = *self;
        let outside = |row: &usize| row / store.image_rows() % folds != fold;
        let others: Vec<usize> = (0..store.rows()).filter(outside).collect();
        let mut observer = |_, _, _| match tell() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let selection = selection::select(store, &others, options, isa, pool, &mut observer)?;
        let bank = store.gather(&selection.rows)?;
        super::train::index(bank, store.dim(), options.bank_precision, SearchKind::Pruned, isa, pool)
    }

    fn score(&self, image: usize, index: &Index, scorer: &mut Scorer) -> Result<f32> {
        let Self { store, grid, isa, pool, .. } = *self;
        let mut buffer = Vec::new();
        let data = store.image(image, &mut buffer)?;
        let patches = Patches { dim: store.dim(), grid_width: grid.1, data };
        pool.run(|| scorer.run(index, patches, isa, pool, &mut Timings::default()))
    }
}

/// `count` of `0..total`, evenly spread, or all.
fn spread(total: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(total);
    (0..count).map(move |i| i * total / count)
}

fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_takes_all_or_evenly_many() {
        assert_eq!(spread(3, 50).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(100, 4).collect::<Vec<_>>(), [0, 25, 50, 75]);
    }
}
