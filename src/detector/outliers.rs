//! Photographs among the good ones that do not fit the others: a defective part, another part, a hand in the
//! picture.
//!
//! One defective photograph in the memory bank hides its defect for ever, and its score lifts the threshold
//! above faint defects. Each photograph is therefore scored by a memory bank that has not seen it. Several
//! defective photographs can vouch for one another, so that the highest scores are looked at again, against a
//! bank of the others alone:
//!
//! ```text
//! suspects   the fifth of the photographs with the highest cross-validated scores
//! rescored   each suspect, by a memory bank of the photographs that are no suspects
//! fitting    at first the photographs that are no suspects
//! for each suspect, the lowest rescored score first:
//!     limit = the threshold of the fitting ones' cross-validated scores for one false alarm in 10,000
//!     below the limit it joins the fitting ones; else it and all suspects above it are outliers
//! ```

use super::calibrator::good_scores;
use super::cross_validation::{CrossValidation, HeldOut};
use super::options::Observer;
use crate::error::Result;
use crate::score::GoodScores;

/// Share of the photographs that are scored again.
const SUSPECT_SHARE: f64 = 0.2;
/// A photograph that would be a false alarm as rarely as this is an outlier beyond doubt.
const OUTLIER_RATE: f64 = 1e-4;
/// Fewer photographs say too little of one another.
const MIN_PHOTOGRAPHS: usize = 10;

/// A photograph of the training that does not fit the others.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outlier {
    /// The photograph's number, in the order of being added.
    pub image: usize,
    /// Its score by a memory bank of photographs that fit.
    pub score: f32,
    /// The score that would have made it an outlier.
    pub limit: f32,
    /// Column and row of the highest value of its anomaly map, in pixels of the photograph.
    pub at: (usize, usize),
    /// Whether it was left out of the training.
    pub is_left_out: bool,
}

/// What cross-validation says about the photographs of a training.
#[derive(Default)]
pub(super) struct Screening {
    /// Scores of the photographs that fit, by banks that have not seen them.
    pub good: Vec<HeldOut>,
    /// Photographs that do not fit, the highest score first, each with the limit that it reached.
    pub outliers: Vec<(HeldOut, f32)>,
}

/// Scores `photographs`, each one photograph with its copies, and separates those that do not fit.
///
/// # Errors
/// Memory runs out, patches cannot be read, or `observer` stopped it.
pub(super) fn screen(
    cross_validation: &CrossValidation<'_>,
    photographs: &[Vec<usize>],
    observer: &mut Observer<'_>,
) -> Result<Screening> {
    let mut good = cross_validation.score_all(photographs, observer)?;
    if good.len() < MIN_PHOTOGRAPHS {
        return Ok(Screening { good, outliers: Vec::new() });
    }
    good.sort_by(|a, b| b.score.total_cmp(&a.score));
    let suspects = (good.len() as f64 * SUSPECT_SHARE) as usize;
    let others: Vec<usize> = good[suspects..].iter().map(|held_out| held_out.image).collect();
    let with_copies = |images: &[usize]| -> Vec<usize> {
        photographs.iter().filter(|copies| images.contains(&copies[0])).flatten().copied().collect()
    };
    let images: Vec<usize> = good[..suspects].iter().map(|held_out| held_out.image).collect();
    let mut rescored = cross_validation.score_against(&images, &with_copies(&others), observer)?;
    rescored.sort_by(|a, b| a.score.total_cmp(&b.score));
    separate(good, rescored)
}

/// Splits `scored` into photographs that fit and outliers; `rescored` are the suspects among them, scored
/// again, the lowest score first. Testing outwards keeps outliers from hiding one another (Davies and Gather,
/// "The Identification of Multiple Outliers", 1993).
fn separate(scored: Vec<HeldOut>, rescored: Vec<HeldOut>) -> Result<Screening> {
    let is_suspect = |held_out: &HeldOut| rescored.iter().any(|suspect| suspect.image == held_out.image);
    let (suspects, mut good): (Vec<HeldOut>, Vec<HeldOut>) = scored.into_iter().partition(is_suspect);
    let mut outliers: Vec<(HeldOut, f32)> = Vec::new();
    for suspect in rescored {
        let Some(limit) = kept_scores(&good, |_| 0)?.calibrate(OUTLIER_RATE)?.image_threshold() else {
            break;
        };
        if outliers.is_empty() && suspect.score < limit {
            good.extend(suspects.iter().filter(|first| first.image == suspect.image));
        } else {
            outliers.push((suspect, limit));
        }
    }
    outliers.reverse();
    Ok(Screening { good, outliers })
}

/// The scores that a model keeps, in the order of the photographs. `checksum` gives that of a photograph by
/// its number.
///
/// # Errors
/// A score is not finite.
pub(super) fn kept_scores(good: &[HeldOut], checksum: impl Fn(usize) -> u32) -> Result<GoodScores> {
    let mut by_image = good.to_vec();
    by_image.sort_unstable_by_key(|held_out| held_out.image);
    let scored = |held_out: HeldOut| (checksum(held_out.image), held_out.score, held_out.map);
    good_scores(&by_image.into_iter().map(scored).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::map_summary::MapSummary;

    fn held_out(image: usize, score: f32) -> HeldOut {
        let map = MapSummary { lowest: 0.1, mean: 0.3, peak: score, peak_at: (0, 0) };
        HeldOut { image, score, map }
    }

    fn good() -> Vec<HeldOut> {
        (0..40).map(|image| held_out(image, 0.5 + (image * 37 % 40) as f32 / 200.0)).collect()
    }

    #[test]
    fn photographs_far_above_the_others_are_separated_the_highest_first() {
        let mut all = good();
        all[7].score = 1.6;
        all[20].score = 1.9;
        let screening = separate(all.clone(), vec![all[3], all[7], all[20]]).unwrap();
        let images: Vec<usize> = screening.outliers.iter().map(|(outlier, _)| outlier.image).collect();
        assert_eq!(images, [20, 7]);
        assert_eq!(screening.good.len(), 38);
        assert!(screening.outliers.iter().all(|(outlier, limit)| outlier.score >= *limit));
    }

    #[test]
    fn the_highest_of_scores_that_belong_together_stays() {
        let all = good();
        let highest = *all.iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
        let screening = separate(all, vec![highest]).unwrap();
        assert!(screening.outliers.is_empty() && screening.good.len() == 40);
    }
}
