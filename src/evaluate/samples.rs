//! A test part from its files to its results.

use super::{Evaluator, Ranked, Sample, fit_mask};
use crate::detector::Session;
use crate::error::{Error, Result};
use crate::image::{Limits, Mask, Picture, Preprocess, decode_mask};

/// Scores every photograph of a test part, and ranks the results with its masks. Calls `step` after each; its error ends
/// the work.
///
/// # Errors
/// A photograph or a mask cannot be read, or a mask is not of its photograph's size.
pub fn score_samples(
    session: &mut Session,
    samples: &[Sample],
    limits: &Limits,
    step: &mut dyn FnMut() -> Result<()>,
) -> Result<Ranked> {
    let Preprocess { resize, crop, .. } = *session.model().info().preprocess();
    let mut evaluator = Evaluator::new(session.model().info().preprocess().output_size());
    let mut marked = vec![false; session.map_size().0 * session.map_size().1];
    for sample in samples {
        let (picture, mask) = read(sample, limits)?;
        let mask =
            mask.map(|mask| fit_mask(&mask.data, (mask.height, mask.width), resize, crop)).transpose()?;
        if let Some(score) = session.model().info().good_scores().find(&picture.frame()) {
            // The memory bank has seen this photograph; its score was kept from a bank that had not.
            evaluator.add_score(&sample.path, score)?;
            step()?;
            continue;
        }
        let found = session.predict(&picture.frame()).map_err(|e| e.within(sample.path.display()))?;
        evaluator.add(&sample.path, sample.anomalous, found.score, session.map()?, mask.as_deref())?;
        session.mask(&mut marked)?;
        evaluator.add_marks(&marked, sample.anomalous, mask.as_deref())?;
        step()?;
    }
    Ok(evaluator.rank())
}

/// Reads every photograph and mask of a test part, as [`score_samples`] will after a long training. Calls `step` after each.
///
/// # Errors
/// As `score_samples`.
pub fn check_samples(
    samples: &[Sample],
    limits: &Limits,
    step: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    samples.iter().try_for_each(|sample| read(sample, limits).and_then(|_| step()))
}

/// A photograph, and its mask of the same size.
fn read(sample: &Sample, limits: &Limits) -> Result<(Picture, Option<Mask>)> {
    let picture = Picture::decode(&sample.path, limits)?;
    let Some(path) = &sample.mask else { return Ok((picture, None)) };
    let mask = decode_mask(path, limits)?;
    let (found, expected) = ((mask.width, mask.height), (picture.width(), picture.height()));
    if found != expected {
        let size = |(width, height): (usize, usize)| format!("{width}x{height}");
        let expected = format!("{}, the photograph's size", size(expected));
        return Err(Error::format(path.display(), size(found), expected));
    }
    Ok((picture, Some(mask)))
}
