//! Where the defects are: the connected areas of an anomaly map that stand out.
//!
//! The map is blurred, and a patch sees more of the photograph than its own place, so that a small defect
//! lifts a wide area above the pixel threshold. As the width of a blurred spot is measured at a fixed share
//! of its height, the edge of a region is drawn three quarters of the way up from the typical value to the
//! peak.
//!
//! ```text
//! edge(peak) = typical + 3/4 (peak - typical)
//! seed = pixel threshold, if any pixel reaches it; else edge(highest value of the map)
//! for each area A of connected pixels with value >= seed:
//!     cut(A) = max(seed, edge(highest value of A))
//!     the mask marks the pixels of A with value >= cut(A)
//! a region is an area of connected pixels of the mask
//! ```
//!
//! `typical` is the value that maps of good photographs have in most places; where it is unknown,
//! `edge(peak)` is `peak` for the seed and nothing for the cut, so that the mask is the reference's: all
//! pixels that reach the threshold. There is always at least one region. Pixels are connected where they
//! touch, at a corner as well.

/// Share of the way from the typical value to the peak. At half way the masks of `patchcore demo` are four
/// times as large as the defects, at three quarters nearly twice.
const EDGE: f32 = 0.75;
/// Regions listed for one photograph, at most; the mask marks the others as well.
const MAX_REGIONS: usize = 256;

/// An area of a photograph that looks defective, in pixels of the photograph.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Region {
    /// Left edge of the bounding box: its first column.
    pub x: usize,
    /// Top edge of the bounding box: its first row.
    pub y: usize,
    /// Columns of the bounding box.
    pub width: usize,
    /// Rows of the bounding box.
    pub height: usize,
    /// Pixels of the region, to the resolution of the anomaly map.
    pub area: usize,
    /// Column of the highest value of the anomaly map in the region.
    pub peak_x: usize,
    /// Row of that value.
    pub peak_y: usize,
    /// That value: comparable with the pixel threshold.
    pub score: f32,
}

/// A region in pixels of the map, its last row and column included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MapRegion {
    pub top: usize,
    pub left: usize,
    pub bottom: usize,
    pub right: usize,
    pub area: usize,
    /// Row and column of the highest value.
    pub peak: (usize, usize),
    pub score: f32,
}

/// Finds the regions of maps of one size. Owns the memory that this takes.
#[derive(Clone, Debug)]
pub(crate) struct RegionFinder {
    height: usize,
    width: usize,
    /// For each pixel the value from which the mask marks it; infinite outside every area.
    cuts: Vec<f32>,
    /// Pixels of the area under way, in the order they were met.
    queue: Vec<u32>,
    seen: Vec<bool>,
    regions: Vec<MapRegion>,
}

impl RegionFinder {
    /// For maps of `(height, width)`.
    pub(crate) fn new((height, width): (usize, usize)) -> Self {
        let pixels = height * width;
        Self {
            height,
            width,
            cuts: vec![f32::INFINITY; pixels],
            queue: Vec::with_capacity(pixels),
            seen: vec![false; pixels],
            regions: Vec::with_capacity(MAX_REGIONS),
        }
    }

    /// Bytes that a finder for maps of `(height, width)` takes.
    pub(crate) fn bytes((height, width): (usize, usize)) -> usize {
        let pixel = size_of::<f32>() + size_of::<u32>() + size_of::<bool>();
        height * width * pixel + MAX_REGIONS * size_of::<MapRegion>()
    }

    /// Forgets all regions: the map of a photograph that is good.
    pub(crate) fn clear(&mut self) {
        self.cuts.fill(f32::INFINITY);
        self.regions.clear();
    }

    /// Finds the regions of `map`, which holds finite values. See the module's page for `threshold` and
    /// `typical`, which is NaN where it is unknown.
    pub(crate) fn find(&mut self, map: &[f32], threshold: f32, typical: f32) {
        self.clear();
        let highest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let seed = if highest >= threshold { threshold } else { edge(typical, highest).unwrap_or(highest) };
        self.seen.fill(false);
        for start in 0..map.len() {
            if map[start] < seed || self.seen[start] {
                continue;
            }
            let area = self.flood(start, |pixel| map[pixel] >= seed);
            let peak = self.queue[..area].iter().map(|&pixel| map[pixel as usize]).fold(seed, f32::max);
            let cut = edge(typical, peak).map_or(seed, |edge| edge.max(seed));
            for &pixel in &self.queue[..area] {
                self.cuts[pixel as usize] = cut;
            }
        }
        self.seen.fill(false);
        for start in 0..map.len() {
            if map[start] < self.cuts[start] || self.seen[start] {
                continue;
            }
            let cut = self.cuts[start];
            let area = self.flood(start, |pixel| map[pixel] >= cut);
            let region = self.measure(map, area);
            self.keep(region);
        }
    }

    /// Regions of the last map, the highest first.
    pub(crate) fn regions(&self) -> &[MapRegion] {
        &self.regions
    }

    /// For each pixel of the last map the value from which the mask marks it.
    pub(crate) fn cuts(&self) -> &[f32] {
        &self.cuts
    }

    /// Puts the pixels that are connected with `start` and `belong` to the beginning of the queue. Returns
    /// their number.
    fn flood(&mut self, start: usize, belongs: impl Fn(usize) -> bool) -> usize {
        self.queue.clear();
        self.queue.push(start as u32);
        self.seen[start] = true;
        let mut next = 0;
        while let Some(&pixel) = self.queue.get(next) {
            next += 1;
            let (y, x) = (pixel as usize / self.width, pixel as usize % self.width);
            for near_y in y.saturating_sub(1)..(y + 2).min(self.height) {
                for near_x in x.saturating_sub(1)..(x + 2).min(self.width) {
                    let near = near_y * self.width + near_x;
                    if !self.seen[near] && belongs(near) {
                        self.seen[near] = true;
                        self.queue.push(near as u32);
                    }
                }
            }
        }
        self.queue.len()
    }

    /// The region of the first `area` pixels of the queue.
    fn measure(&self, map: &[f32], area: usize) -> MapRegion {
        let place = |pixel: u32| (pixel as usize / self.width, pixel as usize % self.width);
        let (y, x) = place(self.queue[0]);
        let score = map[self.queue[0] as usize];
        let mut region = MapRegion { top: y, left: x, bottom: y, right: x, area, peak: (y, x), score };
        for &pixel in &self.queue[..area] {
            let (y, x) = place(pixel);
            region.top = region.top.min(y);
            region.bottom = region.bottom.max(y);
            region.left = region.left.min(x);
            region.right = region.right.max(x);
            if map[pixel as usize] > region.score {
                (region.score, region.peak) = (map[pixel as usize], (y, x));
            }
        }
        region
    }

    /// Inserts `region` behind those that are at least as high; drops the lowest where there are too many.
    fn keep(&mut self, region: MapRegion) {
        let at = self.regions.partition_point(|other| other.score >= region.score);
        if self.regions.len() == MAX_REGIONS {
            if at == MAX_REGIONS {
                return;
            }
            self.regions.pop();
        }
        self.regions.insert(at, region);
    }
}

/// Where the edge of a spot lies that rises from `typical` to `peak`; `None` where `typical` is unknown or no
/// lower than `peak`.
fn edge(typical: f32, peak: f32) -> Option<f32> {
    (typical < peak).then_some(typical + EDGE * (peak - typical))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Marks, by repeated passes over the whole map, the pixels connected with `start` whose value is at
    /// least `level`.
    fn naive_area(map: &[f32], (height, width): (usize, usize), start: usize, level: f32) -> Vec<bool> {
        let mut area = vec![false; map.len()];
        area[start] = true;
        loop {
            let before = area.clone();
            for y in 0..height {
                for x in 0..width {
                    let touches = (y.saturating_sub(1)..(y + 2).min(height)).any(|near_y| {
                        (x.saturating_sub(1)..(x + 2).min(width)).any(|near_x| area[near_y * width + near_x])
                    });
                    area[y * width + x] |= touches && map[y * width + x] >= level;
                }
            }
            if area == before {
                return area;
            }
        }
    }

    fn naive_mask(map: &[f32], size: (usize, usize), threshold: f32, typical: f32) -> Vec<bool> {
        let edge = |peak: f32| if typical < peak { typical + 0.75 * (peak - typical) } else { peak };
        let highest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let seed = if highest >= threshold { threshold } else { edge(highest) };
        let marked = |pixel: usize| {
            if map[pixel] < seed {
                return false;
            }
            let area = naive_area(map, size, pixel, seed);
            let peak = (0..map.len()).filter(|&p| area[p]).map(|p| map[p]).fold(seed, f32::max);
            map[pixel] >= if typical < peak { seed.max(edge(peak)) } else { seed }
        };
        (0..map.len()).map(marked).collect()
    }

    fn mask(finder: &RegionFinder, map: &[f32]) -> Vec<bool> {
        map.iter().zip(finder.cuts()).map(|(value, cut)| value >= cut).collect()
    }

    proptest! {
        #[test]
        fn mask_and_regions_are_those_of_the_plain_definition(
            values in prop::collection::vec(0u8..8, 48), threshold in 0u8..9, typical in 0u8..4,
        ) {
            let size = (6, 8);
            let map: Vec<f32> = values.into_iter().map(f32::from).collect();
            let (threshold, typical) = (f32::from(threshold), f32::from(typical));
            let mut finder = RegionFinder::new(size);
            finder.find(&map, threshold, typical);
            let expected = naive_mask(&map, size, threshold, typical);
            prop_assert_eq!(&mask(&finder, &map), &expected);

            // Each region is one connected area of the mask, and together they are all of it.
            let marks: Vec<f32> = expected.iter().map(|&marked| f32::from(u8::from(marked))).collect();
            prop_assert!(!finder.regions().is_empty());
            prop_assert!(finder.regions().is_sorted_by(|a, b| a.score >= b.score));
            prop_assert_eq!(finder.regions().iter().map(|r| r.area).sum::<usize>(), expected.iter().filter(|&&m| m).count());
            for region in finder.regions() {
                let peak = region.peak.0 * 8 + region.peak.1;
                let area = naive_area(&marks, size, peak, 1.0);
                let pixels: Vec<usize> = (0..48).filter(|&p| area[p]).collect();
                prop_assert_eq!(pixels.len(), region.area);
                prop_assert_eq!(pixels.iter().map(|p| p / 8).min(), Some(region.top));
                prop_assert_eq!(pixels.iter().map(|p| p / 8).max(), Some(region.bottom));
                prop_assert_eq!(pixels.iter().map(|p| p % 8).min(), Some(region.left));
                prop_assert_eq!(pixels.iter().map(|p| p % 8).max(), Some(region.right));
                let highest = pixels.iter().map(|&p| map[p]).fold(f32::NEG_INFINITY, f32::max);
                prop_assert!(map[peak] == highest && region.score == highest);
            }
        }
    }

    #[test]
    fn a_map_below_the_threshold_has_one_region_at_its_peak() {
        let mut finder = RegionFinder::new((3, 3));
        finder.find(&[0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1], 5.0, 0.1);
        let [region] = finder.regions() else { panic!("{:?}", finder.regions()) };
        assert_eq!((region.peak, region.area, region.score), ((1, 1), 1, 0.9));
        finder.clear();
        assert!(finder.regions().is_empty() && finder.cuts().iter().all(|cut| *cut == f32::INFINITY));
    }

    #[test]
    fn the_highest_regions_are_listed_where_there_are_too_many() {
        let (height, width) = (40, 40);
        let map: Vec<f32> = (0..height * width)
            .map(|i| if i / width % 2 == 0 && i % 2 == 0 { 1.0 + i as f32 } else { 0.0 })
            .collect();
        let mut finder = RegionFinder::new((height, width));
        finder.find(&map, 0.5, 0.0);
        assert_eq!(finder.regions().len(), MAX_REGIONS);
        let highest = map.iter().copied().fold(0.0, f32::max);
        assert_eq!(finder.regions()[0].score, highest);
        assert_eq!(mask(&finder, &map).iter().filter(|&&marked| marked).count(), height / 2 * width / 2);
    }
}
