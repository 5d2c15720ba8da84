//! Takes the results of a test set image by image.

use super::metrics::{self, FPR_LIMIT, PixelRanking, PixelScores};
use super::report::{Compat, Evaluation, ImageResult};
use crate::error::{Error, Result};
use crate::score::{Calibration, LabelRule, Normalization, Ranking, RankingBuilder};
use crate::tensor::not_finite;
use std::path::PathBuf;

/// Collects raw scores and maps of a test set: about 4 bytes a pixel, 45 MB for 170 images of 256 x 256; up
/// to twice that while the buffers grow.
#[derive(Debug)]
pub struct Evaluator {
    map_len: usize,
    images: Vec<(PathBuf, bool, f32)>,
    scores: RankingBuilder,
    pixels: PixelScores,
    /// The lowest and the highest value of all maps.
    map_range: (f32, f32),
    overlap: Overlap,
    kept_scores: usize,
}

/// Pixels that masks mark, against those that are defective.
#[derive(Clone, Copy, Debug, Default)]
struct Overlap {
    both: u64,
    marked: u64,
    defective: u64,
}

impl Overlap {
    /// F1 of the marked pixels; `None` where nothing is defective.
    fn f1(self) -> Option<f64> {
        (self.defective > 0).then(|| 2.0 * self.both as f64 / (self.marked + self.defective) as f64)
    }
}

impl Evaluator {
    /// For maps of `size` (height, width).
    pub fn new(size: (usize, usize)) -> Self {
        Self {
            map_len: size.0.saturating_mul(size.1),
            images: Vec::new(),
            scores: RankingBuilder::default(),
            pixels: PixelScores::new(size.1),
            map_range: (f32::INFINITY, f32::NEG_INFINITY),
            overlap: Overlap::default(),
            kept_scores: 0,
        }
    }

    /// Adds one image: whether it has a defect, its raw score and anomaly map, and the mask of its defects at
    /// the map's size. The pixels of a defective image without a mask count for the range of the maps alone.
    ///
    /// # Errors
    /// The map or the mask has another size, or a score or a map value is NaN or infinite. Nothing of the
    /// image counts then.
    pub fn add(
        &mut self,
        path: impl Into<PathBuf>,
        defective: bool,
        score: f32,
        map: &[f32],
        mask: Option<&[bool]>,
    ) -> Result<()> {
        let path = path.into();
        self.add_values(defective, score, map, mask).map_err(|e| e.within(path.display()))?;
        self.images.push((path, defective, score));
        Ok(())
    }

    /// Adds a good image of which only the score is known, as of a photograph that the model has learned
    /// from.
    ///
    /// # Errors
    /// The score is NaN or infinite.
    pub fn add_score(&mut self, path: impl Into<PathBuf>, score: f32) -> Result<()> {
        self.scores.push(score, false)?;
        self.images.push((path.into(), false, score));
        self.kept_scores += 1;
        Ok(())
    }

    /// Counts the pixels that the model marks in the image that was added last, against its defective ones:
    /// with all images counted, the F1 of pixels is that of the model's own masks. `mask` as for
    /// [`add`](Self::add).
    ///
    /// # Errors
    /// The masks differ in length.
    pub fn add_marks(&mut self, marked: &[bool], defective: bool, mask: Option<&[bool]>) -> Result<()> {
        if mask.is_none() && defective {
            return Ok(());
        }
        if mask.is_some_and(|mask| mask.len() != marked.len()) {
            return Err(Error::argument("marked pixels", marked.len(), "as many as the mask has"));
        }
        let count = |test: &dyn Fn(usize) -> bool| (0..marked.len()).filter(|&i| test(i)).count() as u64;
        let is_defective = |i: usize| mask.is_some_and(|mask| mask.get(i) == Some(&true));
        let is_marked = |i: usize| marked.get(i) == Some(&true);
        self.overlap.both += count(&|i| is_marked(i) && is_defective(i));
        self.overlap.marked += count(&is_marked);
        self.overlap.defective += count(&is_defective);
        Ok(())
    }

    fn add_values(&mut self, defective: bool, score: f32, map: &[f32], mask: Option<&[bool]>) -> Result<()> {
        if map.len() != self.map_len {
            return Err(Error::argument("anomaly map values", map.len(), self.map_len));
        }
        if !score.is_finite() {
            return Err(Error::argument("score", score, "a finite number"));
        }
        if let Some((_, value)) = not_finite(map) {
            return Err(Error::argument("anomaly map", value, "finite numbers"));
        }
        if mask.is_some() || !defective {
            self.pixels.add(map, mask)?;
        }
        self.map_range = map.iter().fold(self.map_range, |(low, high), &v| (low.min(v), high.max(v)));
        self.scores.push(score, defective)
    }

    /// Puts all scores and map values in order.
    pub fn rank(self) -> Ranked {
        Ranked {
            images: self.scores.rank(),
            pixels: self.pixels.rank(),
            map_range: self.map_range,
            results: self.images,
            overlap: self.overlap,
            kept_scores: self.kept_scores,
        }
    }
}

/// The results of a test set in order, ready for thresholds and metrics.
#[derive(Debug)]
pub struct Ranked {
    images: Ranking,
    pixels: PixelRanking,
    map_range: (f32, f32),
    results: Vec<(PathBuf, bool, f32)>,
    overlap: Overlap,
    kept_scores: usize,
}

impl Ranked {
    /// The thresholds with the highest F1. `None` where the set has not both good and defective images.
    pub fn calibration(&self) -> Option<Calibration> {
        Calibration::from_labels(&self.images, self.pixels.ranking(), self.map_range)
    }

    /// Good photographs that the model has learned from, whose scores are those by memory banks that had not
    /// seen them.
    pub fn kept_scores(&self) -> usize {
        self.kept_scores
    }

    /// The image scores of both classes, in order.
    pub fn images(&self) -> &Ranking {
        &self.images
    }

    /// Computes all metrics; labels and normalised scores are those of `calibration`. The F1 of pixels is
    /// that of the masks that were [counted](Evaluator::add_marks), or, where none were, of all pixels that
    /// reach the pixel threshold.
    pub fn evaluate(&self, calibration: &Calibration) -> Evaluation {
        let (images, pixels) = (&self.images, self.pixels.ranking());
        let (image, pixel) = (calibration.image, calibration.pixel);
        let (image_threshold, pixel_threshold) =
            (calibration.image_threshold(), calibration.pixel_threshold());
        let f1 = |ranking, scale: Normalization, threshold: Option<f32>| {
            threshold.and_then(|_| metrics::f1(ranking, scale.labeller(calibration.rule)))
        };
        let result = |(path, defective, score): &(PathBuf, bool, f32)| ImageResult {
            path: path.clone(),
            label: *defective,
            score: *score,
            normalized_score: calibration.normalize_score(*score),
            is_anomalous: calibration.is_anomalous(*score),
        };
        Evaluation {
            image_auroc: metrics::auroc(images),
            image_f1: f1(images, image, image_threshold),
            image_f1_max: metrics::f1_max(images).map(|best| best.f1),
            image_f1_max_threshold: metrics::f1_max(images).map(|best| best.threshold),
            image_threshold,
            pixel_auroc: metrics::auroc(pixels),
            pixel_f1: match calibration.typical_map_value.is_nan() {
                false => self.overlap.f1(),
                true => f1(pixels, pixel, pixel_threshold),
            },
            pixel_f1_max: metrics::f1_max(pixels).map(|best| best.f1),
            pixel_f1_max_threshold: metrics::f1_max(pixels).map(|best| best.threshold),
            pixel_threshold,
            aupro: self.pixels.aupro(FPR_LIMIT),
            compat: Compat {
                image_auroc: metrics::auroc_of(images, |score| image.apply(score)),
                image_f1: metrics::f1(images, image.labeller(LabelRule::StrictlyAbove)),
                pixel_auroc: metrics::auroc_of(pixels, |value| pixel.apply(value)),
                pixel_f1: metrics::f1(pixels, pixel.labeller(LabelRule::StrictlyAbove)),
            },
            calibration: calibration.source.to_string(),
            images: self.results.iter().map(result).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::CalibrationSource;

    /// Four images of 2 x 2; the first defective one has its threshold's own score.
    fn evaluator() -> Evaluator {
        let mut evaluator = Evaluator::new((2, 2));
        evaluator.add("good/0.png", false, 1.0, &[0.1, 0.2, 0.3, 0.4], None).unwrap();
        evaluator.add("good/1.png", false, 1.5, &[0.1, 0.2, 0.3, 1.1], None).unwrap();
        evaluator
            .add("bent/0.png", true, 2.0, &[0.1, 0.2, 1.2, 0.4], Some(&[false, false, true, false]))
            .unwrap();
        evaluator
            .add("bent/1.png", true, 3.0, &[0.1, 0.2, 1.3, 0.4], Some(&[false, true, true, false]))
            .unwrap();
        evaluator
    }

    fn calibration(rule: LabelRule) -> Calibration {
        let image = Normalization { threshold: 2.0, min: 1.0, max: 3.0, sensitivity: 0.5 };
        let pixel = Normalization { threshold: 1.0, min: 0.1, max: 1.3, sensitivity: 0.5 };
        Calibration { image, pixel, rule, source: CalibrationSource::Imported, ..Calibration::NONE }
    }

    #[test]
    fn ours_and_the_references_metrics_stand_side_by_side() {
        let ours = evaluator().rank().evaluate(&calibration(LabelRule::AtOrAbove));
        assert_eq!((ours.image_auroc, ours.image_f1, ours.image_f1_max), (Some(1.0), Some(1.0), Some(1.0)));
        assert_eq!(ours.image_threshold, Some(2.0));
        assert_eq!(
            ours.images.iter().map(|i| i.is_anomalous).collect::<Vec<_>>(),
            [false, false, true, true].map(Some)
        );
        assert_eq!(ours.images.iter().map(|i| i.label).collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(ours.images[2].normalized_score, Some(0.5));
        assert_eq!(ours.compat.image_f1, Some(2.0 / 3.0), "the one at the threshold is lost");
        assert_eq!(ours.pixel_f1, Some(2.0 * 2.0 / (2.0 * 2.0 + 1.0 + 1.0)));

        let imported = evaluator().rank().evaluate(&calibration(LabelRule::StrictlyAbove));
        assert_eq!(imported.image_f1, ours.compat.image_f1);
        assert_eq!(imported.compat, ours.compat);
        assert_eq!(imported.images[2].is_anomalous, Some(false));
    }

    #[test]
    fn clamping_ties_only_the_references_metric() {
        let narrow = Normalization { threshold: 2.0, min: 2.0, max: 2.1, sensitivity: 0.5 };
        let mut evaluator = Evaluator::new((1, 1));
        evaluator.add("a", false, 5.0, &[5.0], None).unwrap();
        evaluator.add("b", true, 6.0, &[6.0], Some(&[true])).unwrap();
        let both = Calibration { image: narrow, pixel: narrow, ..calibration(LabelRule::AtOrAbove) };
        let result = evaluator.rank().evaluate(&both);
        assert_eq!((result.image_auroc, result.pixel_auroc), (Some(1.0), Some(1.0)));
        assert_eq!((result.compat.image_auroc, result.compat.pixel_auroc), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn what_cannot_be_known_is_undefined() {
        let mut evaluator = Evaluator::new((1, 2));
        evaluator.add("a", true, 5.0, &[5.0, 1.0], None).unwrap();
        let result = evaluator.rank().evaluate(&Calibration::NONE);
        assert_eq!((result.image_auroc, result.image_f1, result.image_threshold), (None, None, None));
        assert_eq!((result.pixel_auroc, result.pixel_f1_max, result.aupro), (None, None, None));

        let uncalibrated = self::evaluator().rank().evaluate(&Calibration::NONE);
        assert_eq!((uncalibrated.image_auroc, uncalibrated.image_f1_max), (Some(1.0), Some(1.0)));
        assert_eq!((uncalibrated.image_f1, uncalibrated.pixel_f1), (None, None));
        assert_eq!(
            (uncalibrated.images[3].normalized_score, uncalibrated.images[3].is_anomalous),
            (None, None)
        );

        let labels_nothing =
            Normalization { sensitivity: f32::NAN, ..calibration(LabelRule::AtOrAbove).image };
        let imported = Calibration { image: labels_nothing, ..calibration(LabelRule::StrictlyAbove) };
        let found = self::evaluator().rank().evaluate(&imported);
        assert_eq!((found.image_f1, found.images[3].is_anomalous), (None, None));
        assert!(found.pixel_f1.is_some() && found.images[3].normalized_score.is_some());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut evaluator = Evaluator::new((2, 2));
        let mut message = |score, map: &[f32], mask| {
            evaluator.add("bent/7.png", true, score, map, mask).unwrap_err().to_string()
        };
        let short = message(1.0, &[0.0; 3], None);
        assert_eq!(short, "bent/7.png: anomaly map values: found 3, expected 4");
        assert!(message(1.0, &[0.0; 4], Some(&[true; 3][..])).starts_with("bent/7.png: mask: found 3"));
        assert!(message(f32::NAN, &[0.0; 4], None).starts_with("bent/7.png: score: found NaN"));
        let infinite = message(1.0, &[f32::INFINITY; 4], Some(&[true; 4][..]));
        assert!(infinite.starts_with("bent/7.png: anomaly map: found inf"), "{infinite}");
        assert!(message(1.0, &[f32::NAN; 4], None).starts_with("bent/7.png: anomaly map: found NaN"));
    }

    #[test]
    fn maps_without_masks_count_for_the_range() {
        let mut evaluator = Evaluator::new((1, 2));
        evaluator.add("good", false, 1.0, &[0.5, 1.0], None).unwrap();
        evaluator.add("bad", true, 3.0, &[0.2, 3.0], None).unwrap();
        assert!(evaluator.add("worse", true, f32::NAN, &[0.0, 9.0], None).is_err());
        let pixel = evaluator.rank().calibration().unwrap().pixel;
        assert_eq!((pixel.min, pixel.max, pixel.threshold), (0.2, 3.0, 2.0));
    }

    #[test]
    fn a_calibration_from_the_same_scores_reaches_the_highest_f1() {
        let scores = [1.0, 4.0, 2.5, 3.0, 2.0, 5.0];
        let defective = [false, false, false, true, true, true];
        let mut evaluator = Evaluator::new((1, 1));
        for (&score, &defective) in scores.iter().zip(&defective) {
            evaluator.add("x", defective, score, &[score], Some(&[defective])).unwrap();
        }
        let ranking = Ranking::new(&scores, &defective).unwrap();
        let result =
            evaluator.rank().evaluate(&Calibration::from_labels(&ranking, &ranking, (1.0, 5.0)).unwrap());
        assert!(result.image_f1.is_some() && result.image_f1 == result.image_f1_max);
        assert!(result.pixel_f1.is_some() && result.pixel_f1 == result.pixel_f1_max);
    }
}
