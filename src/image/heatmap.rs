//! Anomaly maps as pictures.

use super::{Frame, Picture, Preprocess, Preprocessor};
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::parallel::Pool;
use crate::tensor::ImageTensor;

/// Share of the heat in an overlay from the threshold (0.5) on; below it fades away. The defect stays visible under it.
const OPACITY: f32 = 0.55;
/// Colour of the mask's contour: neither in the scale nor common on parts, so that it shows on light and dark ones.
const CONTOUR: [f32; 3] = [0.0, 255.0, 200.0];

/// The colour scale: dark violet over red and orange to light yellow, of evenly rising lightness (samples of
/// matplotlib's `inferno`, CC0).
const SCALE: [[f32; 3]; 9] = [
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

/// The colour of `value` in [0, 1].
fn color(value: f32) -> [f32; 3] {
    let at = value.clamp(0.0, 1.0) * (SCALE.len() - 1) as f32;
    let first = (at as usize).min(SCALE.len() - 2);
    let share = at - first as f32;
    std::array::from_fn(|c| SCALE[first][c] + (SCALE[first + 1][c] - SCALE[first][c]) * share)
}

/// Pictures of one anomaly map: `[height, width]` values normalised to [0, 1], and a mask of that size.
#[derive(Clone, Copy, Debug)]
pub struct HeatMap<'a> {
    map: &'a [f32],
    mask: &'a [bool],
    height: usize,
    width: usize,
}

impl<'a> HeatMap<'a> {
    /// # Errors
    /// `map` and `mask` do not hold `height * width` values each.
    pub fn new(map: &'a [f32], mask: &'a [bool], height: usize, width: usize) -> Result<Self> {
        let pixels = height.checked_mul(width);
        if pixels != Some(map.len()) || pixels != Some(mask.len()) {
            let found = format!("{} and {} values", map.len(), mask.len());
            return Err(Error::argument("map and mask", found, format!("{height} x {width} each")));
        }
        Ok(Self { map, mask, height, width })
    }

    /// The map in colours.
    ///
    /// # Errors
    /// The map is smaller than a picture can be.
    pub fn colors(&self) -> Result<Picture> {
        self.paint(|at| color(self.map[at]))
    }

    /// White where the mask marks, else black.
    ///
    /// # Errors
    /// As [`colors`](Self::colors).
    pub fn mask(&self) -> Result<Picture> {
        self.paint(|at| if self.mask[at] { [255.0; 3] } else { [0.0; 3] })
    }

    /// `photograph`, scaled to the map's size, under the map's colours, the stronger the higher the value, and the mask's
    /// contour.
    ///
    /// # Errors
    /// As [`colors`](Self::colors), or the map is larger than an input of a network can be.
    pub fn overlay(&self, photograph: &Frame<'_>) -> Result<Picture> {
        let seen = scaled(photograph, (self.height, self.width))?;
        let pixels = self.map.len();
        self.paint(|at| {
            if self.on_contour(at) {
                return CONTOUR;
            }
            let heat = color(self.map[at]);
            let share = OPACITY * (2.0 * self.map[at]).clamp(0.0, 1.0);
            std::array::from_fn(|c| seen.data[c * pixels + at] * 255.0 * (1.0 - share) + heat[c] * share)
        })
    }

    /// Whether the mask marks the pixel, but not all of its neighbours.
    fn on_contour(&self, at: usize) -> bool {
        let (y, x) = (at / self.width, at % self.width);
        let unmarked = |y: usize, x: usize| !self.mask[y * self.width + x];
        self.mask[at]
            && ((y > 0 && unmarked(y - 1, x))
                || (y + 1 < self.height && unmarked(y + 1, x))
                || (x > 0 && unmarked(y, x - 1))
                || (x + 1 < self.width && unmarked(y, x + 1)))
    }

    fn paint(&self, color: impl Fn(usize) -> [f32; 3]) -> Result<Picture> {
        let bytes = (0..self.map.len()).flat_map(|at| color(at).map(|v| v.round().clamp(0.0, 255.0) as u8));
        Picture::from_rgb(self.width, self.height, bytes.collect())
    }
}

/// The photograph at `size` (height, width), in [0, 1].
fn scaled(photograph: &Frame<'_>, size: (usize, usize)) -> Result<ImageTensor> {
    let plain = Preprocess { resize: size, mean: [0.0; 3], std: [1.0; 3], ..Preprocess::default() };
    let mut tensor = ImageTensor::default();
    Preprocessor::new(&plain, Isa::best())?.run(photograph, &Pool::new(1)?, &mut tensor);
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PixelFormat;

    #[test]
    fn the_scale_gets_lighter() {
        let lightness =
            |v: f32| color(v).iter().zip([0.2126, 0.7152, 0.0722]).map(|(c, w)| c * w).sum::<f32>();
        let steps: Vec<f32> = (0..=100).map(|i| lightness(i as f32 / 100.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[1] > pair[0]));
        assert_eq!(color(f32::NAN).len(), 3);
    }

    #[test]
    fn an_overlay_of_no_heat_is_the_photograph_and_the_contour_is_drawn() {
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|i| (i % 251) as u8).collect();
        let frame = Frame::new(16, 16, 48, PixelFormat::Rgb8, &pixels).unwrap();
        let mut mask = vec![false; 256];
        let cold = HeatMap::new(&[0.0; 256], &mask, 16, 16).unwrap().overlay(&frame).unwrap();
        assert_eq!(cold, Picture::from_rgb(16, 16, pixels.clone()).unwrap());
        for at in [85, 86, 87, 101, 102, 103, 117, 118, 119] {
            mask[at] = true;
        }
        let marked = HeatMap::new(&[0.0; 256], &mask, 16, 16).unwrap();
        let drawn: Vec<usize> = (0..256).filter(|&at| marked.on_contour(at)).collect();
        assert_eq!(drawn, [85, 86, 87, 101, 103, 117, 118, 119]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(HeatMap::new(&[0.0; 9], &[false; 8], 3, 3).is_err());
        assert!(HeatMap::new(&[0.0; 9], &[false; 9], 3, 4).is_err());
    }
}
