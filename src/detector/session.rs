//! Predictions, without allocating after the first.

use super::resize_map::over_image;
use super::{PatchCore, PatchExtractor};
use crate::error::{Error, Result};
use crate::image::Frame;
use crate::memory_bank::Precision;
use crate::parallel::Pool;
use crate::score::{self, Calibration, DEFAULT_SIGMA, MapPlan};
use crate::search::{Index, Scratch, Search};
use crate::tensor::{Neighbor, Patches};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What one photograph was found to be.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Prediction<'a> {
    /// The image score: distance in embedding space, from 0 up.
    pub score: f32,
    /// The score relative to the threshold, in `[0, 1]`, with the threshold at 0.5; `None` where the model knows no range of
    /// scores.
    pub normalized_score: Option<f32>,
    /// Whether the score reaches the threshold; `None` where the model has none, as if trained on one photograph.
    pub is_anomalous: Option<bool>,
    /// The anomaly map: `[map_height, map_width]` smoothed patch scores, in the score's units.
    pub map: &'a [f32],
    /// Rows of the map: the network's input height.
    pub map_height: usize,
    /// Columns of the map: the network's input width.
    pub map_width: usize,
    /// Where the time went.
    pub timings: Timings,
}

/// Time a stage took.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Timings {
    /// Resize, crop, normalise.
    pub preprocess: Duration,
    /// The network.
    pub backbone: Duration,
    /// Pooling, upsampling, concatenation.
    pub patches: Duration,
    /// Nearest neighbours of all patches.
    pub search: Duration,
    /// Image score and anomaly map.
    pub score: Duration,
}

impl Timings {
    /// All stages together.
    pub fn total(&self) -> Duration {
        self.preprocess + self.backbone + self.patches + self.search + self.score
    }
}

/// Scores photographs with one model. Owns its working memory: make one a thread, and keep it. Dropped, its threads end by
/// themselves, perhaps a little later.
pub struct Session {
    model: PatchCore,
    pool: Arc<Pool>,
    extractor: PatchExtractor,
    scorer: Scorer,
    has_predicted: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut session = f.debug_struct("Session");
        session.field("model", &self.model).field("threads", &self.pool.threads()).finish_non_exhaustive()
    }
}

impl Session {
    /// A session on `threads` threads of its own; 0 means one for each core, 1 starts none.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn new(model: &PatchCore, threads: usize) -> Result<Self> {
        Self::with_pool(model, Arc::new(Pool::new(threads)?))
    }

    /// A session on the threads of `pool`, which other sessions may share.
    ///
    /// # Errors
    /// The model is damaged so that its patches do not make a map.
    pub fn with_pool(model: &PatchCore, pool: Arc<Pool>) -> Result<Self> {
        let inner = &model.0;
        let extractor = PatchExtractor::new(&inner.network, &inner.metadata.preprocess, inner.isa)?;
        let scorer = Scorer::new(
            inner.network.grid(),
            inner.metadata.preprocess.output_size(),
            inner.metadata.neighbors,
        )?;
        Ok(Self { model: model.clone(), pool, extractor, scorer, has_predicted: false })
    }

    /// Scores `frame`. A frame allocates if it is the first, of another size than the one before, has more samples a pixel
    /// than any before, or fails; others do not, except that [`SearchKind::KdTree`](crate::search::SearchKind::KdTree)
    /// always does. Where it fails there is no map or mask, the one before is gone.
    ///
    /// # Errors
    /// The model is damaged so that the score is no finite number.
    pub fn predict(&mut self, frame: &Frame<'_>) -> Result<Prediction<'_>> {
        self.forget();
        let Self { model, pool, extractor, scorer, has_predicted } = self;
        let inner = &*model.0;
        pool.install(|| {
            let (patches, mut timings) = extractor.extract(frame, pool)?;
            let score = scorer.run(&inner.index, patches, inner.isa, pool, &mut timings)?;
            *has_predicted = true;
            let calibration = &inner.metadata.calibration;
            let (map_height, map_width) = inner.metadata.preprocess.output_size();
            Ok(Prediction {
                score,
                normalized_score: calibration.normalize_score(score),
                is_anomalous: calibration.is_anomalous(score),
                map: &scorer.map,
                map_height,
                map_width,
                timings,
            })
        })
    }

    /// From here on there is no map or mask, until the next prediction.
    pub(crate) fn forget(&mut self) {
        self.has_predicted = false;
    }

    /// The image score of `frame` alone: the same as [`predict`](Self::predict) gives, sooner, because patches that cannot be the
    /// strongest are left. The map and mask stay those of the last prediction.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn score(&mut self, frame: &Frame<'_>) -> Result<f32> {
        let Self { model, pool, extractor, scorer, .. } = self;
        let inner = &*model.0;
        pool.install(|| {
            let (patches, _) = extractor.extract(frame, pool)?;
            scorer.score(&inner.index, patches, pool)
        })
    }

    /// The anomaly map of the last prediction, as [`Prediction::map`].
    ///
    /// # Errors
    /// Nothing was predicted yet, or the last prediction failed.
    pub fn map(&self) -> Result<&[f32]> {
        match self.has_predicted {
            true => Ok(&self.scorer.map),
            false => Err(Error::argument(
                "session",
                "no prediction",
                "one that succeeded before its map is asked for",
            )),
        }
    }

    /// Writes the anomaly map of the last prediction, scaled to `width` columns and `height` rows over the whole
    /// photograph, in the score's units. Outside a centre crop nothing was looked at and the map is 0.
    ///
    /// # Errors
    /// Nothing was predicted yet, the last prediction failed, or `out` does not hold `width * height` values.
    pub fn map_over_image(&self, width: usize, height: usize, out: &mut [f32]) -> Result<()> {
        self.over_image("map buffer", width, height, out, |value| value)
    }

    /// Writes the mask of the last prediction, scaled like [`map_over_image`](Self::map_over_image): 255 where the
    /// map reaches the pixel threshold, else 0, as outside a centre crop.
    ///
    /// # Errors
    /// As `map_over_image`.
    pub fn mask_over_image(&self, width: usize, height: usize, out: &mut [u8]) -> Result<()> {
        let Calibration { pixel, rule, .. } = self.model.calibration();
        let is_anomalous = pixel.labeller(*rule);
        self.over_image("mask buffer", width, height, out, |value| if is_anomalous(value) { 255 } else { 0 })
    }

    /// Writes what `of` makes of the map's values to `out`, which errors call `name`.
    fn over_image<T: Copy + Default>(
        &self,
        name: &str,
        width: usize,
        height: usize,
        out: &mut [T],
        of: impl Fn(f32) -> T,
    ) -> Result<()> {
        let map = self.map()?;
        if width.checked_mul(height) != Some(out.len()) || out.is_empty() {
            return Err(Error::argument(
                name,
                format!("{} values", out.len()),
                format!("{width} x {height}"),
            ));
        }
        over_image(map, self.model.info().preprocess(), width, out, of);
        Ok(())
    }

    /// Number of threads that predictions are split over.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The model that this session scores with.
    pub fn model(&self) -> &PatchCore {
        &self.model
    }
}

/// Patch embeddings in, image score and anomaly map out: the second half of the way.
pub(super) struct Scorer {
    neighbors: u32,
    plan: MapPlan,
    scratch: Scratch,
    nearest: Vec<Neighbor>,
    around: Vec<Neighbor>,
    /// The bank's row that the neighbours are looked for of, where it had to be widened.
    row: Vec<f32>,
    distances: Vec<f32>,
    pub(super) map: Vec<f32>,
}

impl Scorer {
    pub(super) fn new(grid: (usize, usize), output: (usize, usize), neighbors: u32) -> Result<Self> {
        Ok(Self {
            neighbors,
            plan: MapPlan::new(grid, output, DEFAULT_SIGMA)?,
            scratch: Scratch::default(),
            nearest: Vec::new(),
            around: Vec::new(),
            row: Vec::new(),
            distances: Vec::new(),
            map: vec![0.0; output.0 * output.1],
        })
    }

    /// Bytes that a scorer takes, once it was used on `threads` threads.
    pub(super) fn bytes(
        index: &Index,
        grid: (usize, usize),
        output: (usize, usize),
        neighbors: u32,
        threads: usize,
    ) -> Result<usize> {
        let (patches, k) = (grid.0 * grid.1, (neighbors as usize).min(index.bank().count()));
        let plan = MapPlan::new(grid, output, DEFAULT_SIGMA)?.bytes();
        let map = output.0 * output.1 * size_of::<f32>();
        let lists = patches.max(k) * size_of::<f32>() + (patches + k) * size_of::<Neighbor>();
        let row = if index.bank().precision() == Precision::Half {
            index.bank().dim() * size_of::<f32>()
        } else {
            0
        };
        Ok(plan + map + lists + row + index.scratch_bytes(grid, k, threads))
    }

    pub(super) fn run(
        &mut self,
        index: &Index,
        patches: Patches<'_>,
        isa: crate::kernels::Isa,
        pool: &Pool,
        timings: &mut Timings,
    ) -> Result<f32> {
        let start = Instant::now();
        self.nearest.resize(patches.rows(), Neighbor::default());
        index.nearest(patches, &mut self.scratch, pool, &mut self.nearest);
        let searched = Instant::now();
        let score = self.image_score(index, patches, pool)?;
        self.distances.clear();
        self.distances.extend(self.nearest.iter().map(|n| n.distance));
        self.plan.run(&self.distances, isa, &mut self.map)?;
        timings.search = searched - start;
        timings.score = searched.elapsed();
        Ok(score)
    }

    /// The image score, without patch scores.
    fn score(&mut self, index: &Index, patches: Patches<'_>, pool: &Pool) -> Result<f32> {
        self.nearest.resize(patches.rows(), Neighbor::default());
        index.farthest(patches, &mut self.scratch, pool, &mut self.nearest);
        self.image_score(index, patches, pool)
    }

    /// The largest patch score, re-weighted by how crowded the memory bank is around its nearest row (paper,
    /// equation 7, as the reference computes it).
    fn image_score(&mut self, index: &Index, patches: Patches<'_>, pool: &Pool) -> Result<f32> {
        let Some((patch, strongest)) = score::strongest(&self.nearest) else { return Ok(0.0) };
        // No patch is farther, so that the whole map is finite with it.
        finite(strongest.distance)?;
        if self.neighbors == 1 || index.bank().count() == 1 {
            return Ok(strongest.distance);
        }
        let query = patches.row(patch);
        index.k_nearest(
            index.bank().get(strongest.index as usize, &mut self.row),
            self.neighbors as usize,
            &mut self.scratch,
            pool,
            &mut self.around,
        );
        self.distances.clear();
        self.distances.extend(self.around.iter().map(|n| index.distance(query, n.index)));
        finite(score::reweight(&self.distances, strongest.distance))
    }
}

fn finite(score: f32) -> Result<f32> {
    match score.is_finite() {
        true => Ok(score),
        false => Err(Error::format("score", score, "a finite number")
            .hint("the model is damaged, or its network's values overflow")),
    }
}
