//! Anomaly maps scaled to the photograph.

use crate::image::Preprocess;
use crate::score::{MapRegion, Region};

/// Columns that are scaled together: their samples stay in the nearest cache, and need no memory of their
/// own.
const COLUMNS: usize = 256;

/// Between two samples: that before, that behind, and the share of the latter.
#[derive(Clone, Copy)]
struct Place {
    before: usize,
    behind: usize,
    share: f32,
}

impl Place {
    fn nearest(self) -> usize {
        if self.share < 0.5 { self.before } else { self.behind }
    }
}

/// One axis of a photograph, on which the map covers the centre crop of the resized version.
struct Axis {
    /// Pixels of the photograph, its resized version, and the map.
    pixels: usize,
    resized: usize,
    samples: usize,
    /// Where the map begins in the resized version.
    offset: usize,
}

impl Axis {
    /// Where a pixel's centre lies among the samples, whose centres are at halves; `None` outside the crop.
    fn place(&self, pixel: usize) -> Option<Place> {
        let share = (pixel as f32 + 0.5) / self.pixels as f32;
        let position = share * self.resized as f32 - self.offset as f32;
        if position < 0.0 || position > self.samples as f32 {
            return None;
        }
        let position = (position - 0.5).clamp(0.0, (self.samples - 1) as f32);
        let before = position as usize;
        Some(Place { before, behind: (before + 1).min(self.samples - 1), share: position - before as f32 })
    }
}

/// Writes the anomaly map of photographs that are prepared by `preprocess`, bilinearly scaled over the whole
/// photograph, to `out`, whose rows have `width` values. Outside a centre crop there is no map, and 0 is
/// written.
pub(super) fn map_over_image(map: &[f32], preprocess: &Preprocess, width: usize, out: &mut [f32]) {
    over_image(map, preprocess, width, out, |value, _, _| value);
}

/// Writes the mask of a map to `out`, scaled as by [`map_over_image`]: 255 where the scaled value reaches the
/// cut of the nearest pixel of the map (see [`RegionFinder`](crate::score::RegionFinder)), else 0.
pub(super) fn mask_over_image(
    map: &[f32],
    cuts: &[f32],
    preprocess: &Preprocess,
    width: usize,
    out: &mut [u8],
) {
    let columns = preprocess.output_size().1;
    over_image(map, preprocess, width, out, |value, row, column| {
        let cut = cuts[row.nearest() * columns + column.nearest()];
        if value >= cut { 255 } else { 0 }
    });
}

/// Column and row, in a photograph of `width` x `height` that was prepared by `preprocess`, of the centre of
/// a pixel of the map, given by row and column.
#[cfg(feature = "train")]
pub(super) fn place_in_image(
    (row, column): (usize, usize),
    preprocess: &Preprocess,
    width: usize,
    height: usize,
) -> (usize, usize) {
    let map_pixel = MapRegion {
        top: row,
        left: column,
        bottom: row,
        right: column,
        area: 1,
        peak: (row, column),
        score: 0.0,
    };
    let region = region_in_image(&map_pixel, preprocess, width, height);
    (region.peak_x, region.peak_y)
}

/// `region` in pixels of a photograph of `width` x `height` that was prepared by `preprocess`.
pub(super) fn region_in_image(
    region: &MapRegion,
    preprocess: &Preprocess,
    width: usize,
    height: usize,
) -> Region {
    let (resize, offset) = (preprocess.resize, preprocess.crop_offset());
    let scale = (height as f64 / resize.0 as f64, width as f64 / resize.1 as f64);
    let place = |at: f64, offset: usize, scale: f64| (at + offset as f64) * scale;
    let (left, top) =
        (place(region.left as f64, offset.1, scale.1), place(region.top as f64, offset.0, scale.0));
    let right = place((region.right + 1) as f64, offset.1, scale.1).ceil().min(width as f64);
    let bottom = place((region.bottom + 1) as f64, offset.0, scale.0).ceil().min(height as f64);
    let peak_x = place(region.peak.1 as f64 + 0.5, offset.1, scale.1);
    let peak_y = place(region.peak.0 as f64 + 0.5, offset.0, scale.0);
    Region {
        x: left as usize,
        y: top as usize,
        width: (right - left.floor()) as usize,
        height: (bottom - top.floor()) as usize,
        area: ((region.area as f64 * scale.0 * scale.1).round() as usize).max(1),
        peak_x: (peak_x as usize).min(width - 1),
        peak_y: (peak_y as usize).min(height - 1),
        score: region.score,
    }
}

/// Writes what `of` makes of each scaled value and its place along both axes. Outside a centre crop the
/// default is written.
fn over_image<T: Copy + Default>(
    map: &[f32],
    preprocess: &Preprocess,
    width: usize,
    out: &mut [T],
    of: impl Fn(f32, Place, Place) -> T,
) {
    let (size, resize, offset) = (preprocess.output_size(), preprocess.resize, preprocess.crop_offset());
    let height = out.len() / width;
    let down = Axis { pixels: height, resized: resize.0, samples: size.0, offset: offset.0 };
    let across = Axis { pixels: width, resized: resize.1, samples: size.1, offset: offset.1 };
    for first in (0..width).step_by(COLUMNS) {
        let places: [_; COLUMNS] = std::array::from_fn(|column| across.place(first + column));
        let columns = COLUMNS.min(width - first);
        // The columns from `left` to `right` lie inside the crop.
        let left = places[..columns].iter().position(Option::is_some).unwrap_or(columns);
        let right = places[..columns].iter().rposition(Option::is_some).map_or(columns, |last| last + 1);
        let mut above = Stretched::new(map, size.1, &places);
        let mut below = above;
        for (y, row) in out.chunks_exact_mut(width).enumerate() {
            let row = &mut row[first..][..columns];
            let Some(place) = down.place(y) else {
                row.fill(T::default());
                continue;
            };
            if below.row == Some(place.before) {
                std::mem::swap(&mut above, &mut below);
            }
            above.take(place.before);
            below.take(place.behind);
            for (x, (above, below)) in
                (left..right).zip(above.values[left..].iter().zip(&below.values[left..]))
            {
                if let Some(column) = places[x] {
                    row[x] = of(above + (below - above) * place.share, place, column);
                }
            }
            row[..left].fill(T::default());
            row[right..].fill(T::default());
        }
    }
}

/// A row of the map at the places of some columns.
#[derive(Clone, Copy)]
struct Stretched<'a> {
    map: &'a [f32],
    /// Samples of a row.
    len: usize,
    places: &'a [Option<Place>; COLUMNS],
    row: Option<usize>,
    values: [f32; COLUMNS],
}

impl<'a> Stretched<'a> {
    fn new(map: &'a [f32], len: usize, places: &'a [Option<Place>; COLUMNS]) -> Self {
        Self { map, len, places, row: None, values: [0.0; COLUMNS] }
    }

    /// Takes row `row`, which it may have taken before.
    fn take(&mut self, row: usize) {
        if self.row.replace(row) == Some(row) {
            return;
        }
        let samples = &self.map[row * self.len..][..self.len];
        for (value, place) in self.values.iter_mut().zip(self.places) {
            *value = match place {
                Some(place) => {
                    samples[place.before] + (samples[place.behind] - samples[place.before]) * place.share
                }
                None => 0.0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_a_centre_crop_nothing_is_marked_whatever_the_rule() {
        let preprocess = Preprocess { resize: (64, 64), crop: Some((32, 32)), ..Preprocess::default() };
        let mut mask = [7u8; 64 * 64];
        over_image(&[0.0; 32 * 32], &preprocess, 64, &mut mask, |_, _, _| 255);
        for (i, &value) in mask.iter().enumerate() {
            let inside = [i / 64, i % 64].iter().all(|at| (16..48).contains(at));
            assert_eq!(value, if inside { 255 } else { 0 }, "{i}");
        }
    }

    /// One pixel, bilinearly.
    fn naive(
        map: &[f32],
        preprocess: &Preprocess,
        (y, x): (usize, usize),
        (rows, columns): (usize, usize),
    ) -> f32 {
        let (height, width) = preprocess.output_size();
        let (resized, offset) = (preprocess.resize, preprocess.crop_offset());
        let y = (y as f32 + 0.5) / rows as f32 * resized.0 as f32 - offset.0 as f32;
        let x = (x as f32 + 0.5) / columns as f32 * resized.1 as f32 - offset.1 as f32;
        if y < 0.0 || x < 0.0 || y > height as f32 || x > width as f32 {
            return 0.0;
        }
        let between = |position: f32, length: usize| {
            let position = (position - 0.5).clamp(0.0, (length - 1) as f32);
            (position as usize, (position as usize + 1).min(length - 1), position.fract())
        };
        let ((top, bottom, down), (left, right, across)) = (between(y, height), between(x, width));
        let row = |at: usize| {
            let row = &map[at * width..][..width];
            row[left] + (row[right] - row[left]) * across
        };
        row(top) + (row(bottom) - row(top)) * down
    }

    #[test]
    fn every_pixel_is_that_of_the_naive_sum_to_the_bit() {
        for (resize, crop) in [((32, 40), None), ((40, 37), Some((32, 33))), ((33, 64), Some((32, 32)))] {
            let preprocess = Preprocess { resize, crop, ..Preprocess::default() };
            let (height, width) = preprocess.output_size();
            let map: Vec<f32> = (0..height * width).map(|i| (i * 7919 % 1009) as f32 / 7.0).collect();
            for (rows, columns) in [(1, 1), (3, 255), (16, 256), (40, 257), (99, 600), (70, 32), (31, 1000)] {
                let mut out = vec![f32::NAN; rows * columns];
                map_over_image(&map, &preprocess, columns, &mut out);
                for (i, found) in out.iter().enumerate() {
                    let expected = naive(&map, &preprocess, (i / columns, i % columns), (rows, columns));
                    assert_eq!(
                        found.to_bits(),
                        expected.to_bits(),
                        "{resize:?} {crop:?} {rows}x{columns} at {i}"
                    );
                }
            }
        }
    }
}
