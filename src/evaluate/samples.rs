//! A test part from its files to its results.

use super::{Evaluator, Ranked, Sample, fit_mask};
use crate::detector::Session;
use crate::error::{Error, Result};
use crate::image::{Limits, Picture, Preprocess, decode_mask};
use std::path::Path;

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
    let preprocess = *session.model().information().preprocess();
    let mut evaluator = Evaluator::new(preprocess.output_size());
    for sample in samples {
        let picture = Picture::decode(&sample.path, limits)?;
        let mask =
            sample.mask.as_deref().map(|path| mask(path, &picture, &preprocess, limits)).transpose()?;
        let found = session.predict(&picture.frame()).map_err(|e| e.within(sample.path.display()))?;
        evaluator.add(&sample.path, sample.anomalous, found.score, found.map, mask.as_deref())?;
        step()?;
    }
    Ok(evaluator.rank())
}

/// The mask in `path`, which must be of the photograph's size, brought to the size of the anomaly map.
fn mask(path: &Path, picture: &Picture, preprocess: &Preprocess, limits: &Limits) -> Result<Vec<bool>> {
    let mask = decode_mask(path, limits)?;
    let (found, expected) = ((mask.width, mask.height), (picture.width(), picture.height()));
    if found != expected {
        let size = |(width, height): (usize, usize)| format!("{width}x{height}");
        return Err(Error::format(
            path.display(),
            size(found),
            format!("{}, the photograph's size", size(expected)),
        ));
    }
    fit_mask(&mask.data, (mask.height, mask.width), preprocess.resize, preprocess.crop)
}
