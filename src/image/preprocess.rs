//! From photograph to network input: resize, centre crop, normalise.

use super::{Frame, PixelFormat};
use crate::error::{Error, Result, Setting};
use crate::kernels::{Isa, weighted};
use crate::parallel::Pool;
use crate::tensor::ImageTensor;

/// Bounds the memory that preprocessing asks for.
const MAX_SIDE: usize = 16_384;
/// Values behind each row, so that four can be read at its last sample.
const PADDING: usize = 3;

/// How a photograph becomes the network's input. Sizes are (height, width).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Preprocess {
    /// Size after resizing; the aspect ratio is not kept.
    pub resize: (usize, usize),
    /// Size of the centre that is kept after resizing.
    pub crop: Option<(usize, usize)>,
    /// Triangle filter that widens when shrinking, as the reference trains and tests; without it plain
    /// bilinear, as its exported models do.
    pub antialias: bool,
    /// Mean of each channel in [0, 1], subtracted.
    pub mean: [f32; 3],
    /// Deviation of each channel, divided by.
    pub std: [f32; 3],
}

impl Default for Preprocess {
    /// 256x256 with antialiasing, no crop, ImageNet's mean and deviation.
    fn default() -> Self {
        Self {
            resize: (256, 256),
            crop: None,
            antialias: true,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

setters!(Preprocess {
    resize: (usize, usize),
    crop: Option<(usize, usize)>,
    antialias: bool,
    mean: [f32; 3],
    std: [f32; 3],
});

/// Sides that keep the aspect of photographs are multiples of this, so that the maps of layer3 have whole
/// sides.
const SIDE_STEP: f64 = 16.0;
/// The sides that keep an aspect of 1:16 and of 16:1. Longer photographs are squashed.
const KEPT_SIDES: (f64, f64) = (64.0, 1024.0);

/// `n / 2`, halves to the even neighbour, as torchvision's crop rounds.
pub(crate) fn half_to_even(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}

impl Preprocess {
    /// Resizes so that the aspect of photographs is kept, with about as many pixels as 256x256 has, so that a
    /// prediction takes as long. The width is 256 times the root of the aspect, the height 256 divided by it,
    /// each rounded to a multiple of 16.
    ///
    /// `sizes` are widths and heights of the photographs. Where their aspects differ, the median counts.
    /// Without photographs the size is 256x256.
    ///
    /// ```
    /// use patchcore::image::Preprocess;
    ///
    /// let preprocess = Preprocess::default().keep_aspect(&[(1250, 500)]);
    /// assert_eq!(preprocess.resize, (160, 400)); // height, width
    /// ```
    #[must_use]
    pub fn keep_aspect(self, sizes: &[(usize, usize)]) -> Self {
        let mut aspects: Vec<f64> = sizes.iter().map(|&(w, h)| w.max(1) as f64 / h.max(1) as f64).collect();
        aspects.sort_unstable_by(f64::total_cmp);
        let aspect = aspects.get(aspects.len().saturating_sub(1) / 2).copied().unwrap_or(1.0);
        let side = |length: f64| {
            let (least, most) = KEPT_SIDES;
            ((length / SIDE_STEP).round() * SIDE_STEP).clamp(least, most) as usize
        };
        self.resize((side(256.0 / aspect.sqrt()), side(256.0 * aspect.sqrt())))
    }

    /// Height and width of the network's input.
    pub fn output_size(&self) -> (usize, usize) {
        self.crop.unwrap_or(self.resize)
    }

    /// Rows and columns of the resized photograph that lie before the crop: half the difference, rounded to
    /// even as torchvision does.
    pub fn crop_offset(&self) -> (usize, usize) {
        let (height, width) = self.output_size();
        (
            half_to_even(self.resize.0.saturating_sub(height)),
            half_to_even(self.resize.1.saturating_sub(width)),
        )
    }

    /// Checks every field.
    ///
    /// # Errors
    /// A side is 0 or above 16,384, the crop is larger than the resized photograph, or mean and deviation
    /// cannot normalise.
    pub fn validate(&self) -> Result<()> {
        let (height, width) = self.resize;
        if height.min(width) == 0 || height.max(width) > MAX_SIDE {
            return Err(Error::argument(
                "image size",
                format!("{height}x{width}"),
                format!("sides from 1 to {MAX_SIDE}"),
            ));
        }
        let crop = self.output_size();
        if crop.0.min(crop.1) == 0 || crop.0 > height || crop.1 > width {
            return Err(Error::wrong_setting(
                Setting::CenterCrop,
                format!("{}x{}", crop.0, crop.1),
                format!("1x1 to {height}x{width}"),
            ));
        }
        if !self.mean.iter().all(|m| m.is_finite()) || !self.std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(Error::argument(
                "normalisation",
                format!("mean {:?}, deviation {:?}", self.mean, self.std),
                "finite numbers, deviations above 0",
            ));
        }
        Ok(())
    }
}

/// Preprocesses frame after frame with one plan. Owns the memory that this takes; frames of the size of the
/// last one need no more.
#[derive(Clone, Debug)]
pub struct Preprocessor {
    plan: Preprocess,
    isa: Isa,
    source: (usize, usize),
    rows: Vec<Taps>,
    columns: Vec<Taps>,
    vertical: Vec<f32>,
}

/// The source samples that an output sample is a weighted mean of.
#[derive(Clone, Debug, Default)]
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Preprocessor {
    /// A preprocessor for `plan`.
    ///
    /// # Errors
    /// The plan is invalid.
    pub fn new(plan: &Preprocess, isa: Isa) -> Result<Self> {
        plan.validate()?;
        Ok(Self {
            plan: *plan,
            isa,
            source: (0, 0),
            rows: Vec::new(),
            columns: Vec::new(),
            vertical: Vec::new(),
        })
    }

    /// Bytes that preprocessing frames of (height, width) takes beside its output: at most a few more than it
    /// will take.
    pub fn bytes(plan: &Preprocess, frame: (usize, usize), format: PixelFormat) -> usize {
        let (height, width) = plan.output_size();
        let taps = |input: usize, output: usize, count: usize| {
            // While a row or column is made, it takes twice that.
            let most = 2 * input.div_ceil(output) + 3;
            count * (size_of::<Taps>() + most * size_of::<f32>()) + most * size_of::<f64>()
        };
        let vertical = height * (frame.1 * format.samples() + PADDING) * size_of::<f32>();
        taps(frame.0, plan.resize.0, height) + taps(frame.1, plan.resize.1, width) + vertical
    }

    /// Writes the network's input for `frame` to `out`.
    pub fn run(&mut self, frame: &Frame<'_>, pool: &Pool, out: &mut ImageTensor) {
        let source = (frame.height(), frame.width());
        if self.source != source {
            let (offset, size) = (self.plan.crop_offset(), self.plan.output_size());
            self.rows = taps(source.0, self.plan.resize.0, self.plan.antialias, offset.0, size.0);
            self.columns = taps(source.1, self.plan.resize.1, self.plan.antialias, offset.1, size.1);
            self.source = source;
        }
        let (height, width) = (self.rows.len(), self.columns.len());
        (out.height, out.width) = (height, width);
        out.data.resize(3 * height * width, 0.0);
        self.shrink_rows(frame, pool);
        self.shrink_columns(frame, pool, out);
    }

    /// `vertical` = the weighted means of source rows, `[height, source width, samples a pixel]`, in [0, 1].
    fn shrink_rows(&mut self, frame: &Frame<'_>, pool: &Pool) {
        let row_len = frame.width() * frame.format().samples();
        let padded = row_len + PADDING;
        self.vertical.resize(self.rows.len() * padded, 0.0);
        let (rows, isa) = (&self.rows, self.isa);
        pool.for_each_chunk(&mut self.vertical, padded, |y, out| {
            let Taps { first, weights } = &rows[y];
            let out = &mut out[..row_len];
            if frame.format().is_16_bit() {
                out.fill(0.0);
                for (row, weight) in (*first..).zip(weights) {
                    let pairs =
                        frame.row(row).as_chunks().0.iter().map(|&pair| f32::from(u16::from_ne_bytes(pair)));
                    out.iter_mut().zip(pairs).for_each(|(out, value)| *out += weight * value);
                }
            } else {
                weighted::sum_of_bytes(isa, weights, frame.rows_from(*first), frame.stride(), out);
            }
        });
    }

    fn shrink_columns(&self, frame: &Frame<'_>, pool: &Pool, out: &mut ImageTensor) {
        let samples = frame.format().samples();
        let padded = frame.width() * samples + PADDING;
        let full_scale = if frame.format().is_16_bit() { 65535.0 } else { 255.0 };
        let Preprocess { mean, std, .. } = self.plan;
        let scale = std.map(|std| 1.0 / (std * full_scale));
        let shift: [f32; 3] = std::array::from_fn(|c| -mean[c] / std[c]);
        let order = frame.format().order();
        let (height, width) = (out.height, out.width);
        let (red, rest) = out.data.split_at_mut(height * width);
        let (green, blue) = rest.split_at_mut(height * width);
        pool.for_each_chunk_triple([red, green, blue], width, |y, mut channels| {
            let source = &self.vertical[y * padded..][..padded];
            for (x, taps) in self.columns.iter().enumerate() {
                let pixel = taps.sum(&source[taps.first * samples..], samples);
                for (c, channel) in channels.iter_mut().enumerate() {
                    channel[x] = pixel[order[c]] * scale[c] + shift[c];
                }
            }
        });
    }
}

impl Taps {
    /// The weighted sum of the pixels at the start of `source`, four samples side by side: those after the
    /// pixel's own are of no meaning.
    fn sum(&self, source: &[f32], samples: usize) -> [f32; 4] {
        let mut sum = [0.0; 4];
        for (weight, at) in self.weights.iter().zip((0..).step_by(samples)) {
            let values: [f32; 4] = std::array::from_fn(|i| source[at..at + 4][i]);
            sum = std::array::from_fn(|i| sum[i] + weight * values[i]);
        }
        sum
    }
}

/// For each of the `count` outputs from `offset` on, of `output` that `input` samples are resized to, what it
/// is made of (torch's `upsample_bilinear2d`, with its antialiasing variant).
fn taps(input: usize, output: usize, antialias: bool, offset: usize, count: usize) -> Vec<Taps> {
    let scale = input as f64 / output as f64;
    let support = if antialias { scale.max(1.0) } else { 1.0 };
    let one = |i: usize| {
        if input == output {
            return Taps { first: i, weights: vec![1.0] };
        }
        let center = scale * (i as f64 + 0.5);
        let center = if antialias { center } else { center.clamp(0.5, input as f64 - 0.5) };
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(input);
        let weights: Vec<f64> =
            (first..end).map(|j| (1.0 - ((j as f64 + 0.5 - center) / support).abs()).max(0.0)).collect();
        let total: f64 = weights.iter().sum();
        Taps { first, weights: weights.iter().map(|w| (w / total) as f32).collect() }
    };
    (offset..offset + count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aspect_of_photographs_is_kept_at_the_pixels_of_256x256() {
        let size = |sizes: &[(usize, usize)]| Preprocess::default().keep_aspect(sizes).resize;
        assert_eq!(size(&[]), (256, 256));
        assert_eq!(size(&[(1, 1), (99, 100), (4000, 4000)]), (256, 256));
        assert_eq!(size(&[(3000, 2250)]), (224, 288));
        assert_eq!(size(&[(2250, 3000)]), (288, 224));
        assert_eq!(size(&[(500, 1250), (1250, 500), (1250, 500)]), (160, 400), "the median");
        assert_eq!(size(&[(65_535, 8)]), (64, 1024));
        for (width, height) in (8..2000).step_by(37).flat_map(|w| (8..2000).step_by(41).map(move |h| (w, h)))
        {
            let (rows, columns) = size(&[(width, height)]);
            let aspect = (width as f64 / height as f64).clamp(1.0 / 16.0, 16.0);
            assert!((0.85..1.15).contains(&(rows as f64 * columns as f64 / 65536.0)), "{width}x{height}");
            let kept = columns as f64 / rows as f64 / aspect;
            assert!((0.85..1.15).contains(&kept), "{width}x{height}: {rows}x{columns}");
        }
    }
}
