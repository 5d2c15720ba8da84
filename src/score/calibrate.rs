//! Calibrations from scored images.

use super::calibration::{Calibration, CalibrationSource, LabelRule, Normalization};
use super::ranking::Ranking;
use super::threshold::{f1_halfway, from_good};

impl Normalization {
    fn of((min, max): (f32, f32), threshold: f32) -> Self {
        Self { threshold, min, max, sensitivity: 0.5 }
    }

    /// Good scores from `min` on: 0 at `min`, and 1 as far above the threshold as `min` is below, since no defect has
    /// shown how far scores go.
    fn above_good(min: f32, threshold: f32) -> Self {
        Self { threshold, min, max: threshold + (threshold - min), sensitivity: 0.5 }
    }
}

impl Calibration {
    /// From validation images of both kinds: their raw scores, the values of their maps as far as masks tell what they
    /// should be, and the lowest and highest value of all maps, masks or not. Without a defective pixel the maps take the
    /// threshold of the images, as in the reference. `None` where one kind of image is missing.
    pub fn from_defects(images: &Ranking, pixels: &Ranking, map_range: (f32, f32)) -> Option<Self> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let threshold = f1_halfway(images)?;
        Some(Self {
            image: Normalization::of(images.range()?, threshold),
            pixel: Normalization::of(map_range, f1_halfway(pixels).unwrap_or(threshold)),
            rule: LabelRule::AtOrAbove,
            source: CalibrationSource::Defects {
                good: count(images.good()),
                defective: count(images.defective()),
            },
        })
    }

    /// From good images that the memory bank has not seen: their raw scores, the highest value of each one's map, the
    /// lowest value of all maps, and the quantile for [`from_good`]. `None` without images.
    pub fn from_good(scores: &[f32], map_peaks: &[f32], map_lowest: f32, quantile: f64) -> Option<Self> {
        let lowest = scores.iter().copied().reduce(f32::min)?;
        Some(Self {
            image: Normalization::above_good(lowest, from_good(scores, quantile)?),
            pixel: Normalization::above_good(map_lowest, from_good(map_peaks, quantile)?),
            rule: LabelRule::AtOrAbove,
            source: CalibrationSource::CrossValidation {
                images: u32::try_from(scores.len()).unwrap_or(u32::MAX),
                quantile: quantile as f32,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_defects_separates_and_without_masks_borrows_the_threshold() {
        let images = Ranking::new(&[1.0, 2.0, 4.0], &[false, false, true]).unwrap();
        let pixels = Ranking::new(&[0.5, 1.0, 3.5], &[false; 3]).unwrap();
        // The defective image's map, which has no mask, goes up to 6.
        let calibration = Calibration::from_defects(&images, &pixels, (0.5, 6.0)).unwrap();
        let expected = Normalization { threshold: 3.0, min: 1.0, max: 4.0, sensitivity: 0.5 };
        assert_eq!(calibration.image, expected);
        assert_eq!(calibration.pixel, Normalization { min: 0.5, max: 6.0, ..expected });
        assert_eq!(
            calibration.source.to_string(),
            "threshold of the highest F1 on 2 good and 1 defective images"
        );
        assert_eq!(Calibration::from_defects(&pixels, &pixels, (0.5, 3.5)), None);
    }

    #[test]
    fn from_good_puts_the_best_image_at_zero_and_labels_none() {
        let alike = Calibration::from_good(&[0.0; 3], &[0.0; 3], 0.0, 1.0).unwrap();
        assert_eq!([0.0, 0.1, 10.0].map(|s| alike.is_anomalous(s)), [false, true, true].map(Some));
        assert_eq!([0.0, 0.1, 10.0].map(|s| alike.normalize_score(s)), [0.0, 1.0, 1.0].map(Some));
        let scores = [1.0, 1.5, 1.2];
        let calibration = Calibration::from_good(&scores, &[0.8, 0.9, 1.0], 0.1, 1.0).unwrap();
        assert_eq!(calibration.normalize_score(1.0), Some(0.0));
        assert!(scores.iter().all(|&s| calibration.is_anomalous(s) == Some(false)));
        assert!(scores.iter().all(|&s| calibration.normalize_score(s).unwrap() < 0.5));
        assert!(calibration.pixel.threshold > 1.0);
        assert_eq!(Calibration::from_good(&[], &[], 0.0, 1.0), None);
    }
}
