//! The options that decide what a photograph's patches look like: those that `train`, `benchmark`, `demo` and
//! `embed` share.

use clap::{Args, ValueEnum};
use patchcore::image::{DecodeOptions, Orientation, Photograph, Preprocess};
use patchcore::{Layer, OpenOptions, Result};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// How photographs are embedded.
#[derive(Args, Clone)]
pub struct EmbeddingArguments {
    /// Layers whose maps make the embedding
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', default_value = "layer2,layer3")]
    pub layers: Vec<Layer>,
    /// Side length after resizing, or HEIGHTxWIDTH: sides of 32 to 8192, 4194304 pixels at most; `auto` keeps
    /// the photographs' aspect with about as many pixels as 256, or is 256 with a centre crop
    #[arg(long, value_name = "PIXELS", default_value = "256", value_parser = parse_image_size)]
    image_size: ImageSize,
    /// Side length of a centre crop after resizing, or HEIGHTxWIDTH, at least 32 a side; none by default
    #[arg(long, value_name = "PIXELS", value_parser = parse_size)]
    center_crop: Option<(usize, usize)>,
    /// How photographs are resized
    #[arg(long, value_name = "HOW", default_value = "antialias")]
    resize: Resize,
    /// Whether photographs are turned as their files state; the model keeps it
    #[arg(long, value_name = "HOW", default_value = "exif")]
    orientation: Turning,
    /// Bits that the camera uses of samples of 16 bits, 9 to 16, as in 0 to 4095 for 12; all by default. The
    /// model keeps it, and refuses photographs with larger samples
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(9..=16), allow_negative_numbers = true)]
    bit_depth: Option<u8>,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = super::usage::threads, allow_negative_numbers = true)]
    pub threads: usize,
}

/// What `--image-size` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImageSize {
    /// The photographs' aspect decides.
    Auto,
    /// Height and width.
    Fixed((usize, usize)),
}

#[derive(Clone, Copy, ValueEnum)]
enum Resize {
    /// Triangle filter that widens when shrinking
    Antialias,
    /// As exported reference models do: for scores equal to theirs
    NoAntialias,
}

#[derive(Clone, Copy, ValueEnum)]
enum Turning {
    /// By the orientation in EXIF, XMP or a tag
    Exif,
    /// Not at all: for a camera that looks down, whose gravity sensor guesses
    Ignore,
}

impl EmbeddingArguments {
    /// From file to photograph.
    pub fn decode_options(&self) -> DecodeOptions {
        let orientation = match self.orientation {
            Turning::Exif => Orientation::Exif,
            Turning::Ignore => Orientation::Ignore,
        };
        DecodeOptions::default().orientation(orientation).bit_depth(self.bit_depth)
    }

    /// How `photographs` become the network's input.
    pub fn preprocess(&self, photographs: &[PathBuf]) -> Result<Preprocess> {
        let antialias = matches!(self.resize, Resize::Antialias);
        let preprocess = Preprocess::default().crop(self.center_crop).antialias(antialias);
        Ok(match self.image_size {
            ImageSize::Fixed(size) => preprocess.resize(size),
            ImageSize::Auto if self.center_crop.is_some() => preprocess,
            ImageSize::Auto => {
                let sizes = read_sizes(photographs, &self.decode_options())?;
                super::training::report_notes(note_aspects(&sizes).as_slice());
                preprocess.keep_aspect(&sizes)
            }
        })
    }
}

fn read_sizes(photographs: &[PathBuf], options: &DecodeOptions) -> Result<Vec<(usize, usize)>> {
    photographs.iter().map(|path| Photograph::read_size(path, options)).collect()
}

/// A note where the aspects of photographs differ by more than a hundredth.
fn note_aspects(sizes: &[(usize, usize)]) -> Option<String> {
    let aspects = || sizes.iter().map(|&(width, height)| width as f64 / height as f64);
    let (low, high) = (aspects().fold(f64::INFINITY, f64::min), aspects().fold(0.0, f64::max));
    (high > low * 1.01).then(|| {
        format!("photographs are {low:.2} to {high:.2} times as wide as high: the median is kept, others are stretched to it")
    })
}

/// The sides that a network's input can have.
const SIDES: RangeInclusive<usize> = 32..=8192;

/// `auto`, a side length, or `HEIGHTxWIDTH`.
fn parse_image_size(text: &str) -> Result<ImageSize, String> {
    match text {
        "auto" => Ok(ImageSize::Auto),
        _ => parse_size(text).map(ImageSize::Fixed),
    }
}

/// A side length, or `HEIGHTxWIDTH`.
pub fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let side = |s: &str| match s.parse() {
        Ok(side) if SIDES.contains(&side) => Ok(side),
        Ok(side) => Err(format!("a side of {side} pixels is not {} to {}", SIDES.start(), SIDES.end())),
        Err(_) => Err(format!("{s:?} is not a number of pixels")),
    };
    let (height, width) = match text.split_once('x') {
        Some((height, width)) => (side(height)?, side(width)?),
        None => side(text).map(|n| (n, n))?,
    };
    // The model could not be opened.
    let most = OpenOptions::default().max_pixels;
    match usize::checked_mul(height, width) {
        Some(pixels) if pixels <= most => Ok((height, width)),
        _ => Err(format!("{text} has more than {most} pixels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aspects_that_differ_are_noted() {
        assert_eq!(note_aspects(&[]), None);
        assert_eq!(note_aspects(&[(1000, 500), (1004, 500)]), None);
        let note = note_aspects(&[(1000, 500), (1200, 500), (500, 500)]).unwrap();
        assert!(note.contains("1.00 to 2.40"), "{note}");
    }

    #[test]
    fn sizes_are_those_that_a_model_can_have() {
        for (text, size) in [("32", (32, 32)), ("64x8192", (64, 8192)), ("2048", (2048, 2048))] {
            assert_eq!(parse_size(text), Ok(size));
        }
        for text in ["", "0", "31", "8193x32", "2049", "64x", "-64", "64x64x64"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
