//! From samples as stored to grey or RGB at full scale.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::page::Page;

/// What the samples of a pixel mean.
pub(super) enum Color {
    Gray {
        inverted: bool,
        alpha: Alpha,
    },
    Rgb {
        alpha: Alpha,
    },
    Palette(Vec<[u16; 3]>),
    Cmyk,
    /// JPEG's, which its decoder makes RGB.
    Ycc,
}

/// What to do with the samples behind the colours.
#[derive(Clone, Copy)]
pub(super) enum Alpha {
    Dropped,
    /// The colours were multiplied by this sample of the pixel ("associated alpha"); that is undone.
    Premultiplied(usize),
}

impl Color {
    /// Samples that the colours of a pixel are stored in.
    pub(super) fn stored_samples(&self) -> usize {
        match self {
            Self::Gray { .. } | Self::Palette(_) => 1,
            Self::Rgb { .. } | Self::Ycc => 3,
            Self::Cmyk => 4,
        }
    }

    /// Samples of a pixel that is returned.
    pub(super) fn channels(&self) -> usize {
        if matches!(self, Self::Gray { .. }) { 1 } else { 3 }
    }

    /// With the colours multiplied by sample `at`.
    pub(super) fn with_alpha(self, at: usize) -> Self {
        match self {
            Self::Gray { inverted, .. } => Self::Gray { inverted, alpha: Alpha::Premultiplied(at) },
            Self::Rgb { .. } => Self::Rgb { alpha: Alpha::Premultiplied(at) },
            other => other,
        }
    }

    /// Converts a row of stored samples to samples of 8 bits, or of 16 if they have more than 8.
    pub(super) fn convert(&self, page: &Page, row: &[u16]) -> Vec<u16> {
        let max = (1u32 << page.bits) - 1;
        let full = if page.bits > 8 { 0xffff } else { 0xff };
        let pixels = row.chunks_exact(page.samples);
        let first = |pixel: &[u16]| pixel.first().copied().unwrap_or_default();
        match self {
            Self::Gray { inverted, alpha } => pixels
                .map(|pixel| {
                    let value = alpha.unmultiply(u32::from(first(pixel)), pixel, max);
                    scale(if *inverted { max - value } else { value }, max, full)
                })
                .collect(),
            Self::Rgb { alpha } => pixels
                .flat_map(|pixel| {
                    let colors = pixel.first_chunk::<3>().copied().unwrap_or_default();
                    colors.map(|value| scale(alpha.unmultiply(value.into(), pixel, max), max, full))
                })
                .collect(),
            Self::Palette(colors) => pixels
                .flat_map(|pixel| colors.get(usize::from(first(pixel))).copied().unwrap_or_default())
                .collect(),
            Self::Cmyk => pixels
                .flat_map(|pixel| {
                    let [inks @ .., black] = pixel.first_chunk::<4>().copied().unwrap_or_default();
                    let light = |ink: u16| max - u32::from(ink);
                    inks.map(|ink| scale((light(ink) * light(black) + max / 2) / max, max, full))
                })
                .collect(),
            Self::Ycc => row.to_vec(),
        }
    }
}

impl Alpha {
    fn unmultiply(self, value: u32, pixel: &[u16], max: u32) -> u32 {
        match self {
            Self::Dropped => value,
            Self::Premultiplied(at) => match pixel.get(at).copied().map_or(max, u32::from) {
                0 => 0,
                alpha => ((value * max + alpha / 2) / alpha).min(max),
            },
        }
    }
}

/// `value` of `max` as the same share of `full`, rounded.
fn scale(value: u32, max: u32, full: u32) -> u16 {
    let value = if max == full { value } else { (value * full + max / 2) / max };
    u16::try_from(value).unwrap_or(u16::MAX)
}
