//! Predictions, without allocating after the first.

use super::resize_map::{map_over_image, mask_over_image, region_in_image};
use super::{PatchCore, PatchExtractor, Roi};
use crate::error::{Error, Result};
use crate::image::Frame;
use crate::memory_bank::Precision;
use crate::parallel::Pool;
use crate::score::{self, Calibration, DEFAULT_SIGMA, MapPlan, Region, RegionFinder};
use crate::search::{Index, Scratch, Search};
use crate::tensor::{Neighbor, Patches};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a model decides about a photograph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The score is below the image threshold.
    Good,
    /// The score reaches the image threshold.
    Anomalous,
    /// The model has no threshold, as if trained on a single photograph: it scores and does not judge.
    NoThreshold,
}

impl Decision {
    /// Whether the photograph is anomalous; `None` where the model has no threshold.
    pub fn is_anomalous(self) -> Option<bool> {
        match self {
            Self::Good => Some(false),
            Self::Anomalous => Some(true),
            Self::NoThreshold => None,
        }
    }
}

impl From<Option<bool>> for Decision {
    fn from(is_anomalous: Option<bool>) -> Self {
        match is_anomalous {
            Some(false) => Self::Good,
            Some(true) => Self::Anomalous,
            None => Self::NoThreshold,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Anomalous => "anomalous",
            Self::NoThreshold => "no threshold",
        })
    }
}

/// The result of one prediction. It borrows nothing: ask the [`Session`] for the anomaly map, the regions and
/// the mask afterwards.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The image score: distance in embedding space, from 0 up.
    pub score: f32,
    /// The score in units of the image threshold: 1 is the limit. `None` where the model has no threshold.
    pub threshold_ratio: Option<f32>,
    /// The reference's normalised score in `[0, 1]`, with the threshold at 0.5; `None` where the model knows
    /// no range of scores.
    pub normalized_score: Option<f32>,
    /// What the score means.
    pub decision: Decision,
    /// Time of each stage.
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

/// Scores photographs with one model. Owns its working memory: make one a thread, and keep it. Its threads
/// end soon after it is dropped.
///
/// ```no_run
/// use patchcore::image::{Frame, PixelFormat};
/// use patchcore::{Decision, PatchCore, Session};
///
/// let model = PatchCore::open("flanges.pcore")?;
/// let mut session = Session::new(&model, 1)?;
/// let pixels = vec![0; 640 * 480 * 3]; // from the camera
/// let verdict = session.predict(&Frame::new(640, 480, 640 * 3, PixelFormat::Bgr8, &pixels)?)?;
/// match verdict.decision {
///     Decision::Anomalous => {
///         for region in session.regions()? {
///             println!("defect at {},{}: {}x{} pixels", region.x, region.y, region.width, region.height);
///         }
///     }
///     Decision::Good => println!("good, {:.2} of the threshold", verdict.threshold_ratio.unwrap_or(0.0)),
///     Decision::NoThreshold => println!("score {}: calibrate the model first", verdict.score),
/// }
/// # Ok::<(), patchcore::Error>(())
/// ```
pub struct Session {
    model: PatchCore,
    pool: Arc<Pool>,
    extractor: PatchExtractor,
    scorer: Scorer,
    calibration: Calibration,
    regions: RegionFinder,
    /// Width and height of the photograph of the last prediction; `None` where there is none or it failed.
    predicted: Option<(usize, usize)>,
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
        let extractor = PatchExtractor::new(&inner.network, &inner.metadata.preprocess, inner.isa)?
            .with_roi(inner.roi.clone());
        let scorer = Scorer::new(
            inner.network.grid(),
            inner.metadata.preprocess.output_size(),
            inner.metadata.neighbors,
            inner.roi.clone(),
        )?;
        let regions = RegionFinder::new(inner.metadata.preprocess.output_size());
        let calibration = *model.calibration();
        Ok(Self { model: model.clone(), pool, extractor, scorer, calibration, regions, predicted: None })
    }

    /// Scores `frame` and decides whether it is anomalous.
    ///
    /// A frame allocates if it is the first, has another size than the one before, has more samples a pixel
    /// than any before, or fails; others do not, except with [`SearchKind::KdTree`](crate::SearchKind), which
    /// always allocates. After a failure there is no map, region or mask.
    ///
    /// # Errors
    /// The model is damaged so that the score is no finite number.
    pub fn predict(&mut self, frame: &Frame<'_>) -> Result<Verdict> {
        self.forget();
        let Self { model, pool, extractor, scorer, calibration, regions, predicted } = self;
        let inner = &*model.0;
        pool.install(|| {
            let (patches, mut timings) = extractor.extract(frame, pool)?;
            let score = scorer.run(&inner.index, patches, inner.isa, pool, &mut timings)?;
            let start = Instant::now();
            let decision = Decision::from(calibration.is_anomalous(score));
            find_regions(regions, &scorer.map, decision, calibration);
            timings.score += start.elapsed();
            *predicted = Some((frame.width(), frame.height()));
            Ok(Verdict {
                score,
                threshold_ratio: calibration.threshold_ratio(score),
                normalized_score: calibration.normalize_score(score),
                decision,
                timings,
            })
        })
    }

    /// From here on there is no map, region or mask, until the next prediction.
    pub(crate) fn forget(&mut self) {
        self.predicted = None;
    }

    /// Thresholds and ranges that predictions use: the model's, unless they were changed here.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Uses other thresholds and ranges from the next prediction on. The model keeps its own.
    ///
    /// # Errors
    /// A number is infinite, or a range has its lowest score above its highest.
    pub fn set_calibration(&mut self, calibration: Calibration) -> Result<()> {
        calibration.validate()?;
        self.calibration = calibration;
        Ok(())
    }

    /// The image score of `frame` alone: the same as [`predict`](Self::predict) gives, sooner, because
    /// patches that cannot be the strongest are left. The map and mask stay those of the last prediction.
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

    /// Height and width of the anomaly map: those of the network's input.
    pub fn map_size(&self) -> (usize, usize) {
        self.model.info().preprocess().output_size()
    }

    /// The anomaly map of the last prediction: `[height, width]` smoothed patch scores, in the score's units.
    ///
    /// # Errors
    /// Nothing was predicted yet, or the last prediction failed.
    pub fn map(&self) -> Result<&[f32]> {
        self.last_frame().map(|_| &self.scorer.map[..])
    }

    /// Where the photograph of the last prediction looks defective, in its pixels, the highest first; at most
    /// 256. An anomalous photograph has at least one region, any other none.
    ///
    /// # Errors
    /// Nothing was predicted yet, or the last prediction failed.
    pub fn regions(&self) -> Result<impl ExactSizeIterator<Item = Region> + '_> {
        let (width, height) = self.last_frame()?;
        let preprocess = *self.model.info().preprocess();
        let regions = self.regions.regions().iter();
        Ok(regions.map(move |region| region_in_image(region, &preprocess, width, height)))
    }

    /// Width and height of the photograph of the last prediction.
    fn last_frame(&self) -> Result<(usize, usize)> {
        let expected = "a prediction that succeeded before its map, regions or mask are asked for";
        self.predicted.ok_or_else(|| Error::argument("session", "no prediction", expected))
    }

    /// Writes the anomaly map of the last prediction, scaled to `width` columns and `height` rows over the
    /// whole photograph, in the score's units. Outside a centre crop, which the network does not see, the map
    /// is 0.
    ///
    /// # Errors
    /// Nothing was predicted yet, the last prediction failed, or `out` does not hold `width * height` values.
    pub fn map_over_image(&self, width: usize, height: usize, out: &mut [f32]) -> Result<()> {
        self.check_buffer("map buffer", width, height, out.len())?;
        map_over_image(self.map()?, self.model.info().preprocess(), width, out);
        Ok(())
    }

    /// Writes the mask of the last prediction, scaled like [`map_over_image`](Self::map_over_image): 255 in
    /// the [regions](Self::regions), else 0.
    ///
    /// # Errors
    /// As `map_over_image`.
    pub fn mask_over_image(&self, width: usize, height: usize, out: &mut [u8]) -> Result<()> {
        self.check_buffer("mask buffer", width, height, out.len())?;
        let preprocess = self.model.info().preprocess();
        mask_over_image(self.map()?, self.regions.cuts(), preprocess, width, out);
        // A region of one pixel of the map may fall between those of `out`.
        for region in self.regions.regions() {
            let peak = region_in_image(region, preprocess, width, height);
            out[peak.peak_y * width + peak.peak_x] = 255;
        }
        Ok(())
    }

    fn check_buffer(&self, name: &str, width: usize, height: usize, values: usize) -> Result<()> {
        match width.checked_mul(height) == Some(values) && values > 0 {
            true => Ok(()),
            false => Err(Error::argument(name, format!("{values} values"), format!("{width} x {height}"))),
        }
    }

    /// Writes the mask of the last prediction at the size of its map to `out`.
    ///
    /// # Errors
    /// Nothing was predicted yet, the last prediction failed, or `out` has another length than the map.
    pub fn mask(&self, out: &mut [bool]) -> Result<()> {
        let map = self.map()?;
        if map.len() != out.len() {
            return Err(Error::argument("mask", format!("{} pixels", out.len()), map.len()));
        }
        let marks = map.iter().zip(self.regions.cuts()).map(|(value, cut)| value >= cut);
        out.iter_mut().zip(marks).for_each(|(out, marked)| *out = marked);
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

/// Finds the regions of `map` where the photograph is anomalous, and where there is a threshold for pixels
/// alone.
fn find_regions(regions: &mut RegionFinder, map: &[f32], decision: Decision, calibration: &Calibration) {
    let typical = calibration.typical_map_value;
    match (decision, calibration.pixel_threshold()) {
        (Decision::Anomalous, threshold) => regions.find(map, threshold.unwrap_or(f32::INFINITY), typical),
        (Decision::NoThreshold, Some(threshold)) if map.iter().any(|&value| value >= threshold) => {
            regions.find(map, threshold, typical);
        }
        _ => regions.clear(),
    }
}

/// Patch embeddings in, image score and anomaly map out: the second half of the pipeline.
pub(super) struct Scorer {
    neighbors: u32,
    plan: MapPlan,
    roi: Option<Arc<Roi>>,
    scratch: Scratch,
    nearest: Vec<Neighbor>,
    around: Vec<Neighbor>,
    /// The bank's row that the neighbours are looked for of, where it had to be widened.
    row: Vec<f32>,
    distances: Vec<f32>,
    pub(super) map: Vec<f32>,
}

impl Scorer {
    /// A scorer of the patches of `grid` that lie inside `roi`.
    ///
    /// # Errors
    /// The grid does not make a map of size `output`.
    pub(super) fn new(
        grid: (usize, usize),
        output: (usize, usize),
        neighbors: u32,
        roi: Option<Arc<Roi>>,
    ) -> Result<Self> {
        Ok(Self {
            neighbors,
            plan: MapPlan::new(grid, output, DEFAULT_SIGMA)?,
            roi,
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
        roi: Option<&Roi>,
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
        Ok(plan + map + lists + row + index.scratch_bytes(roi.map_or(grid, Roi::grid), k, threads))
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
        if let Some(roi) = &self.roi {
            roi.spread(&mut self.distances);
        }
        self.plan.run(&self.distances, isa, &mut self.map)?;
        if let Some(roi) = &self.roi {
            roi.clear_outside(&mut self.map);
        }
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
