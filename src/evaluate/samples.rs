//! A test part from its files to its results.

use super::mask_report::MaskReport;
use super::{Evaluator, Ranked, Sample, fit_mask};
use crate::detector::Session;
use crate::error::{Error, Result};
use crate::image::{DecodeOptions, Limits, Mask, Orientation, Photograph, Picture, Preprocess};
use std::path::Path;

/// Scores every photograph of a test part, and ranks the results with its masks. Calls `step` after each; its
/// error ends the work. Gives also what is unusual about the masks, each in one line.
///
/// Every value of a mask but 0 marks. A mask lies on its photograph as both are shown, each turned as its own
/// file states; for a model that ignores orientation, as both are stored.
///
/// # Errors
/// A photograph or a mask cannot be read, or a mask is not of its photograph's size.
pub fn score_samples(
    session: &mut Session,
    samples: &[Sample],
    limits: &Limits,
    step: &mut dyn FnMut() -> Result<()>,
) -> Result<(Ranked, Vec<String>)> {
    let Preprocess { resize, crop, .. } = *session.model().info().preprocess();
    let mut evaluator = Evaluator::new(session.model().info().preprocess().output_size());
    let mut marked = vec![false; session.map_size().0 * session.map_size().1];
    let options = session.model().info().decode_options(*limits);
    let mut report = MaskReport::default();
    for sample in samples {
        let (picture, mask) = read_sample(sample, &options, &mut report)?;
        let mask =
            mask.map(|mask| fit_mask(&mask.data, (mask.height, mask.width), resize, crop)).transpose()?;
        let known = session.model().info().good_scores().find(&picture.frame()).filter(|_| !sample.anomalous);
        if let Some(score) = known {
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
    Ok((evaluator.rank(), report.notes()))
}

/// Reads every photograph and mask of a test part by `options`, as [`score_samples`] will after a long
/// training. Calls `step` after each.
///
/// # Errors
/// As `score_samples`.
pub fn check_samples(
    samples: &[Sample],
    options: &DecodeOptions,
    step: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let mut report = MaskReport::default();
    samples.iter().try_for_each(|sample| read_sample(sample, options, &mut report).and_then(|_| step()))
}

/// A photograph, and what its masks of the same size mark together.
fn read_sample(
    sample: &Sample,
    options: &DecodeOptions,
    report: &mut MaskReport,
) -> Result<(Picture, Option<Mask>)> {
    let Photograph { picture, orientation, .. } = Photograph::decode(&sample.path, options)?;
    // Masks are drawn with all bits.
    let of_masks = DecodeOptions { bit_depth: None, ..*options };
    let mut whole: Option<Mask> = None;
    for path in &sample.masks {
        let drawn = Photograph::decode(path, &of_masks)?;
        check_size(path, &drawn.picture, &picture).map_err(|error| {
            match drawn.orientation == orientation {
                true => error,
                false => error.hint("where it is drawn on stored pixels, train with the orientation ignored"),
            }
        })?;
        report.add_mask(&sample.path, &drawn.picture);
        if options.orientation == Orientation::Exif && drawn.orientation != orientation {
            report.add_turned(&sample.path);
        }
        let drawn = drawn.picture;
        let mask = Mask { width: drawn.width(), height: drawn.height(), data: drawn.marked() };
        match &mut whole {
            None => whole = Some(mask),
            Some(whole) => {
                whole.data.iter_mut().zip(&mask.data).for_each(|(marked, &also)| *marked |= also);
            }
        }
    }
    if let Some(mask) = &whole {
        report.add_marks(&sample.path, sample.anomalous, &mask.data);
    }
    Ok((picture, whole))
}

/// Fails unless the mask `path` has the size of its photograph.
fn check_size(path: &Path, mask: &Picture, photograph: &Picture) -> Result<()> {
    let [found, expected] = [mask, photograph].map(|picture| (picture.width(), picture.height()));
    if found == expected {
        return Ok(());
    }
    let [found, expected] = [found, expected].map(|(width, height)| format!("{width}x{height}"));
    Err(Error::format(path.display(), found, format!("{expected}, the photograph's size")))
}
