//! Thresholds from good photographs alone: each is scored as a new one would be, by a memory bank of others.

use super::Roi;
use super::bank_builder;
use super::map_summary::MapSummary;
use super::options::{Observer, Stage, TrainOptions};
use super::patch_store::PatchStore;
use super::session::{Scorer, Timings};
use crate::coreset;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::parallel::Pool;
use crate::random::Random;
use crate::search::{Index, SearchKind};
use crate::tensor::Patches;
use std::ops::ControlFlow;
use std::sync::Arc;

const MAX_FOLDS: usize = 5;
/// Patches that the choices of all folds begin with, about, so that they do not take much longer than the
/// model's choice.
const PATCHES: usize = 300_000;
const PURPOSE: u64 = 0x466F_6C64;

/// A photograph, scored by a memory bank that has not seen it.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldOut {
    /// The photograph's number in the store.
    pub image: usize,
    pub score: f32,
    pub map: MapSummary,
}

/// Trained photographs, and how their memory banks are made.
pub(super) struct CrossValidation<'a> {
    pub store: &'a PatchStore,
    /// Rows and columns of a photograph's patches.
    pub grid: (usize, usize),
    pub roi: Option<&'a Arc<Roi>>,
    pub options: &'a TrainOptions,
    pub isa: Isa,
    pub pool: &'a Pool,
}

impl CrossValidation<'_> {
    /// Splits `photographs` into folds at random, chooses a memory bank from all but one fold, scores the
    /// photographs of that fold, and so on. Each of `photographs` is one photograph with its copies, which
    /// count once: a bank that knows one of them says nothing of new parts.
    ///
    /// There are five folds, down to two where there are many patches. Scores are a little high, since each
    /// bank knows less than the model's. The list is empty where the other folds leave no memory bank, as of
    /// a single photograph.
    ///
    /// # Errors
    /// Memory runs out, patches cannot be read, or `observer` stopped it.
    pub fn score_all(&self, photographs: &[Vec<usize>], observer: &mut Observer<'_>) -> Result<Vec<HeldOut>> {
        let count = photographs.len();
        let patches = photographs.iter().map(Vec::len).sum::<usize>() * self.store.image_rows();
        let folds = (PATCHES / patches.max(1)).clamp(2, MAX_FOLDS).min(count.max(1));
        let order = shuffled(count, self.options.seed);
        let in_fold = |fold: usize| order.iter().skip(fold).step_by(folds).map(|&at| &photographs[at]);
        let outside = |fold: usize| -> Vec<usize> {
            let others = (0..folds).filter(|&other| other != fold).flat_map(in_fold);
            others.flatten().copied().collect()
        };
        if (0..folds).any(|fold| !self.leaves_a_bank(outside(fold).len())) {
            return Ok(Vec::new());
        }
        let mut scorer = self.scorer()?;
        let mut held_out = Vec::with_capacity(count);
        for fold in 0..folds {
            let done = held_out.len();
            let index = self.bank_of(&outside(fold), &mut || report(observer, done, count))?;
            for copies in in_fold(fold) {
                report(observer, held_out.len(), count)?;
                held_out.push(self.score(copies[0], &index, &mut scorer)?);
            }
        }
        report(observer, count, count)?;
        Ok(held_out)
    }

    /// Scores `images` by a memory bank of the images `others`. The list is empty where these leave no memory
    /// bank.
    ///
    /// # Errors
    /// As [`score_all`](Self::score_all).
    pub fn score_against(
        &self,
        images: &[usize],
        others: &[usize],
        observer: &mut Observer<'_>,
    ) -> Result<Vec<HeldOut>> {
        if !self.leaves_a_bank(others.len()) {
            return Ok(Vec::new());
        }
        let mut scorer = self.scorer()?;
        let index = self.bank_of(others, &mut || report(observer, 0, images.len()))?;
        images.iter().map(|&image| self.score(image, &index, &mut scorer)).collect()
    }

    fn scorer(&self) -> Result<Scorer> {
        let TrainOptions { preprocess, neighbors, .. } = self.options;
        Scorer::new(self.grid, preprocess.output_size(), *neighbors, self.roi.cloned())
    }

    /// Whether that many photographs are enough for a memory bank.
    fn leaves_a_bank(&self, photographs: usize) -> bool {
        let patches = photographs * self.store.image_rows();
        photographs > 0 && coreset::size(patches, self.options.coreset_ratio).is_ok()
    }

    /// A memory bank of `images`. `stop` may end the choice by an error.
    fn bank_of(&self, images: &[usize], stop: &mut dyn FnMut() -> Result<()>) -> Result<Index> {
        let Self { store, options, isa, pool, .. } = *self;
        let mut observer = |_, _, _| match stop() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let mut images = images.to_vec();
        images.sort_unstable();
        let selection = bank_builder::select(store, &images, options, isa, pool, &mut observer)?;
        let bank = store.gather(&selection.rows)?;
        bank_builder::index(bank, store.dim(), options.bank_precision, SearchKind::Pruned, isa, pool)
    }

    fn score(&self, image: usize, index: &Index, scorer: &mut Scorer) -> Result<HeldOut> {
        let Self { store, isa, pool, .. } = *self;
        let grid_width = self.roi.map_or(self.grid, |roi| roi.grid()).1;
        let mut buffer = Vec::new();
        let data = store.image(image, &mut buffer)?;
        let patches = Patches { dim: store.dim(), grid_width, data };
        let score = pool.install(|| scorer.run(index, patches, isa, pool, &mut Timings::default()))?;
        let columns = self.options.preprocess.output_size().1;
        Ok(HeldOut { image, score, map: MapSummary::new(&scorer.map, columns) })
    }
}

fn report(observer: &mut Observer<'_>, done: usize, total: usize) -> Result<()> {
    match observer(Stage::Calibration, done, total) {
        ControlFlow::Break(()) => Err(Error::cancelled("calibration")),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// `0..count` in a random order, so that the photographs of every camera and every series fall into every
/// fold.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    Random::new(seed, PURPOSE).shuffle(&mut order, count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

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
