//! Anomaly maps as pictures.

use super::{Frame, Picture};
use crate::error::{Error, Result};

/// Share of the colour in an overlay where it is strongest. A defect stays visible under it.
const OPACITY: f32 = 0.4;
/// The mask's contour and the line around it: one of the two stands out from any photograph and any colour of
/// the scale.
const CONTOUR: [u8; 3] = [255; 3];
const AROUND_CONTOUR: [u8; 3] = [0; 3];

/// The colours: black over violet, red and orange to light yellow, of evenly rising lightness, so that they
/// can be told apart with any colour vision and in print without colours (samples of matplotlib's `inferno`,
/// CC0).
const COLORS: [[f32; 3]; 9] = [
    [0.0, 0.0, 4.0],
    [31.0, 12.0, 72.0],
    [85.0, 15.0, 109.0],
    [136.0, 34.0, 106.0],
    [186.0, 54.0, 85.0],
    [227.0, 89.0, 51.0],
    [249.0, 140.0, 10.0],
    [249.0, 201.0, 50.0],
    [252.0, 255.0, 164.0],
];

/// Which values of an anomaly map have which colour, and which tint a photograph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorScale {
    /// The values of the first and of the last colour.
    low: f32,
    high: f32,
    /// The tint of an overlay grows from nothing at the first value to full strength at the second.
    tint_from: f32,
    tint_full: f32,
}

impl ColorScale {
    /// Share of the threshold from which values tint a photograph: lower ones are ordinary.
    pub const TINT_FROM: f32 = 0.8;

    /// The same colours for all photographs, in units of the pixel threshold, which is above 0: the first
    /// stands for 0, the middle one for the threshold, the last for twice the threshold and more. Overlays
    /// are tinted from 0.8 of the threshold, at full strength from the threshold.
    pub fn of_threshold(threshold: f32) -> Self {
        Self { low: 0.0, high: 2.0 * threshold, tint_from: Self::TINT_FROM * threshold, tint_full: threshold }
    }

    /// The colours of a map by its own range, from its lowest value to its highest, for models without a
    /// pixel threshold. Overlays are tinted from the middle, at full strength at the highest value, whether
    /// there is a defect or not.
    pub fn of_range(map: &[f32]) -> Self {
        let low = map.iter().copied().fold(f32::INFINITY, f32::min);
        let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Self { low, high, tint_from: f32::midpoint(low, high), tint_full: high }
    }

    /// The value of the first colour.
    pub fn low(&self) -> f32 {
        self.low
    }

    /// The value of the last colour.
    pub fn high(&self) -> f32 {
        self.high
    }

    /// Red, green and blue for `value`.
    pub fn color(&self, value: f32) -> [u8; 3] {
        let at = share_of_way(value, self.low, self.high) * (COLORS.len() - 1) as f32;
        let first = (at as usize).min(COLORS.len() - 2);
        mix(COLORS[first], COLORS[first + 1], at - first as f32)
    }

    /// `pixel` of a photograph as an overlay shows it where the map has `value`.
    pub fn tint(&self, pixel: [u8; 3], value: f32) -> [u8; 3] {
        let strength = OPACITY * share_of_way(value, self.tint_from, self.tint_full);
        mix(pixel.map(f32::from), self.color(value).map(f32::from), strength)
    }
}

/// How far `value` is on the way from `low` to `high`, 0 to 1; 0 where there is no way, and for NaN.
fn share_of_way(value: f32, low: f32, high: f32) -> f32 {
    let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
    if high > low && !share.is_nan() { share } else { 0.0 }
}

fn mix(from: [f32; 3], to: [f32; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|c| (from[c] + (to[c] - from[c]) * share).round() as u8)
}

/// Pictures of one anomaly map: `[height, width]` values, and a mask of that size.
#[derive(Clone, Copy, Debug)]
pub struct HeatMap<'a> {
    map: &'a [f32],
    mask: &'a [bool],
    scale: ColorScale,
    height: usize,
    width: usize,
}

impl<'a> HeatMap<'a> {
    /// # Errors
    /// `map` and `mask` do not hold `height * width` values each.
    pub fn new(
        map: &'a [f32],
        mask: &'a [bool],
        scale: ColorScale,
        height: usize,
        width: usize,
    ) -> Result<Self> {
        let pixels = height.checked_mul(width);
        if pixels != Some(map.len()) || pixels != Some(mask.len()) {
            let found = format!("{} and {} values", map.len(), mask.len());
            return Err(Error::argument("map and mask", found, format!("{height} x {width} each")));
        }
        Ok(Self { map, mask, scale, height, width })
    }

    /// The map in colours.
    ///
    /// # Errors
    /// The map is smaller than a picture can be.
    pub fn colors(&self) -> Result<Picture> {
        self.paint(|at| self.scale.color(self.map[at]))
    }

    /// White where the mask marks, else black.
    ///
    /// # Errors
    /// As [`colors`](Self::colors).
    pub fn mask(&self) -> Result<Picture> {
        self.paint(|at| if self.mask[at] { [255; 3] } else { [0; 3] })
    }

    /// `photograph`, scaled to the map's size and tinted where the map is high, with the mask's contour in
    /// white and black.
    ///
    /// # Errors
    /// As [`colors`](Self::colors), or the map is larger than an input of a network can be.
    pub fn overlay(&self, photograph: &Frame<'_>) -> Result<Picture> {
        let scaled = Picture::scaled(photograph, self.width, self.height)?;
        let pixels = scaled.data().as_chunks::<3>().0;
        self.paint(|at| match (self.mask[at], self.is_edge(at)) {
            (true, true) => CONTOUR,
            (false, true) => AROUND_CONTOUR,
            _ => self.scale.tint(pixels[at], self.map[at]),
        })
    }

    /// Whether a neighbour of the pixel is marked and the pixel is not, or the other way round.
    fn is_edge(&self, at: usize) -> bool {
        let (y, x) = (at / self.width, at % self.width);
        let differs = |other: usize| self.mask[other] != self.mask[at];
        (y > 0 && differs(at - self.width))
            || (y + 1 < self.height && differs(at + self.width))
            || (x > 0 && differs(at - 1))
            || (x + 1 < self.width && differs(at + 1))
    }

    fn paint(&self, color: impl Fn(usize) -> [u8; 3]) -> Result<Picture> {
        Picture::from_rgb(self.width, self.height, (0..self.map.len()).flat_map(color).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PixelFormat;

    fn lightness(color: [u8; 3]) -> f32 {
        color.iter().zip([0.2126, 0.7152, 0.0722]).map(|(&c, w)| f32::from(c) * w).sum()
    }

    #[test]
    fn colors_get_lighter_from_the_lowest_value_to_twice_the_threshold() {
        let scale = ColorScale::of_threshold(1.5);
        let steps: Vec<f32> = (0..=60).map(|i| lightness(scale.color(i as f32 / 20.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[1] > pair[0]), "{steps:?}");
        assert_eq!(scale.color(1.5), [186, 54, 85], "the middle of the scale");
    }

    #[test]
    fn values_beyond_the_scale_have_its_end_colors() {
        for scale in [ColorScale::of_threshold(2.0), ColorScale::of_range(&[3.0, 0.5, 4.0])] {
            let ends = [scale.low(), scale.high()].map(|value| scale.color(value));
            assert_eq!(ends, [[0, 0, 4], [252, 255, 164]]);
            assert_eq!([-9.0, f32::NEG_INFINITY, f32::NAN].map(|value| scale.color(value)), [ends[0]; 3]);
            assert_eq!([9.0, f32::INFINITY].map(|value| scale.color(value)), [ends[1]; 2]);
        }
    }

    #[test]
    fn only_values_near_the_threshold_tint() {
        let (scale, pixel) = (ColorScale::of_threshold(2.0), [90, 120, 150]);
        assert_eq!([0.0, 1.0, 1.6, f32::NAN].map(|value| scale.tint(pixel, value)), [pixel; 4]);
        let red = |value| scale.tint(pixel, value)[0];
        assert!(pixel[0] < red(1.8) && red(1.8) < red(2.0) && red(2.0) < red(3.0));
        // 0.6 of the photograph, 0.4 of (186, 54, 85), the colour of the threshold.
        assert_eq!(scale.tint(pixel, 2.0), [128, 94, 124]);
    }

    #[test]
    fn a_map_without_a_range_is_dark_and_does_not_tint() {
        for map in [&[7.0; 4][..], &[]] {
            let scale = ColorScale::of_range(map);
            assert_eq!(scale.color(7.0), [0, 0, 4]);
            assert_eq!(scale.tint([1, 2, 3], 7.0), [1, 2, 3]);
        }
    }

    #[test]
    fn an_overlay_of_low_values_is_the_photograph_and_the_contour_is_drawn() {
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|i| (i % 251) as u8).collect();
        let frame = Frame::new(16, 16, 48, PixelFormat::Rgb8, &pixels).unwrap();
        let mut mask = vec![false; 256];
        let (map, scale) = ([0.7; 256], ColorScale::of_threshold(1.0));
        let plain = HeatMap::new(&map, &mask, scale, 16, 16).unwrap().overlay(&frame).unwrap();
        assert_eq!(plain, Picture::from_rgb(16, 16, pixels.clone()).unwrap());
        for at in [85, 86, 87, 101, 102, 103, 117, 118, 119] {
            mask[at] = true;
        }
        let marked = HeatMap::new(&map, &mask, scale, 16, 16).unwrap().overlay(&frame).unwrap();
        let drawn = |color: [u8; 3]| -> Vec<usize> {
            let pixels = marked.data().as_chunks::<3>().0;
            (0..256).filter(|&at| pixels[at] == color).collect()
        };
        assert_eq!(drawn(CONTOUR), [85, 86, 87, 101, 103, 117, 118, 119]);
        assert_eq!(drawn(AROUND_CONTOUR), [69, 70, 71, 84, 88, 100, 104, 116, 120, 133, 134, 135]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let scale = ColorScale::of_threshold(1.0);
        assert!(HeatMap::new(&[0.0; 9], &[false; 8], scale, 3, 3).is_err());
        assert!(HeatMap::new(&[0.0; 9], &[false; 9], scale, 3, 4).is_err());
    }
}
