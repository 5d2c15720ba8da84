//! Metrics over all pixels of a data set.

use super::regions::regions;
use crate::error::{Error, Result};
use crate::score::{Ranking, RankingBuilder};
use crate::tensor::not_finite;

/// The false positive rate up to which [`PixelRanking::aupro`] integrates in the literature and in the
/// reference.
pub const FPR_LIMIT: f64 = 0.3;

/// Collects anomaly maps and masks: 4 bytes a pixel, 12 where it is defective; up to twice that while the
/// buffers grow.
#[derive(Clone, Debug)]
pub struct PixelScores {
    width: usize,
    pixels: RankingBuilder,
    regions: RegionPixels,
}

/// All pixels of a data set in the order of their scores, and the defective regions that they belong to.
#[derive(Clone, Debug)]
pub struct PixelRanking {
    ranking: Ranking,
    regions: RegionPixels,
}

#[derive(Clone, Debug, Default)]
struct RegionPixels {
    /// The score's key in the upper half, the size of the pixel's region in the lower.
    pixels: Vec<u64>,
    regions: usize,
}

impl PixelScores {
    /// For maps of `width` columns.
    pub fn new(width: usize) -> Self {
        Self { width: width.max(1), pixels: RankingBuilder::default(), regions: RegionPixels::default() }
    }

    /// Adds the pixels of one image; without a mask all are good.
    ///
    /// # Errors
    /// The map is not of whole rows, the mask differs in length, or a value is NaN or infinite.
    pub fn add(&mut self, map: &[f32], mask: Option<&[bool]>) -> Result<()> {
        if !map.len().is_multiple_of(self.width) || u32::try_from(map.len()).is_err() {
            return Err(Error::argument(
                "anomaly map",
                format!("{} values", map.len()),
                format!("rows of {}", self.width),
            ));
        }
        // All or none of an image counts.
        if let Some((_, value)) = not_finite(map) {
            return Err(Error::argument("anomaly map", value, "finite numbers"));
        }
        let Some(mask) = mask else {
            return map.iter().try_for_each(|&value| self.pixels.push(value, false));
        };
        if mask.len() != map.len() {
            return Err(Error::argument(
                "mask",
                format!("{} pixels", mask.len()),
                format!("the map's {}", map.len()),
            ));
        }
        map.iter().zip(mask).try_for_each(|(&value, &defective)| self.pixels.push(value, defective))?;
        let found = regions(mask, self.width);
        let sized = map.iter().zip(&found.sizes).filter(|&(_, &size)| size > 0);
        self.regions
            .pixels
            .extend(sized.map(|(&value, &size)| u64::from(crate::score::key(value)) << 32 | u64::from(size)));
        self.regions.regions += found.count;
        Ok(())
    }

    /// Puts the pixels in order.
    pub fn rank(mut self) -> PixelRanking {
        self.regions.pixels.sort_unstable();
        PixelRanking { ranking: self.pixels.rank(), regions: self.regions }
    }
}

impl PixelRanking {
    /// The pixels' scores, for the metrics that know no regions.
    pub fn ranking(&self) -> &Ranking {
        &self.ranking
    }

    /// Area under the per-region overlap curve: the recall of a region, averaged over all regions whatever
    /// their size, against the false positive rate of all good pixels, up to `limit` (linear between
    /// thresholds) and divided by it. Regions are 8-connected, every distinct score is a threshold
    /// (anomalib's `_AUPRO`). `None` without defective or without good pixels.
    pub fn aupro(&self, limit: f64) -> Option<f64> {
        if !self.ranking.has_both() {
            return None;
        }
        let mut descending = self.regions.pixels.iter().rev();
        let (mut area, mut fpr, mut overlap) = (0.0, 0.0, 0.0);
        let mut taken = 0;
        for step in self.ranking.steps() {
            let new = descending.by_ref().take(step.defective - taken);
            #[allow(clippy::cast_possible_truncation)] // The lower half.
            let gain: f64 = new.map(|&pixel| 1.0 / f64::from(pixel as u32)).sum();
            taken = step.defective;
            let next_fpr = step.good as f64 / self.ranking.good() as f64;
            let next_overlap = overlap + gain / self.regions.regions as f64;
            if next_fpr > limit {
                let at_limit = overlap + (next_overlap - overlap) * (limit - fpr) / (next_fpr - fpr);
                area += (limit - fpr) * (overlap + at_limit) / 2.0;
                break;
            }
            area += (next_fpr - fpr) * (overlap + next_overlap) / 2.0;
            (fpr, overlap) = (next_fpr, next_overlap);
        }
        Some(area / limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lets each pixel take the lowest number in its neighbourhood until nothing changes.
    fn number_regions(mask: &[bool], width: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..mask.len()).collect();
        loop {
            let near = |a: usize, b: usize| {
                (a / width).abs_diff(b / width) <= 1 && (a % width).abs_diff(b % width) <= 1
            };
            let lowest = |at: usize| {
                (0..mask.len()).filter(|&to| mask[to] && near(at, to)).map(|to| numbers[to]).min()
            };
            let next: Vec<usize> =
                (0..mask.len()).map(|at| if mask[at] { lowest(at).unwrap() } else { at }).collect();
            if next == numbers {
                return numbers;
            }
            numbers = next;
        }
    }

    /// The curve point by point, each from all pixels; then its area up to `limit`.
    fn naive(map: &[f32], mask: &[bool], width: usize, limit: f64) -> f64 {
        let numbers = number_regions(mask, width);
        let regions: Vec<usize> = (0..mask.len()).filter(|&at| mask[at] && numbers[at] == at).collect();
        let share = |inside: &dyn Fn(usize) -> bool, t: f32| {
            let pixels: Vec<usize> = (0..map.len()).filter(|&at| inside(at)).collect();
            pixels.iter().filter(|&&at| map[at] >= t).count() as f64 / pixels.len() as f64
        };
        let mut thresholds = map.to_vec();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        let recall =
            |t: f32| regions.iter().map(|&r| share(&|at| mask[at] && numbers[at] == r, t)).sum::<f64>();
        let point = |&t: &f32| (share(&|at| !mask[at], t), recall(t) / regions.len() as f64);
        let curve: Vec<(f64, f64)> =
            std::iter::once((0.0, 0.0)).chain(thresholds.iter().map(point)).collect();
        let area = |pair: &[(f64, f64)]| {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let end = x1.min(limit);
            if x0 >= limit || x1 == x0 {
                0.0
            } else {
                (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2.0
            }
        };
        curve.windows(2).map(area).sum::<f64>() / limit
    }

    fn rank(map: &[f32], mask: &[bool], width: usize) -> PixelRanking {
        let mut scores = PixelScores::new(width);
        scores.add(map, Some(mask)).unwrap();
        scores.rank()
    }

    #[test]
    fn small_regions_count_as_much_as_large_ones() {
        let map = [9.0, 9.0, 9.0, 0.0, 1.0, 0.0];
        let mask = [true, true, true, false, true, false];
        assert_eq!(rank(&map, &mask, 6).aupro(1.0), Some(1.0));
        let map = [9.0, 9.0, 9.0, 2.0, 1.0, 0.0];
        assert_eq!(rank(&map, &mask, 6).aupro(0.5), Some(0.5 * 0.5 / 0.5), "half the regions from the start");
    }

    #[test]
    fn regions_of_different_images_do_not_touch() {
        let mut scores = PixelScores::new(2);
        for _ in 0..3 {
            scores.add(&[1.0, 0.0], Some(&[true, false])).unwrap();
        }
        assert_eq!(scores.regions.regions, 3);
        assert_eq!(scores.rank().aupro(FPR_LIMIT), Some(1.0));
    }

    #[test]
    fn without_defects_or_without_background_it_is_undefined() {
        assert_eq!(rank(&[1.0, 2.0], &[false, false], 2).aupro(FPR_LIMIT), None);
        assert_eq!(rank(&[1.0, 2.0], &[true, true], 2).aupro(FPR_LIMIT), None);
        assert_eq!(PixelScores::new(0).rank().aupro(FPR_LIMIT), None);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(PixelScores::new(2).add(&[1.0; 3], None).is_err());
        assert!(PixelScores::new(2).add(&[1.0; 4], Some(&[true; 2])).is_err());
        let mut scores = PixelScores::new(2);
        assert!(scores.add(&[1.0, 2.0, 3.0, f32::NAN], None).is_err());
        assert_eq!(scores.rank().ranking().good(), 0, "nothing of it counts");
    }

    proptest! {
        #[test]
        fn aupro_is_the_area_under_the_naive_curve(
            width in 1usize..7, pixels in prop::collection::vec((0u8..10, any::<bool>()), 4..40), limit in 0.05..1.0,
        ) {
            let pixels = &pixels[..pixels.len() / width * width];
            let (map, mask): (Vec<f32>, Vec<bool>) = pixels.iter().map(|&(v, d)| (f32::from(v), d)).unzip();
            prop_assume!(mask.contains(&true) && mask.contains(&false));
            let found = rank(&map, &mask, width).aupro(limit).unwrap();
            let expected = naive(&map, &mask, width, limit);
            prop_assert!((found - expected).abs() < 1e-12, "{} against {}", found, expected);
        }
    }
}
