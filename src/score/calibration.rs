//! What a score means: threshold, range and label.

use crate::error::{Error, Result};
use bincode::{Decode, Encode};
use std::fmt;

/// How raw scores of one kind (of images, or of pixels) map to `[0, 1]`, with the threshold at 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Normalization {
    /// Raw score from which on a sample is anomalous; NaN where unknown: then the middle of the range.
    pub threshold: f32,
    /// Lowest raw score seen in calibration; NaN where unknown: then scores stay raw.
    pub min: f32,
    /// Highest raw score seen in calibration; NaN where unknown: then scores stay raw.
    pub max: f32,
    /// 0 to 1: more labels more samples anomalous. 0.5 labels by the threshold, NaN labels none.
    pub sensitivity: f32,
}

/// Whether a score that is exactly at the threshold is anomalous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum LabelRule {
    /// It is; raw scores are compared. The rule of the models trained here.
    #[default]
    AtOrAbove,
    /// It is not; normalised scores are compared. The reference's rule, kept for its checkpoints.
    StrictlyAbove,
}

/// What the thresholds were computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum CalibrationSource {
    /// Nothing.
    #[default]
    None,
    /// Validation images of both kinds.
    Defects {
        /// Good images.
        good: u32,
        /// Images with a defect.
        defective: u32,
    },
    /// Good images alone, each scored against a memory bank without it.
    CrossValidation {
        /// Images.
        images: u32,
        /// The quantile of their scores that the threshold starts from, 0 to 1.
        quantile: f32,
    },
    /// A checkpoint of the reference implementation.
    Imported,
    /// Somebody who knows: the threshold of images. The rest is as it was found.
    Given,
}

/// Turns raw scores and maps into normalised ones and into labels.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Calibration {
    /// For image scores.
    pub image: Normalization,
    /// For the values of anomaly maps.
    pub pixel: Normalization,
    /// What holds at the threshold.
    pub rule: LabelRule,
    /// Where the thresholds come from.
    pub source: CalibrationSource,
}

impl Normalization {
    /// Nothing known: scores stay raw.
    pub const UNSET: Self = Self { threshold: f32::NAN, min: f32::NAN, max: f32::NAN, sensitivity: 0.5 };

    /// `x` in `[0, 1]`, the threshold at 0.5; scores more than half the range away from it are clamped (the formula of
    /// anomalib's `PostProcessor._normalize`). Without a range `x` itself.
    pub fn apply(&self, x: f32) -> f32 {
        if self.is_raw() {
            return x;
        }
        let above = x - self.threshold();
        if self.max == self.min {
            return if above > 0.0 {
                1.0
            } else if above < 0.0 {
                0.0
            } else {
                0.5
            };
        }
        (above / (self.max - self.min) + 0.5).clamp(0.0, 1.0)
    }

    fn numbers(&self) -> [f32; 4] {
        [self.threshold, self.min, self.max, self.sensitivity]
    }

    /// Whether the range is unknown, so that scores stay raw.
    pub fn is_raw(&self) -> bool {
        self.min.is_nan() || self.max.is_nan()
    }

    /// The threshold, or the middle of the range where it is unknown.
    fn threshold(&self) -> f32 {
        if self.threshold.is_nan() { (self.max + self.min) / 2.0 } else { self.threshold }
    }

    /// The raw score from which on a sample is anomalous at this sensitivity; NaN where unknown.
    fn cut(&self) -> f32 {
        match 0.5 - self.sensitivity {
            0.0 => self.threshold(),
            less => self.threshold() + less * (self.max - self.min),
        }
    }

    /// The raw score that parts what [`labeller`](Self::labeller) calls anomalous from what it does not, if there is one.
    fn effective_threshold(&self, rule: LabelRule) -> Option<f32> {
        let cut = match rule {
            LabelRule::StrictlyAbove if self.is_raw() => 1.0 - self.sensitivity,
            LabelRule::StrictlyAbove if self.sensitivity <= 0.0 => return None,
            _ => self.cut(),
        };
        cut.is_finite().then_some(cut)
    }

    /// What gives the same labels by [`LabelRule::AtOrAbove`], but for a score exactly at the threshold.
    fn at_or_above(self, rule: LabelRule) -> Self {
        match rule {
            LabelRule::AtOrAbove => self,
            LabelRule::StrictlyAbove if self.is_raw() => {
                let sensitivity = if self.sensitivity.is_nan() { f32::NAN } else { 0.5 };
                Self { threshold: 1.0 - self.sensitivity, sensitivity, ..self }
            }
            LabelRule::StrictlyAbove if self.sensitivity <= 0.0 => Self { sensitivity: f32::NAN, ..self },
            LabelRule::StrictlyAbove => self,
        }
    }

    /// The test for an anomalous raw score.
    pub(crate) fn labeller(self, rule: LabelRule) -> impl Fn(f32) -> bool {
        let (cut, normalized_cut) = (self.cut(), 1.0 - self.sensitivity);
        move |x| match rule {
            LabelRule::AtOrAbove => x >= cut,
            LabelRule::StrictlyAbove => self.apply(x) > normalized_cut,
        }
    }
}

impl Calibration {
    /// No calibration: scores stay raw and nothing is labelled anomalous.
    pub const NONE: Self = Self {
        image: Normalization::UNSET,
        pixel: Normalization::UNSET,
        rule: LabelRule::AtOrAbove,
        source: CalibrationSource::None,
    };

    /// That of a checkpoint of the reference. With `match_thresholds` (its `enable_threshold_matching`) a kind without
    /// a threshold takes the other's. Where its `enable_normalization` is off, pass ranges of NaN.
    pub fn imported(mut image: Normalization, mut pixel: Normalization, match_thresholds: bool) -> Self {
        if match_thresholds {
            let or = |own: f32, other: f32| if own.is_nan() { other } else { own };
            (image.threshold, pixel.threshold) =
                (or(image.threshold, pixel.threshold), or(pixel.threshold, image.threshold));
        }
        Self { image, pixel, rule: LabelRule::StrictlyAbove, source: CalibrationSource::Imported }
    }

    /// The same with the raw image score from which on an image is anomalous. Pixels are labelled as before, but for those exactly
    /// at a threshold of the reference.
    #[must_use]
    pub fn with_image_threshold(self, threshold: f32) -> Self {
        Self {
            image: Normalization { threshold, sensitivity: 0.5, ..self.image },
            pixel: self.pixel.at_or_above(self.rule),
            rule: LabelRule::AtOrAbove,
            source: CalibrationSource::Given,
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// One is infinite.
    pub fn validate(&self) -> Result<()> {
        match self.image.numbers().into_iter().chain(self.pixel.numbers()).find(|n| n.is_infinite()) {
            None => Ok(()),
            Some(number) => {
                Err(Error::format("calibration", number, "finite numbers, or NaN where one is unknown"))
            }
        }
    }

    /// The raw image score from which on an image is labelled anomalous, the sensitivity taken into account; `None` where
    /// none is.
    pub fn image_threshold(&self) -> Option<f32> {
        self.image.effective_threshold(self.rule)
    }

    /// As [`image_threshold`](Self::image_threshold), of the values of anomaly maps.
    pub fn pixel_threshold(&self) -> Option<f32> {
        self.pixel.effective_threshold(self.rule)
    }

    /// The image score in `[0, 1]`, the threshold at 0.5; `None` where the range is unknown.
    pub fn normalize_score(&self, score: f32) -> Option<f32> {
        (!self.image.is_raw()).then(|| self.image.apply(score))
    }

    /// Brings the values of an anomaly map to `[0, 1]` in place, the pixel threshold to 0.5. Where the range is unknown they
    /// stay as they are.
    pub fn normalize_map(&self, map: &mut [f32]) {
        map.iter_mut().for_each(|value| *value = self.pixel.apply(*value));
    }

    /// Whether an image of this raw score is anomalous; `None` where there is no threshold.
    pub fn is_anomalous(&self, score: f32) -> Option<bool> {
        self.image_threshold().map(|_| self.image.labeller(self.rule)(score))
    }

    /// Whether a pixel of this raw map value is anomalous; none is where there is no threshold.
    pub fn is_anomalous_pixel(&self, value: f32) -> bool {
        self.pixel.labeller(self.rule)(value)
    }

    /// Marks the anomalous pixels of a raw anomaly map.
    ///
    /// # Errors
    /// `map` and `out` differ in length.
    pub fn mask(&self, map: &[f32], out: &mut [bool]) -> Result<()> {
        if map.len() != out.len() {
            return Err(Error::argument("mask", format!("{} pixels", out.len()), format!("{}", map.len())));
        }
        let anomalous = self.pixel.labeller(self.rule);
        out.iter_mut().zip(map).for_each(|(out, &value)| *out = anomalous(value));
        Ok(())
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Display for CalibrationSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "not calibrated: scores are raw distances and nothing is labelled"),
            Self::Defects { good, defective } => {
                write!(f, "threshold of the highest F1 on {good} good and {defective} defective images")
            }
            Self::CrossValidation { images, quantile } => write!(
                f,
                "threshold from {images} good images, each scored against a memory bank without it \
                 (quantile {quantile} and a margin)"
            ),
            Self::Imported => write!(f, "threshold of the imported checkpoint"),
            Self::Given => write!(f, "threshold given"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Normalization = Normalization { threshold: 1.7, min: 0.5, max: 4.0, sensitivity: 0.5 };

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-6
    }

    /// The four cases are anomalib's own outputs.
    #[test]
    fn normalizes_as_the_reference() {
        for (score, expected) in [(1.2, 0.357_142_87), (3.0, 0.871_428_55), (9.0, 1.0), (0.1, 0.042_857_14)] {
            assert!(close(KNOWN.apply(score), expected), "{score}: {}", KNOWN.apply(score));
        }
        assert_eq!(KNOWN.apply(1.7), 0.5);
    }

    #[test]
    fn unknown_numbers_behave_as_in_the_reference() {
        let no_threshold = Normalization { threshold: f32::NAN, ..KNOWN };
        assert_eq!(no_threshold.apply(2.25), 0.5, "the middle of the range");
        assert_eq!(Normalization { min: f32::NAN, ..KNOWN }.apply(9.0), 9.0);
        assert_eq!(Normalization { max: f32::NAN, ..KNOWN }.apply(9.0), 9.0);
        let point = Normalization { min: 1.0, max: 1.0, threshold: 1.0, ..KNOWN };
        assert_eq!([0.9, 1.0, 1.1].map(|x| point.apply(x)), [0.0, 0.5, 1.0]);
        let raw = Calibration::imported(Normalization::UNSET, Normalization::UNSET, true);
        assert_eq!([0.51, 0.5].map(|x| raw.is_anomalous(x)), [Some(true), Some(false)]);
    }

    #[test]
    fn a_score_at_the_threshold_is_anomalous_in_ours_and_not_in_the_reference() {
        let imported = Calibration::imported(KNOWN, KNOWN, true);
        let ours = Calibration { rule: LabelRule::AtOrAbove, ..imported };
        assert_eq!([1.7, 1.7f32.next_down()].map(|x| ours.is_anomalous(x)), [Some(true), Some(false)]);
        assert_eq!([1.7, 1.700_001].map(|x| imported.is_anomalous(x)), [Some(false), Some(true)]);
        let mut mask = [false; 3];
        ours.mask(&[1.6, 1.7, 1.8], &mut mask).unwrap();
        assert_eq!(mask, [false, true, true]);
        imported.mask(&[1.6, 1.7, 1.8], &mut mask).unwrap();
        assert_eq!(mask, [false, false, true]);
        assert!(ours.mask(&[1.0], &mut mask).is_err());
    }

    #[test]
    fn both_rules_agree_away_from_the_threshold_at_every_sensitivity() {
        for sensitivity in [0.1, 0.3, 0.5, 0.8] {
            let scale = Normalization { sensitivity, ..KNOWN };
            let imported = Calibration::imported(scale, scale, true);
            let ours = Calibration { rule: LabelRule::AtOrAbove, ..imported };
            for score in (0..500).map(|i| i as f32 * 0.01 + 0.003) {
                assert_eq!(
                    ours.is_anomalous(score),
                    imported.is_anomalous(score),
                    "{score} at {sensitivity}"
                );
            }
        }
    }

    #[test]
    fn without_a_sensitivity_nothing_is_labelled() {
        for base in [KNOWN, Normalization::UNSET] {
            let scale = Normalization { sensitivity: f32::NAN, ..base };
            let imported = Calibration::imported(scale, scale, true);
            let ours = Calibration { rule: LabelRule::AtOrAbove, ..imported };
            assert_eq!((imported.is_anomalous(1e9), ours.is_anomalous(1e9)), (None, None));
        }
    }

    #[test]
    fn the_threshold_that_is_told_parts_the_labels() {
        let scales = [KNOWN, Normalization { threshold: f32::NAN, ..KNOWN }, Normalization::UNSET];
        for (scale, sensitivity) in scales.iter().flat_map(|scale| [0.2, 0.5, 0.8].map(|s| (*scale, s))) {
            let scale = Normalization { sensitivity, ..scale };
            for rule in [LabelRule::AtOrAbove, LabelRule::StrictlyAbove] {
                let calibration = Calibration { rule, ..Calibration::imported(scale, scale, true) };
                match calibration.image_threshold() {
                    Some(threshold) => {
                        let labels = [1e-4, -1e-4].map(|above| calibration.is_anomalous(threshold + above));
                        assert_eq!(labels, [Some(true), Some(false)], "{scale:?} {rule:?}");
                    }
                    None => assert_eq!(calibration.is_anomalous(1e9), None, "{scale:?} {rule:?}"),
                }
            }
        }
        for sensitivity in [f32::NAN, 0.0] {
            let scale = Normalization { sensitivity, ..KNOWN };
            assert_eq!(Calibration::imported(scale, scale, true).pixel_threshold(), None);
        }
        assert_eq!(Calibration::NONE.image_threshold(), None);
    }

    #[test]
    fn a_given_threshold_is_that_of_images_and_leaves_the_pixels() {
        for kind in [KNOWN, Normalization::UNSET] {
            for sensitivity in [0.0, 0.3, 0.5, 1.0, f32::NAN] {
                let pixel = Normalization { sensitivity, ..kind };
                let imported = Calibration::imported(kind, pixel, false);
                let given = imported.with_image_threshold(2.5);
                assert_eq!(given.image_threshold(), Some(2.5));
                assert_eq!((given.is_anomalous(2.49), given.is_anomalous(2.5)), (Some(false), Some(true)));
                for value in (1..60).map(|i| i as f32 / 10.0 + 0.013) {
                    let label = |calibration: Calibration| calibration.is_anomalous_pixel(value);
                    assert_eq!(
                        label(given),
                        label(imported),
                        "{value}, sensitivity {sensitivity} of {kind:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_missing_threshold_is_borrowed_only_if_asked() {
        let blank = Normalization { threshold: f32::NAN, min: 0.0, max: 1.0, sensitivity: 0.5 };
        assert_eq!(Calibration::imported(KNOWN, blank, true).pixel.threshold, 1.7);
        assert_eq!(Calibration::imported(blank, KNOWN, true).image.threshold, 1.7);
        assert!(Calibration::imported(KNOWN, blank, false).pixel.threshold.is_nan());
    }

    #[test]
    fn uncalibrated_scores_stay_raw_and_unlabelled() {
        let mut map = [3.0, 0.1];
        Calibration::NONE.normalize_map(&mut map);
        assert_eq!(map, [3.0, 0.1]);
        assert_eq!(Calibration::NONE.normalize_score(7.0), None);
        assert_eq!(Calibration::NONE.is_anomalous(1e9), None);
    }

    #[test]
    fn infinite_numbers_are_refused() {
        assert!(Calibration::NONE.validate().is_ok());
        let with = |pixel| Calibration { pixel, ..Calibration::NONE }.validate();
        assert!(with(KNOWN).is_ok());
        assert!(with(Normalization { max: f32::INFINITY, ..KNOWN }).is_err());
        assert!(with(Normalization { sensitivity: f32::NEG_INFINITY, ..KNOWN }).is_err());
    }

    #[test]
    fn survives_encoding() {
        let config = bincode::config::standard();
        let source = CalibrationSource::CrossValidation { images: 3, quantile: 0.99 };
        let calibration = Calibration { image: KNOWN, pixel: KNOWN, rule: LabelRule::AtOrAbove, source };
        let bytes = bincode::encode_to_vec(calibration, config).unwrap();
        let (back, _): (Calibration, usize) = bincode::decode_from_slice(&bytes, config).unwrap();
        assert_eq!(back, calibration);
    }
}
