//! The region of interest: which pixels of the network's input, and which patches, count.
//!
//! What lies outside must not matter, whatever it is. A patch sees far beyond itself, since the network's
//! layers look at neighbours of neighbours. So the pixels outside are blanked before the network runs: all
//! photographs look the same there, in training and in prediction. A pixel of the input counts as inside if
//! every pixel of the photograph that it is resized from does; a patch counts if any pixel of its cell does.
//! From there on only patches that count are stored, searched and scored.

#[cfg(feature = "train")]
use crate::error::Setting;
use crate::error::{Error, Result};
use crate::image::Preprocess;
#[cfg(feature = "train")]
use crate::image::{Frame, Mask, PixelFormat, Preprocessor};
#[cfg(feature = "train")]
use crate::kernels::Isa;
#[cfg(feature = "train")]
use crate::parallel::Pool;
use crate::tensor::ImageTensor;

/// How far the aspect of a mask may be from that of a photograph.
#[cfg(feature = "train")]
const ASPECT_TOLERANCE: f64 = 0.01;

/// Pixels and patches that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roi {
    /// Whether each pixel of the network's input counts, row by row.
    inside: Vec<bool>,
    /// The patches that count, in ascending order.
    patches: Vec<u32>,
    /// Patches of the whole grid.
    all: usize,
    /// Columns of the rectangle that the patches would fill.
    columns: usize,
}

impl Roi {
    /// The region that `mask` marks on a photograph, for a network that gives a grid of (rows, columns)
    /// patches.
    ///
    /// # Errors
    /// The mask is of a size that no photograph has, or no pixel of the input lies inside.
    #[cfg(feature = "train")]
    pub(super) fn new(
        mask: &Mask,
        preprocess: &Preprocess,
        grid: (usize, usize),
        pool: &Pool,
    ) -> Result<Self> {
        // The share of each pixel that comes from outside: 0 exactly where none does.
        let outside: Vec<u8> = mask.data.iter().map(|&inside| if inside { 0 } else { 255 }).collect();
        let frame = Frame::new(mask.width, mask.height, mask.width, PixelFormat::Gray8, &outside)
            .map_err(|e| e.within("region of interest"))?;
        let shares = preprocess.mean([0.0; 3]).std([1.0; 3]);
        let mut image = ImageTensor::default();
        Preprocessor::new(&shares, Isa::PORTABLE)?.run(&frame, pool, &mut image);
        let (pixels, width) = (image.height * image.width, image.width);
        let inside = image.data[..pixels].iter().map(|&share| share == 0.0).collect();
        Self::from_pixels(inside, width, grid).ok_or_else(|| {
            Error::wrong_setting(Setting::Roi, "nothing inside", "a part of the photograph")
                .hint("after resizing, whole pixels have to lie inside")
        })
    }

    /// The region of the pixels `inside` of the network's input, whose rows have `width`; `None` where no pixel
    /// lies inside.
    fn from_pixels(inside: Vec<bool>, width: usize, grid: (usize, usize)) -> Option<Self> {
        let height = inside.len() / width;
        let mut counts = vec![false; grid.0 * grid.1];
        for (row, pixels) in inside.chunks_exact(width).enumerate() {
            let patch_row = row * grid.0 / height * grid.1;
            for (column, _) in pixels.iter().enumerate().filter(|(_, inside)| **inside) {
                counts[patch_row + column * grid.1 / width] = true;
            }
        }
        let patches: Vec<u32> =
            (0..).zip(&counts).filter(|(_, counts)| **counts).map(|(patch, _)| patch).collect();
        let rows = counts.chunks_exact(grid.1).filter(|row| row.contains(&true)).count();
        let columns = patches.len().checked_div(rows)?;
        Some(Self { inside, patches, all: counts.len(), columns })
    }

    /// The region whose pixels [`to_bits`](Self::to_bits) gave.
    ///
    /// # Errors
    /// They are not as many as the input has, or none lies inside.
    pub(super) fn from_bits(bits: &[u8], preprocess: &Preprocess, grid: (usize, usize)) -> Result<Self> {
        let (height, width) = preprocess.output_size();
        let pixels = height * width;
        if bits.len() != pixels.div_ceil(8) {
            let found = format!("{} bytes", bits.len());
            return Err(Error::format(
                "region of interest",
                found,
                format!("a bit for each of {height} x {width}"),
            ));
        }
        let inside = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).take(pixels);
        let nothing = || Error::format("region of interest", "nothing inside", "a part of the photograph");
        Self::from_pixels(inside.collect(), width, grid).ok_or_else(nothing)
    }

    /// Whether each pixel of the network's input counts, eight a byte, the first in the lowest bit.
    #[cfg(feature = "train")]
    pub(super) fn to_bits(&self) -> Vec<u8> {
        let byte =
            |pixels: &[bool]| pixels.iter().rev().fold(0, |byte, &inside| byte << 1 | u8::from(inside));
        self.inside.chunks(8).map(byte).collect()
    }

    /// The share of pixels that count.
    pub(super) fn share(&self) -> f64 {
        self.inside.iter().filter(|&&inside| inside).count() as f64 / self.inside.len() as f64
    }

    /// Rows and columns of a grid for the patches that count, in which neighbours of a rectangular region stay
    /// neighbours. The last row may not be full.
    pub(super) fn grid(&self) -> (usize, usize) {
        (self.patches.len().div_ceil(self.columns), self.columns)
    }

    /// Patches that count.
    #[cfg(feature = "train")]
    pub(super) fn patches(&self) -> usize {
        self.patches.len()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.inside.len() + size_of_val(&self.patches[..])
    }

    /// Gives the pixels outside the colour that normalisation makes 0.
    pub(super) fn blank_outside(&self, image: &mut ImageTensor) {
        for channel in image.data.chunks_exact_mut(self.inside.len()) {
            self.clear_outside(channel);
        }
    }

    /// Writes 0 to the pixels outside.
    pub(super) fn clear_outside(&self, pixels: &mut [f32]) {
        for (value, inside) in pixels.iter_mut().zip(&self.inside) {
            if !inside {
                *value = 0.0;
            }
        }
    }

    /// Moves the embeddings of `dim` values that count to the front, and drops the others.
    pub(super) fn keep_patches(&self, embedding: &mut Vec<f32>, dim: usize) {
        for (to, &from) in self.patches.iter().enumerate() {
            let from = from as usize * dim;
            embedding.copy_within(from..from + dim, to * dim);
        }
        embedding.truncate(self.patches.len() * dim);
    }

    /// Spreads the values of the patches that count over the whole grid, in place. The others get 0.
    pub(super) fn spread(&self, values: &mut Vec<f32>) {
        values.resize(self.all, 0.0);
        // From the back: no value is overwritten before it has moved.
        let mut end = self.all;
        for (from, &to) in self.patches.iter().enumerate().rev() {
            let (to, value) = (to as usize, values[from]);
            values[to + 1..end].fill(0.0);
            values[to] = value;
            end = to;
        }
        values[..end].fill(0.0);
    }
}

/// Fails unless `mask` has the aspect of the photograph `frame`.
#[cfg(feature = "train")]
pub(super) fn check_aspect(mask: &Mask, frame: &Frame<'_>) -> Result<()> {
    let aspect = |width: usize, height: usize| width as f64 / height as f64;
    let ratio = aspect(mask.width, mask.height) / aspect(frame.width(), frame.height());
    if (ratio - 1.0).abs() <= ASPECT_TOLERANCE {
        return Ok(());
    }
    let found = format!("{}x{}", mask.width, mask.height);
    let expected = format!("the size of the photograph, {}x{}, or its aspect", frame.width(), frame.height());
    Err(Error::wrong_setting(Setting::Roi, found, expected))
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use super::*;

    /// A mask of a photograph of 40x32 that marks the columns `inside`.
    fn mask(inside: std::ops::Range<usize>) -> Mask {
        let data = (0..32 * 40).map(|at| inside.contains(&(at % 40))).collect();
        Mask { width: 40, height: 32, data }
    }

    fn roi(inside: std::ops::Range<usize>) -> Result<Roi> {
        let preprocess = Preprocess::default().resize((32, 40));
        Roi::new(&mask(inside), &preprocess, (4, 5), &Pool::new(1)?)
    }

    #[test]
    fn a_patch_counts_if_any_pixel_of_its_cell_does() {
        for (inside, columns) in [(0..40, 0..5), (7..33, 0..5), (8..32, 1..4), (39..40, 4..5)] {
            let roi = roi(inside.clone()).unwrap();
            let expected: Vec<u32> = (0..20).filter(|patch| columns.contains(&(patch % 5))).collect();
            assert_eq!(roi.patches, expected, "{inside:?}");
            assert_eq!(roi.grid(), (4, columns.len()), "{inside:?}");
            assert_eq!(roi.share(), inside.len() as f64 / 40.0);
            let preprocess = Preprocess::default().resize((32, 40));
            assert_eq!(Roi::from_bits(&roi.to_bits(), &preprocess, (4, 5)).unwrap(), roi);
        }
        assert!(roi(0..0).unwrap_err().to_string().contains("nothing inside"));
    }

    #[test]
    fn a_pixel_that_is_resized_from_one_outside_does_not_count() {
        let preprocess = Preprocess::default().resize((16, 20));
        let pool = Pool::new(1).unwrap();
        let roi = Roi::new(&mask(11..40), &preprocess, (2, 5), &pool).unwrap();
        // Halved with the triangle filter, column 6 is made of columns 11 to 14.
        assert!(roi.inside.iter().enumerate().all(|(at, &inside)| inside == (at % 20 >= 6)));
    }

    #[test]
    fn patches_are_kept_and_their_values_spread_again() {
        for inside in [0..40, 0..9, 17..18, 30..40] {
            let roi = roi(inside).unwrap();
            let mut embedding: Vec<f32> = (0..20 * 3).map(|value| value as f32).collect();
            roi.keep_patches(&mut embedding, 3);
            let mut firsts: Vec<f32> = embedding.chunks(3).map(|patch| patch[0]).collect();
            assert_eq!(firsts.len(), roi.patches());
            roi.spread(&mut firsts);
            let counts = |patch: u32| if roi.patches.contains(&patch) { 3.0 * patch as f32 } else { 0.0 };
            assert_eq!(firsts, (0..20).map(counts).collect::<Vec<_>>());
        }
    }

    #[test]
    fn bits_of_another_size_are_refused() {
        let preprocess = Preprocess::default().resize((32, 40));
        for bytes in [0, 159, 161] {
            assert!(Roi::from_bits(&vec![255; bytes], &preprocess, (4, 5)).is_err(), "{bytes}");
        }
    }
}
