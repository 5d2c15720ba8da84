//! Thresholds from good photographs alone: each is scored as a new one would be, by a memory bank of others.

use super::bank_builder;
use super::options::{Observer, Stage, TrainOptions};
use super::patch_store::PatchStore;
use super::session::{Scorer, Timings};
use crate::coreset;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::parallel::Pool;
use crate::random::Random;
use crate::score::{Calibration, GOOD_QUANTILE};
use crate::search::{Index, SearchKind};
use crate::tensor::Patches;
use std::ops::ControlFlow;

/// Scoring more photographs than this sharpens the quantile no further.
const MAX_SCORED: usize = 50;
const MAX_FOLDS: usize = 5;
/// Patches that the choices of all folds begin with, about: they shall not take much longer than that of the model.
const PATCHES: usize = 300_000;
const PURPOSE: u64 = 0x466F_6C64;

/// Trained photographs, and how their memory banks are made.
pub(super) struct CrossValidation<'a> {
    pub store: &'a PatchStore,
    /// Rows and columns of a photograph's patches.
    pub grid: (usize, usize),
    pub options: &'a TrainOptions,
    pub isa: Isa,
    pub pool: &'a Pool,
}

impl CrossValidation<'_> {
    /// Parts the photographs into folds by chance, chooses a memory bank from all but one fold, scores photographs of that one,
    /// and so on. There are five folds, down to two where there are many patches; scores are a little high, as each bank
    /// knows less than the model's. Copies of a photograph count once: a bank that knows one of them says nothing of new
    /// parts. From one photograph alone, or where the others leave no memory bank, there is no calibration.
    ///
    /// # Errors
    /// Memory runs out, patches cannot be read, or `observer` stopped it.
    pub fn calibrate(&self, observer: &mut Observer<'_>) -> Result<Calibration> {
        let photographs = self.store.distinct();
        let images = photographs.len();
        let folds = (PATCHES / self.store.rows().max(1)).clamp(2, MAX_FOLDS).min(images);
        let order = shuffled(images, self.options.seed);
        let folds: Vec<Vec<&[usize]>> = (0..folds)
            .map(|fold| order.iter().skip(fold).step_by(folds).map(|&at| &photographs[at][..]).collect())
            .collect();
        if folds.iter().any(|fold| !self.leaves_a_bank(fold)) {
            return Ok(Calibration::NONE);
        }
        let scored = images.min(MAX_SCORED);
        let mut tell = |done| match observer(Stage::Calibration, done, scored) {
            ControlFlow::Break(()) => Err(Error::cancelled("calibration")),
            ControlFlow::Continue(()) => Ok(()),
        };
        let mut scorer =
            Scorer::new(self.grid, self.options.preprocess.output_size(), self.options.neighbors)?;
        let (mut scores, mut maps) = (Vec::new(), Vec::new());
        for (at, fold) in folds.iter().enumerate() {
            let done = scores.len();
            let index = self.bank_without(&fold.concat(), &mut || tell(done))?;
            for copies in fold.iter().take(share(scored, folds.len(), at)) {
                tell(scores.len())?;
                scores.push(self.score(copies[0], &index, &mut scorer)?);
                maps.push(range(&scorer.map));
            }
        }
        tell(scores.len())?;
        let peaks: Vec<f32> = maps.iter().map(|range| range.1).collect();
        let lowest = maps.iter().map(|range| range.0).fold(f32::INFINITY, f32::min);
        Ok(Calibration::from_good(&scores, &peaks, lowest, GOOD_QUANTILE).unwrap_or_default())
    }

    /// Whether the photographs that are not in `fold` are enough for a memory bank.
    fn leaves_a_bank(&self, fold: &[&[usize]]) -> bool {
        let others = self.store.images() - fold.iter().map(|copies| copies.len()).sum::<usize>();
        others > 0 && coreset::size(others * self.store.image_rows(), self.options.coreset_ratio).is_ok()
    }

    /// A memory bank of the photographs that are not `left_out`. `tell` may stop the choice.
    fn bank_without(&self, left_out: &[usize], tell: &mut dyn FnMut() -> Result<()>) -> Result<Index> {
        let Self { store, options, isa, pool, .. } = *self;
        let others: Vec<usize> = (0..store.images()).filter(|image| !left_out.contains(image)).collect();
        let mut observer = |_, _, _| match tell() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let selection = bank_builder::select(store, &others, options, isa, pool, &mut observer)?;
        let bank = store.gather(&selection.rows)?;
        bank_builder::index(bank, store.dim(), options.bank_precision, SearchKind::Pruned, isa, pool)
    }

    fn score(&self, image: usize, index: &Index, scorer: &mut Scorer) -> Result<f32> {
        let Self { store, grid, isa, pool, .. } = *self;
        let mut buffer = Vec::new();
        let data = store.image(image, &mut buffer)?;
        let patches = Patches { dim: store.dim(), grid_width: grid.1, data };
        pool.install(|| scorer.run(index, patches, isa, pool, &mut Timings::default()))
    }
}

/// `0..count` in an order of chance: cameras that take turns and parts that come in series fall into every fold.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    Random::new(seed, PURPOSE).shuffle(&mut order, count);
    order
}

/// How many of `total` things the one of number `at` gets, if `parts` take turns.
fn share(total: usize, parts: usize, at: usize) -> usize {
    (total + parts - 1 - at) / parts
}

fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_even_as_can_be() {
        for (total, parts) in [(0, 2), (1, 5), (7, 5), (50, 5), (49, 2)] {
            let shares: Vec<usize> = (0..parts).map(|at| share(total, parts, at)).collect();
            assert_eq!(shares.iter().sum::<usize>(), total);
            assert!(shares.iter().all(|&share| (total / parts..=total.div_ceil(parts)).contains(&share)));
        }
    }

    #[test]
    fn folds_of_a_shuffled_order_mix_what_takes_turns() {
        let order = shuffled(200, 42);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200).collect::<Vec<_>>());
        for period in [2, 5] {
            for fold in 0..period {
                let first =
                    order.iter().skip(fold).step_by(period).filter(|&image| image % period == 0).count();
                let even = 200 / period / period;
                assert!((even / 2..=even * 2).contains(&first), "{first} of {even}, {period}");
            }
        }
    }
}
