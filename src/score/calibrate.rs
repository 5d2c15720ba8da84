//! Calibrations from scored images.

use super::calibration::{Calibration, CalibrationSource, LabelRule, Normalization};
use super::ranking::Ranking;
use super::threshold::f1_halfway;

impl Normalization {
    fn of((min, max): (f32, f32), threshold: f32) -> Self {
        Self { threshold, min, max, sensitivity: 0.5 }
    }
}

impl Calibration {
    /// From validation images of both kinds: their raw scores, the values of their maps as far as masks tell
    /// what they should be, and the lowest and highest value of all maps, masks or not. Without a defective
    /// pixel the maps take the threshold of the images, as in the reference. `None` where one kind of image
    /// is missing.
    pub fn from_labels(images: &Ranking, pixels: &Ranking, map_range: (f32, f32)) -> Option<Self> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let threshold = f1_halfway(images)?;
        Some(Self {
            image: Normalization::of(images.range()?, threshold),
            pixel: Normalization::of(map_range, f1_halfway(pixels).unwrap_or(threshold)),
            rule: LabelRule::AtOrAbove,
            typical_map_value: f32::NAN,
            source: CalibrationSource::BestF1 {
                good: count(images.good()),
                defective: count(images.defective()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_labels_separates_and_without_masks_borrows_the_threshold() {
        let images = Ranking::new(&[1.0, 2.0, 4.0], &[false, false, true]).unwrap();
        let pixels = Ranking::new(&[0.5, 1.0, 3.5], &[false; 3]).unwrap();
        // The defective image's map, which has no mask, goes up to 6.
        let calibration = Calibration::from_labels(&images, &pixels, (0.5, 6.0)).unwrap();
        let expected = Normalization { threshold: 3.0, min: 1.0, max: 4.0, sensitivity: 0.5 };
        assert_eq!(calibration.image, expected);
        assert_eq!(calibration.pixel, Normalization { min: 0.5, max: 6.0, ..expected });
        assert_eq!(
            calibration.source.to_string(),
            "threshold of the highest F1 on 2 good and 1 defective photographs"
        );
        assert_eq!(Calibration::from_labels(&pixels, &pixels, (0.5, 3.5)), None);
    }
}
