//! The options that decide what a photograph's patches look like: those that `train`, `benchmark`, `demo` and
//! `embed` share.

use clap::{Args, ValueEnum};
use patchcore::Layer;
use patchcore::OpenOptions;
use patchcore::image::{DecodeOptions, Orientation, Preprocess};
use std::ops::RangeInclusive;

/// How photographs are embedded.
#[derive(Args, Clone)]
pub struct EmbeddingArguments {
    /// Layers whose maps make the embedding
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', default_value = "layer2,layer3")]
    pub layers: Vec<Layer>,
    /// Side length after resizing, or HEIGHTxWIDTH: sides of 32 to 8192, 4194304 pixels at most
    #[arg(long, value_name = "PIXELS", default_value = "256", value_parser = parse_size)]
    image_size: (usize, usize),
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

    /// From photograph to network input.
    pub fn preprocess(&self) -> Preprocess {
        let antialias = matches!(self.resize, Resize::Antialias);
        Preprocess::default().resize(self.image_size).crop(self.center_crop).antialias(antialias)
    }
}

/// The sides that a network's input can have.
const SIDES: RangeInclusive<usize> = 32..=8192;

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
    fn sizes_are_those_that_a_model_can_have() {
        for (text, size) in [("32", (32, 32)), ("64x8192", (64, 8192)), ("2048", (2048, 2048))] {
            assert_eq!(parse_size(text), Ok(size));
        }
        for text in ["", "0", "31", "8193x32", "2049", "64x", "-64", "64x64x64"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
