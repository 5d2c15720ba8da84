//! The inverse discrete cosine transform: libjpeg's "islow" (Loeffler, Ligtenberg and Moschytz 1989) to the
//! bit.
//!
//! Its sums of products are exact integers between two roundings, so the common factors are multiplied out
//! here: each output is a sum of products of 16 bits, which compilers turn into vector instructions.

use super::frame::Block;

/// Where the coefficients of a scan lie in a block (T.81, figure A.6).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Bits of the constants' fractions, and of the fractions between the two passes.
const CONST_BITS: u32 = 13;
const PASS_BITS: u32 = 2;

type Rows = [[i16; 8]; 8];

/// From zigzag order to rows.
pub(super) fn natural_order(steps: &[u16; 64]) -> [u16; 64] {
    let mut out = [0; 64];
    ZIGZAG.iter().zip(steps).for_each(|(&at, &step)| out[at as usize] = step);
    out
}

/// Coefficients with the steps of their quantisation multiplied in. Samples of 8 bits give none beyond 2^11;
/// far larger ones are damage, and would overflow.
#[derive(Default)]
pub(super) struct Dequantizer {
    /// The bits of all of them, moved to where those in range have few.
    bits: u32,
}

impl Dequantizer {
    const RANGE: i32 = 1 << 13;

    #[inline]
    pub(super) fn multiply(&mut self, coefficient: i16, step: u16) -> i16 {
        let value = i32::from(coefficient) * i32::from(step);
        self.bits |= (value + Self::RANGE) as u32;
        value as i16
    }

    #[inline]
    pub(super) fn all_in_range(&self) -> bool {
        self.bits < 2 * Self::RANGE as u32
    }
}

/// Samples of a block whose coefficients are 0 but the first.
pub(super) fn transform_flat(dc: i16) -> u8 {
    // As the two passes round.
    let sample = ((i32::from(dc) << PASS_BITS) + (1 << (PASS_BITS + 2))) >> (PASS_BITS + 3);
    (sample + 128).clamp(0, 255) as u8
}

/// Samples of a block of dequantised coefficients. Those beyond the first `SIDE` of the rows and columns are
/// 0.
pub(super) fn transform<const SIDE: usize>(block: &Block) -> [[u8; 8]; 8] {
    let rows: Rows = std::array::from_fn(|y| std::array::from_fn(|x| block[8 * y + x]));
    let columns = transpose(&pass::<SIDE, { CONST_BITS - PASS_BITS }>(&rows));
    let samples = transpose(&pass::<SIDE, { CONST_BITS + PASS_BITS + 3 }>(&columns));
    let mut out = [[0; 8]; 8];
    for (out, samples) in out.as_flattened_mut().iter_mut().zip(samples.as_flattened()) {
        *out = samples.saturating_add(128).clamp(0, 255) as u8;
    }
    out
}

/// One dimension of the transform, of eight columns side by side.
#[inline]
fn pass<const SIDE: usize, const SHIFT: u32>(rows: &Rows) -> Rows {
    let mut out = [[0; 8]; 8];
    for x in 0..8 {
        let [c0, c1, c2, c3, c4, c5, c6, c7]: [i32; 8] =
            std::array::from_fn(|y| if y < SIDE { i32::from(rows[y][x]) } else { 0 });
        let round = 1 << (SHIFT - 1);
        let (sum, difference) = (((c0 + c4) << CONST_BITS) + round, ((c0 - c4) << CONST_BITS) + round);
        let (low, high) = (c2 * 10703 + c6 * 4433, c2 * 4433 - c6 * 10704);
        let even = [sum + low, difference + high, difference - high, sum - low];
        let odd = [
            c1 * 11363 + c3 * 9633 + c5 * 6437 + c7 * 2260,
            c1 * 9633 - c3 * 2259 - c5 * 11362 - c7 * 6436,
            c1 * 6437 - c3 * 11362 + c5 * 2261 + c7 * 9633,
            c1 * 2260 - c3 * 6436 + c5 * 9633 - c7 * 11363,
        ];
        for y in 0..4 {
            out[y][x] = saturate((even[y] + odd[y]) >> SHIFT);
            out[7 - y][x] = saturate((even[y] - odd[y]) >> SHIFT);
        }
    }
    out
}

fn saturate(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Columns as rows. A step interleaves the upper half with the lower: the bits of a value's place (row,
/// column) move round by one, and after three steps of six they have changed sides.
#[inline]
fn transpose(rows: &Rows) -> Rows {
    let step = |rows: &Rows| -> Rows {
        std::array::from_fn(|y| {
            let (upper, lower) = (&rows[y / 2], &rows[y / 2 + 4]);
            let half = 4 * (y % 2);
            std::array::from_fn(|x| if x % 2 == 0 { upper[half + x / 2] } else { lower[half + x / 2] })
        })
    };
    step(&step(&step(rows)))
}
