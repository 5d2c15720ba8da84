//! The anomaly map: patch distances spread over the image and blurred.

use crate::error::{Error, Result};
use crate::kernels::{Isa, weighted};

/// Width of the reference's blur in pixels.
pub const DEFAULT_SIGMA: f32 = 4.0;
/// The most rows or columns of a map or of a patch grid.
const MAX_SIDE: usize = 1 << 14;

/// Makes anomaly maps of one size: nearest-neighbour upsampling of the patch grid to the network's input
/// size, then a Gaussian blur with reflected borders (anomalib's `AnomalyMapGenerator`).
///
/// Along an axis both steps are linear, and the many blurred pixels come from few patches: one small weight
/// vector an output row or column does both at once, with all taps that fall on one patch added up
/// beforehand.
#[derive(Clone, Debug)]
pub struct MapPlan {
    down: Axis,
    across: Axis,
    /// The grid's rows at full width: `[grid height, map width]`.
    wide: Vec<f32>,
}

impl MapPlan {
    /// A plan from a patch grid of (height, width) to a map of (height, width), blurred with a Gaussian of
    /// deviation `sigma` pixels, cut off after `4 * sigma`.
    ///
    /// # Errors
    /// A side of the map is not longer than the blur's radius (16 at the default `sigma`), which leaves
    /// nothing to reflect; a size is 0 or over 16384; `sigma` is not positive.
    pub fn new(grid: (usize, usize), map: (usize, usize), sigma: f32) -> Result<Self> {
        if !(sigma > 0.0 && sigma <= MAX_SIDE as f32) {
            return Err(Error::argument("sigma", sigma, "a positive number of pixels"));
        }
        let taps = gaussian(f64::from(sigma));
        let down = Axis::new("height", grid.0, map.0, &taps)?;
        let across = Axis::new("width", grid.1, map.1, &taps)?;
        Ok(Self { wide: vec![0.0; grid.0 * map.1], down, across })
    }

    /// Bytes that the plan takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.wide[..]) + self.down.bytes() + self.across.bytes()
    }

    /// Rows and columns of the map.
    pub fn size(&self) -> (usize, usize) {
        (self.down.len(), self.across.len())
    }

    /// Writes the map of the patch distances `distances` (row by row, as many as the grid has) to `out` (row
    /// by row, as many as the map has). Allocates nothing; a few ten microseconds on one thread, too short to
    /// share.
    ///
    /// # Errors
    /// A length differs.
    pub fn run(&mut self, distances: &[f32], isa: Isa, out: &mut [f32]) -> Result<()> {
        let (width, patches) = (self.across.len(), self.down.sources * self.across.sources);
        if distances.len() != patches {
            return Err(Error::argument("patch distances", distances.len(), patches));
        }
        if out.len() != self.down.len() * width {
            return Err(Error::argument("map values", out.len(), self.down.len() * width));
        }
        for (row, wide) in distances.chunks_exact(self.across.sources).zip(self.wide.chunks_exact_mut(width))
        {
            self.across.stretch(row, wide);
        }
        for (y, row) in out.chunks_exact_mut(width).enumerate() {
            let (first, weights) = self.down.weights(y);
            weighted::sum_of_values(isa, weights, &self.wide[first * width..], width, row);
        }
        Ok(())
    }
}

/// How the pixels along one axis depend on the patches along it.
#[derive(Clone, Debug)]
struct Axis {
    /// Patches.
    sources: usize,
    /// Patches that a pixel depends on.
    taps: usize,
    /// The first of them, for each pixel.
    first: Vec<usize>,
    /// `taps` weights for each pixel.
    weights: Vec<f32>,
}

impl Axis {
    fn new(name: &str, patches: usize, pixels: usize, blur: &[f64]) -> Result<Self> {
        let radius = blur.len() / 2;
        if patches == 0 || patches > MAX_SIDE {
            return Err(Error::argument(format!("patch grid {name}"), patches, format!("1 to {MAX_SIDE}")));
        }
        if pixels <= radius || pixels > MAX_SIDE {
            return Err(Error::argument(
                format!("anomaly map {name}"),
                format!("{pixels} pixels"),
                format!("{} to {MAX_SIDE}", radius + 1),
            )
            .hint(
                "the map has the size of the network's input, and its blur reflects that much at each border",
            ));
        }
        let patch_of = |pixel: usize| {
            let scale = patches as f32 / pixels as f32;
            ((pixel as f32 * scale) as usize).min(patches - 1)
        };
        let seen = |pixel: usize| {
            blur.iter().enumerate().map(move |(tap, w)| (reflect(pixel, tap, radius, pixels), w))
        };
        let reach = |pixel: usize| {
            let patches = || seen(pixel).map(|(at, _)| patch_of(at));
            (patches().min().unwrap_or(0), patches().max().unwrap_or(0))
        };
        let taps = (0..pixels).map(reach).map(|(low, high)| high - low + 1).max().unwrap_or(1);
        let (first, weights) = (Vec::with_capacity(pixels), Vec::with_capacity(pixels * taps));
        let mut axis = Self { sources: patches, taps, first, weights };
        for pixel in 0..pixels {
            let first = reach(pixel).0.min(patches - taps);
            let mut weights = vec![0.0; taps];
            seen(pixel).for_each(|(at, weight)| weights[patch_of(at) - first] += weight);
            axis.first.push(first);
            axis.weights.extend(weights.into_iter().map(|w| w as f32));
        }
        Ok(axis)
    }

    /// Pixels.
    fn len(&self) -> usize {
        self.first.len()
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.first[..]) + size_of_val(&self.weights[..])
    }

    /// The first patch that `pixel` depends on, and the weights from there.
    fn weights(&self, pixel: usize) -> (usize, &[f32]) {
        (self.first[pixel], &self.weights[pixel * self.taps..][..self.taps])
    }

    /// One row of patches to one row of pixels.
    fn stretch(&self, patches: &[f32], pixels: &mut [f32]) {
        for (pixel, out) in pixels.iter_mut().enumerate() {
            let (first, weights) = self.weights(pixel);
            *out = weights.iter().zip(&patches[first..]).fold(0.0, |sum, (w, p)| sum + w * p);
        }
    }
}

/// The pixel under tap `tap` of a blur around `pixel`; past a border the image is reflected, its edge not
/// repeated.
fn reflect(pixel: usize, tap: usize, radius: usize, pixels: usize) -> usize {
    let at = (pixel + tap).abs_diff(radius);
    if at < pixels { at } else { 2 * (pixels - 1) - at }
}

/// The normalised weights of a Gaussian of deviation `sigma` out to `4 * sigma`, an odd number of them.
fn gaussian(sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as i32;
    let weight = |n| (-f64::from(n).powi(2) / (2.0 * sigma * sigma)).exp();
    let weights: Vec<f64> = (-radius..=radius).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upsampling and a two-dimensional convolution as the formulas say, in f64.
    fn naive(distances: &[f32], grid: (usize, usize), map: (usize, usize), sigma: f64) -> Vec<f64> {
        let source =
            |i: usize, n: usize, of: usize| ((i as f32 * (n as f32 / of as f32)) as usize).min(n - 1);
        let upsampled = |y: usize, x: usize| {
            f64::from(distances[source(y, grid.0, map.0) * grid.1 + source(x, grid.1, map.1)])
        };
        let radius = (4.0 * sigma + 0.5) as isize;
        let mirrored = |i: isize, n: usize| {
            let last = n as isize - 1;
            (last - (last - i.abs()).abs()) as usize
        };
        let weight = |dy: isize, dx: isize| (-((dy * dy + dx * dx) as f64) / (2.0 * sigma * sigma)).exp();
        let window = || (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dy, dx)));
        let total: f64 = window().map(|(dy, dx)| weight(dy, dx)).sum();
        let blurred = |y: usize, x: usize| -> f64 {
            let value =
                |dy, dx| upsampled(mirrored(y as isize + dy, map.0), mirrored(x as isize + dx, map.1));
            window().map(|(dy, dx)| weight(dy, dx) * value(dy, dx)).sum::<f64>() / total
        };
        (0..map.0).flat_map(|y| (0..map.1).map(move |x| (y, x))).map(|(y, x)| blurred(y, x)).collect()
    }

    fn distances(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i * 7919 % 1009) as f32 / 100.0).collect()
    }

    #[test]
    fn is_the_naive_map_at_every_size_and_instruction_set() {
        for (grid, map, sigma) in [
            ((1, 1), (17, 17), 4.0),
            ((6, 8), (48, 64), 4.0),
            ((6, 8), (45, 50), 4.0),
            ((5, 7), (17, 100), 4.0),
            ((3, 40), (33, 20), 4.0),
            ((64, 64), (17, 18), 4.0),
            ((4, 4), (9, 70), 1.5),
            ((4, 4), (2, 3), 0.3),
        ] {
            let distances = distances(grid.0 * grid.1);
            let expected = naive(&distances, grid, map, sigma);
            for isa in Isa::available() {
                let mut out = vec![f32::NAN; map.0 * map.1];
                let mut plan = MapPlan::new(grid, map, sigma as f32).unwrap();
                assert_eq!(plan.size(), map);
                plan.run(&distances, isa, &mut out).unwrap();
                for (i, (&got, &expected)) in out.iter().zip(&expected).enumerate() {
                    assert!(
                        (f64::from(got) - expected).abs() <= 2e-6 * expected,
                        "{isa:?}, {grid:?} to {map:?}, at {i}: {got} against {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_used_plan_gives_the_same_bits_as_a_new_one() {
        let distances = distances(12 * 10);
        let new = || MapPlan::new((12, 10), (96, 80), DEFAULT_SIGMA).unwrap();
        let (mut once, mut again, mut used) = (vec![0.0; 96 * 80], vec![0.0; 96 * 80], new());
        new().run(&distances, Isa::best(), &mut once).unwrap();
        used.run(&[9.0; 120], Isa::best(), &mut again).unwrap();
        used.run(&distances, Isa::best(), &mut again).unwrap();
        assert!(once == again);
    }

    #[test]
    fn a_constant_stays_constant() {
        let mut out = vec![0.0; 256 * 256];
        let mut plan = MapPlan::new((32, 32), (256, 256), DEFAULT_SIGMA).unwrap();
        plan.run(&[3.0; 1024], Isa::best(), &mut out).unwrap();
        assert!(out.iter().all(|v| (v - 3.0).abs() < 2e-6));
    }

    #[test]
    fn sizes_that_cannot_work_are_named() {
        let message = |grid, map, sigma| MapPlan::new(grid, map, sigma).unwrap_err().to_string();
        assert!(
            message((2, 2), (16, 64), 4.0).starts_with("anomaly map height: found 16 pixels, expected 17")
        );
        assert!(message((2, 2), (64, 16), 4.0).starts_with("anomaly map width: found 16 pixels"));
        assert!(message((2, 2), (64, 1 << 20), 4.0).starts_with("anomaly map width"));
        assert!(message((0, 2), (64, 64), 4.0).starts_with("patch grid height: found 0"));
        for sigma in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(message((2, 2), (64, 64), sigma).starts_with("sigma"));
        }
        let mut plan = MapPlan::new((2, 2), (20, 20), 4.0).unwrap();
        assert!(plan.run(&[0.0; 3], Isa::PORTABLE, &mut [0.0; 400]).is_err());
        assert!(plan.run(&[0.0; 4], Isa::PORTABLE, &mut [0.0; 399]).is_err());
    }
}
