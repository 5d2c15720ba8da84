//! Thresholds anew, from good photographs that the model has not learned from.

use super::map_summary::MapSummary;
use super::{PatchCore, Session};
use crate::error::Result;
use crate::image::Frame;
use crate::score::GoodScores;

/// Collects the scores of good photographs that a model has not learned from, for thresholds that fit the
/// present camera, light and parts.
///
/// ```no_run
/// # fn frames() -> Vec<patchcore::image::Frame<'static>> { Vec::new() }
/// use patchcore::{Calibrator, PatchCore, Session};
///
/// let model = PatchCore::open("flanges.pcore")?;
/// let mut calibrator = Calibrator::new(Session::new(&model, 0)?);
/// for frame in frames() {
///     calibrator.add(&frame)?;
/// }
/// let scores = calibrator.finish()?;
/// let model = model.with_calibration(scores.calibrate(0.001)?)?.with_good_scores(scores);
/// # Ok::<(), patchcore::Error>(())
/// ```
#[derive(Debug)]
pub struct Calibrator {
    session: Session,
    scored: Vec<(u32, f32, MapSummary)>,
}

impl Calibrator {
    /// A calibrator that scores with `session`.
    pub fn new(session: Session) -> Self {
        Self { session, scored: Vec::new() }
    }

    /// Scores the photograph of a good part. Returns its score.
    ///
    /// # Errors
    /// As [`Session::predict`].
    pub fn add(&mut self, frame: &Frame<'_>) -> Result<f32> {
        let score = self.session.predict(frame)?.score;
        let map = MapSummary::new(self.session.map()?, self.session.map_size().1);
        self.scored.push((frame.checksum(), score, map));
        Ok(score)
    }

    /// The model that the scores are of.
    pub fn model(&self) -> &PatchCore {
        self.session.model()
    }

    /// The scores of all photographs added.
    ///
    /// # Errors
    /// A score is not finite.
    pub fn finish(self) -> Result<GoodScores> {
        self.scores()
    }

    /// The scores of the photographs added so far.
    pub(crate) fn scores(&self) -> Result<GoodScores> {
        good_scores(&self.scored)
    }
}

/// The scores that a model keeps of photographs, each with its checksum.
///
/// # Errors
/// A score is not finite.
pub(super) fn good_scores(scored: &[(u32, f32, MapSummary)]) -> Result<GoodScores> {
    let mut means: Vec<f32> = scored.iter().map(|(_, _, map)| map.mean).collect();
    means.sort_unstable_by(f32::total_cmp);
    let typical = means.get(means.len() / 2).copied().unwrap_or(0.0);
    let lowest = scored.iter().map(|(_, _, map)| map.lowest).fold(typical, f32::min);
    GoodScores::new(
        scored.iter().map(|&(checksum, ..)| checksum).collect(),
        scored.iter().map(|&(_, score, _)| score).collect(),
        scored.iter().map(|(_, _, map)| map.peak).collect(),
        (lowest, typical),
    )
}
