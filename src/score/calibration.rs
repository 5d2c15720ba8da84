//! What a score means: threshold, range and label.

use super::good_scores::FalseAlarmRate;
use crate::error::{Error, Result};
use std::fmt;

/// How raw scores of one kind (of images, or of pixels) map to `[0, 1]`, with the threshold at 0.5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Samples with at least this raw score are anomalous; NaN where unknown: then the middle of the range.
    pub threshold: f32,
    /// Lowest raw score seen in calibration; NaN where unknown: then scores stay raw.
    pub min: f32,
    /// Highest raw score seen in calibration; NaN where unknown: then scores stay raw.
    pub max: f32,
    /// 0 to 1: more labels more samples anomalous. 0.5 labels by the threshold, NaN labels none.
    pub sensitivity: f32,
}

/// Whether a score that is exactly at the threshold is anomalous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelRule {
    /// It is; raw scores are compared. The rule of the models trained here.
    #[default]
    AtOrAbove,
    /// It is not; normalised scores are compared. The reference's rule, kept for its checkpoints.
    StrictlyAbove,
}

/// What the thresholds were computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum CalibrationSource {
    /// Nothing.
    #[default]
    None,
    /// The highest F1 on labelled photographs: the reference's rule.
    BestF1 {
        /// Good photographs.
        good: u32,
        /// Photographs with a defect.
        defective: u32,
    },
    /// Good photographs alone, each scored against a memory bank without it.
    GoodPhotographs {
        /// How many.
        photographs: u32,
        /// How often a good photograph is expected to reach the image threshold.
        rate: FalseAlarmRate,
    },
    /// A checkpoint of the reference implementation.
    Imported,
    /// A person, who set the image threshold.
    Manual,
}

/// Turns raw scores and maps into normalised ones and into labels.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Calibration {
    /// For image scores.
    pub image: Normalization,
    /// For the values of anomaly maps.
    pub pixel: Normalization,
    /// What holds at the threshold.
    pub rule: LabelRule,
    /// The value that maps of good photographs have in most places, for the edges of
    /// [regions](super::Region); NaN where it is unknown: masks then mark all pixels that reach the pixel
    /// threshold, as the reference's do.
    pub typical_map_value: f32,
    /// Where the thresholds come from.
    pub source: CalibrationSource,
}

impl Normalization {
    /// Nothing known: scores stay raw.
    pub const UNSET: Self = Self { threshold: f32::NAN, min: f32::NAN, max: f32::NAN, sensitivity: 0.5 };

    /// `x` in `[0, 1]`, the threshold at 0.5; scores more than half the range away from it are clamped (the
    /// formula of anomalib's `PostProcessor._normalize`). Without a range `x` itself.
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

    /// Threshold, lowest and highest score, sensitivity.
    pub(crate) fn numbers(&self) -> [f32; 4] {
        [self.threshold, self.min, self.max, self.sensitivity]
    }

    /// From [`numbers`](Self::numbers).
    pub(crate) fn from_numbers([threshold, min, max, sensitivity]: [f32; 4]) -> Self {
        Self { threshold, min, max, sensitivity }
    }

    /// Good scores from `min` on: 0 at `min`, and 1 as far above the threshold as `min` is below, since no
    /// defect has shown how far scores go.
    pub(super) fn above_good(min: f32, threshold: f32) -> Self {
        let min = min.min(threshold);
        Self { threshold, min, max: threshold + (threshold - min), sensitivity: 0.5 }
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

    /// The raw score that parts what [`labeller`](Self::labeller) calls anomalous from what it does not, if
    /// there is one.
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
        typical_map_value: f32::NAN,
        source: CalibrationSource::None,
    };

    /// That of a checkpoint of the reference. With `match_thresholds` (its `enable_threshold_matching`) a
    /// kind without a threshold takes the other's. Where its `enable_normalization` is off, pass ranges of
    /// NaN.
    pub fn imported(mut image: Normalization, mut pixel: Normalization, match_thresholds: bool) -> Self {
        if match_thresholds {
            let or = |own: f32, other: f32| if own.is_nan() { other } else { own };
            (image.threshold, pixel.threshold) =
                (or(image.threshold, pixel.threshold), or(pixel.threshold, image.threshold));
        }
        let (rule, source) = (LabelRule::StrictlyAbove, CalibrationSource::Imported);
        Self { image, pixel, rule, typical_map_value: f32::NAN, source }
    }

    /// The same with another image threshold: photographs with at least this raw score are anomalous. Pixels
    /// are labelled as before, except those exactly at a threshold of the reference.
    ///
    /// # Errors
    /// The threshold is not a finite number above 0.
    pub fn with_image_threshold(self, threshold: f32) -> Result<Self> {
        check_threshold("image threshold", threshold)?;
        Ok(Self {
            image: Normalization { threshold, sensitivity: 0.5, ..self.image },
            pixel: self.pixel.at_or_above(self.rule),
            rule: LabelRule::AtOrAbove,
            source: CalibrationSource::Manual,
            ..self
        })
    }

    /// The same with another pixel threshold: in the maps of anomalous photographs, pixels with at least this
    /// raw value belong to a region. Photographs are labelled as before, except those exactly at a threshold
    /// of the reference.
    ///
    /// # Errors
    /// The threshold is not a finite number above 0.
    pub fn with_pixel_threshold(self, threshold: f32) -> Result<Self> {
        check_threshold("pixel threshold", threshold)?;
        Ok(Self {
            image: self.image.at_or_above(self.rule),
            pixel: Normalization { threshold, sensitivity: 0.5, ..self.pixel },
            rule: LabelRule::AtOrAbove,
            ..self
        })
    }

    /// Checks every number.
    ///
    /// # Errors
    /// A number is infinite, or a range has its lowest score above its highest.
    pub fn validate(&self) -> Result<()> {
        let numbers = self.image.numbers().into_iter().chain(self.pixel.numbers());
        if let Some(number) = numbers.chain([self.typical_map_value]).find(|n| n.is_infinite()) {
            return Err(Error::format("calibration", number, "finite numbers, or NaN where one is unknown"));
        }
        for Normalization { min, max, .. } in [self.image, self.pixel] {
            if min > max {
                let found = format!("a range from {min} to {max}");
                return Err(Error::format("calibration", found, "the lowest score first"));
            }
        }
        Ok(())
    }

    /// The image threshold in raw scores, the sensitivity taken into account: photographs scoring at least
    /// this are anomalous. `None` where none is.
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

    /// Brings the values of an anomaly map to `[0, 1]` in place, the pixel threshold to 0.5. Where the range
    /// is unknown they stay as they are.
    pub fn normalize_map(&self, map: &mut [f32]) {
        map.iter_mut().for_each(|value| *value = self.pixel.apply(*value));
    }

    /// `score` in units of the image threshold: 1 is the limit. `None` where there is no threshold, or it is
    /// not above 0.
    pub fn threshold_ratio(&self, score: f32) -> Option<f32> {
        self.image_threshold().filter(|&threshold| threshold > 0.0).map(|threshold| score / threshold)
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

fn check_threshold(name: &str, threshold: f32) -> Result<()> {
    match threshold > 0.0 && threshold.is_finite() {
        true => Ok(()),
        false => Err(Error::argument(name, threshold, "a finite number above 0")),
    }
}

impl fmt::Display for CalibrationSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "no threshold: photographs are scored, not judged"),
            Self::BestF1 { good, defective } => {
                write!(f, "threshold of the highest F1 on {good} good and {defective} defective photographs")
            }
            Self::GoodPhotographs { photographs, rate } => {
                write!(f, "threshold from {photographs} good photographs: {rate}")
            }
            Self::Imported => write!(f, "threshold of the imported checkpoint"),
            Self::Manual => write!(f, "threshold set by hand"),
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
                let given = imported.with_image_threshold(2.5).unwrap();
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
    fn a_range_that_runs_downwards_is_refused() {
        let turned = Normalization { min: 4.0, max: 0.5, ..KNOWN };
        for calibration in [
            Calibration { image: turned, ..Calibration::NONE },
            Calibration { pixel: turned, ..Calibration::NONE },
        ] {
            let message = calibration.validate().unwrap_err().to_string();
            assert!(message.contains("a range from 4 to 0.5"), "{message}");
        }
    }

    #[test]
    fn thresholds_that_no_score_can_have_are_refused() {
        for threshold in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(Calibration::NONE.with_image_threshold(threshold).is_err());
            assert!(Calibration::NONE.with_pixel_threshold(threshold).is_err());
        }
        let pixels = Calibration::NONE.with_pixel_threshold(2.0).unwrap();
        assert_eq!((pixels.image_threshold(), pixels.pixel_threshold()), (None, Some(2.0)));
    }

    #[test]
    fn the_ratio_is_one_at_the_threshold() {
        let calibration = Calibration { image: KNOWN, ..Calibration::NONE };
        assert_eq!(calibration.threshold_ratio(1.7), Some(1.0));
        assert_eq!(calibration.threshold_ratio(3.4), Some(2.0));
        assert_eq!(Calibration::NONE.threshold_ratio(3.4), None);
    }
}
