//! The kernels for the integer dot product of Armv8.2 and for plain NEON.
//!
//! Without the dot product, two products are summed in 16 bits before they are widened: 2 * 128 * 127 fits.
//!
//! Both multiply signed bytes. Row codes are taken less 128, so sums start higher by 128 times the sum
//! of the query's codes.

use super::{BLOCK_ROWS, Blocks, GROUP, Queries, STEP, zero_points};
use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

/// Queries whose sums are in registers together.
const QUERIES: usize = 4;
/// Rows of a register.
const LANES: usize = 4;

/// # Safety
/// The CPU has NEON. Every chosen block is inside `codes` and `bias`; `queries` hold `dims` dimensions and
/// `out` `GROUP` a chosen block.
pub(super) unsafe fn mark_near_rows(
    blocks: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    // SAFETY: the CPU has the dot product where it is detected, and NEON by the caller's isa; the caller
    // grants the rest.
    unsafe {
        match is_aarch64_feature_detected!("dotprod") {
            true => with_dot_product(blocks, chosen, queries, thresholds, out),
            false => with_neon(blocks, chosen, queries, thresholds, out),
        }
    }
}

/// # Safety
/// The CPU has NEON and the dot product; otherwise as [`mark_near_rows`].
#[target_feature(enable = "neon,dotprod")]
unsafe fn with_dot_product(
    Blocks { codes, bias, dims }: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    const REGISTERS: usize = 4;
    const ROWS: usize = REGISTERS * LANES;
    let zero_points = zero_points(queries, dims);
    out.fill(0);
    for (i, &block) in chosen.iter().enumerate() {
        for first_row in (0..BLOCK_ROWS).step_by(ROWS) {
            for first in (0..GROUP).step_by(QUERIES) {
                // SAFETY: the block holds BLOCK_ROWS biases and dims / STEP steps of BLOCK_ROWS * STEP codes,
                // of which the ROWS rows from `first_row` on have 64; a step of the queries holds GROUP *
                // STEP bytes, of which the QUERIES queries from `first` on have the 16 read.
                unsafe {
                    let bias = bias.as_ptr().add(block as usize * BLOCK_ROWS + first_row);
                    let mut sums = [[vdupq_n_s32(0); QUERIES]; REGISTERS];
                    for (r, sums) in sums.iter_mut().enumerate() {
                        for (sum, &zero_point) in sums.iter_mut().zip(&zero_points[first..]) {
                            *sum = vaddq_s32(vld1q_s32(bias.add(r * LANES)), vdupq_n_s32(zero_point));
                        }
                    }
                    let mut codes = codes.as_ptr().add(block as usize * BLOCK_ROWS * dims + first_row * STEP);
                    let mut query = queries.codes.as_ptr().add(first * STEP);
                    for _ in 0..dims / STEP {
                        let fours = vld1q_s8(query);
                        for (r, [a, b, c, d]) in sums.iter_mut().enumerate() {
                            let rows = signed_codes(codes.add(r * LANES * STEP));
                            *a = dot::<0>(*a, rows, fours);
                            *b = dot::<1>(*b, rows, fours);
                            *c = dot::<2>(*c, rows, fours);
                            *d = dot::<3>(*d, rows, fours);
                        }
                        codes = codes.add(BLOCK_ROWS * STEP);
                        query = query.add(GROUP * STEP);
                    }
                    for (r, sums) in sums.iter().enumerate() {
                        for (q, &sum) in (first..).zip(sums) {
                            out[q * chosen.len() + i] |=
                                ge_mask(sum, thresholds[q]) << (first_row + r * LANES);
                        }
                    }
                }
            }
        }
    }
}

/// Adds to each lane of `sum` the product of its four codes with four `I` of the queries.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const I: usize>(mut sum: int32x4_t, rows: int8x16_t, fours: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction touches registers alone, and the function asks for it. Its intrinsic is not
    // stable.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {rows:v}.16b, {fours:v}.4b[{i}]",
            sum = inout(vreg) sum,
            rows = in(vreg) rows,
            fours = in(vreg) fours,
            i = const I,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// # Safety
/// The CPU has NEON; otherwise as [`mark_near_rows`].
#[target_feature(enable = "neon")]
unsafe fn with_neon(
    Blocks { codes, bias, dims }: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    const REGISTERS: usize = 2;
    const ROWS: usize = REGISTERS * LANES;
    let zero_points = zero_points(queries, dims);
    out.fill(0);
    for (i, &block) in chosen.iter().enumerate() {
        for first_row in (0..BLOCK_ROWS).step_by(ROWS) {
            for first in (0..GROUP).step_by(QUERIES) {
                // SAFETY: the block holds BLOCK_ROWS biases and dims / STEP steps of BLOCK_ROWS * STEP codes,
                // of which the ROWS rows from `first_row` on have 32; a step of the queries holds GROUP *
                // STEP bytes, of which query `first + q` has the four read.
                unsafe {
                    let bias = bias.as_ptr().add(block as usize * BLOCK_ROWS + first_row);
                    let mut halves = [[[vdupq_n_s32(0); 2]; REGISTERS]; QUERIES];
                    let mut codes = codes.as_ptr().add(block as usize * BLOCK_ROWS * dims + first_row * STEP);
                    let mut query = queries.codes.as_ptr().add(first * STEP);
                    for _ in 0..dims / STEP / 2 {
                        let next = codes.add(BLOCK_ROWS * STEP);
                        let rows = [
                            [signed_codes(codes), signed_codes(codes.add(LANES * STEP))],
                            [signed_codes(next), signed_codes(next.add(LANES * STEP))],
                        ];
                        let fours = [vld1q_s8(query), vld1q_s8(query.add(GROUP * STEP))];
                        let [a, b, c, d] = &mut halves;
                        add_products(a, rows, four_codes::<0>(fours));
                        add_products(b, rows, four_codes::<1>(fours));
                        add_products(c, rows, four_codes::<2>(fours));
                        add_products(d, rows, four_codes::<3>(fours));
                        codes = codes.add(2 * BLOCK_ROWS * STEP);
                        query = query.add(2 * GROUP * STEP);
                    }
                    if !(dims / STEP).is_multiple_of(2) {
                        let zero = vdupq_n_s8(0);
                        let rows =
                            [[signed_codes(codes), signed_codes(codes.add(LANES * STEP))], [zero, zero]];
                        let fours = [vld1q_s8(query), zero];
                        let [a, b, c, d] = &mut halves;
                        add_products(a, rows, four_codes::<0>(fours));
                        add_products(b, rows, four_codes::<1>(fours));
                        add_products(c, rows, four_codes::<2>(fours));
                        add_products(d, rows, four_codes::<3>(fours));
                    }
                    let bias = [vld1q_s32(bias), vld1q_s32(bias.add(LANES))];
                    for (q, [a, b]) in (first..).zip(halves) {
                        let zero_point = vdupq_n_s32(zero_points[q]);
                        let sums = [
                            vaddq_s32(vaddq_s32(bias[0], zero_point), vpaddq_s32(a[0], a[1])),
                            vaddq_s32(vaddq_s32(bias[1], zero_point), vpaddq_s32(b[0], b[1])),
                        ];
                        out[q * chosen.len() + i] |= ge_mask_of_eight(sums, thresholds[q]) << first_row;
                    }
                }
            }
        }
    }
}

/// The codes of four rows as signed numbers.
///
/// # Safety
/// There are 16 bytes to read.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn signed_codes(codes: *const u8) -> int8x16_t {
    // SAFETY: as the function's contract says.
    unsafe { vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(128))) }
}

/// Four codes of query `Q` in each lane, of two steps.
#[inline]
#[target_feature(enable = "neon")]
fn four_codes<const Q: i32>(fours: [int8x16_t; 2]) -> [int8x16_t; 2] {
    let [even, odd] = [vreinterpretq_s32_s8(fours[0]), vreinterpretq_s32_s8(fours[1])];
    [vreinterpretq_s8_s32(vdupq_laneq_s32::<Q>(even)), vreinterpretq_s8_s32(vdupq_laneq_s32::<Q>(odd))]
}

/// Adds the products of eight rows with the codes of a query, of two steps. Each row has two lanes of the
/// sums.
#[inline]
#[target_feature(enable = "neon")]
fn add_products(sums: &mut [[int32x4_t; 2]; 2], rows: [[int8x16_t; 2]; 2], query: [int8x16_t; 2]) {
    let [[a, b], [c, d]] = sums;
    // SAFETY: the instructions touch registers alone, and are part of NEON. As intrinsics they become half as
    // many again: the compiler moves the upper halves of the rows to registers of their own, and runs out of
    // these.
    unsafe {
        asm!(
            "smull {0:v}.8h, {even_0:v}.8b, {even:v}.8b",
            "smull2 {1:v}.8h, {even_0:v}.16b, {even:v}.16b",
            "smull {2:v}.8h, {even_1:v}.8b, {even:v}.8b",
            "smull2 {3:v}.8h, {even_1:v}.16b, {even:v}.16b",
            "smlal {0:v}.8h, {odd_0:v}.8b, {odd:v}.8b",
            "smlal2 {1:v}.8h, {odd_0:v}.16b, {odd:v}.16b",
            "smlal {2:v}.8h, {odd_1:v}.8b, {odd:v}.8b",
            "smlal2 {3:v}.8h, {odd_1:v}.16b, {odd:v}.16b",
            "sadalp {a:v}.4s, {0:v}.8h",
            "sadalp {b:v}.4s, {1:v}.8h",
            "sadalp {c:v}.4s, {2:v}.8h",
            "sadalp {d:v}.4s, {3:v}.8h",
            out(vreg) _,
            out(vreg) _,
            out(vreg) _,
            out(vreg) _,
            a = inout(vreg) *a,
            b = inout(vreg) *b,
            c = inout(vreg) *c,
            d = inout(vreg) *d,
            even_0 = in(vreg) rows[0][0],
            even_1 = in(vreg) rows[0][1],
            odd_0 = in(vreg) rows[1][0],
            odd_1 = in(vreg) rows[1][1],
            even = in(vreg) query[0],
            odd = in(vreg) query[1],
            options(pure, nomem, nostack, preserves_flags),
        );
    }
}

/// A bit for each lane that is at least `threshold`.
#[inline]
#[target_feature(enable = "neon")]
fn ge_mask(sum: int32x4_t, threshold: i32) -> u32 {
    // SAFETY: the array holds four values.
    let weights = unsafe { vld1q_u32([1, 2, 4, 8].as_ptr()) };
    vaddvq_u32(vandq_u32(vcgeq_s32(sum, vdupq_n_s32(threshold)), weights))
}

/// A bit for each lane of both registers that is at least `threshold`.
#[inline]
#[target_feature(enable = "neon")]
fn ge_mask_of_eight([low, high]: [int32x4_t; 2], threshold: i32) -> u32 {
    let threshold = vdupq_n_s32(threshold);
    let (low, high) = (vcgeq_s32(low, threshold), vcgeq_s32(high, threshold));
    let near = vuzp1q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high));
    // SAFETY: the array holds eight values.
    let weights = unsafe { vld1q_u16([1, 2, 4, 8, 16, 32, 64, 128].as_ptr()) };
    vaddvq_u16(vandq_u16(near, weights)).into()
}

#[cfg(test)]
mod tests {
    use super::super::portable;
    use super::*;

    #[test]
    fn both_kernels_mark_the_rows_that_the_portable_one_marks() {
        let mut queries = Queries::default();
        queries.resize(12);
        for q in 0..GROUP {
            (0..12)
                .for_each(|dim| queries.set(q, dim, ((q * 12 + dim).wrapping_mul(37) as u8 as i8).max(-127)));
        }
        let codes: Vec<u8> = (0..3 * BLOCK_ROWS * 12).map(|i| (i * 91 >> 2) as u8).collect();
        let bias: Vec<i32> = (0..3 * BLOCK_ROWS as i32).map(|i| i * 900 - 40_000).collect();
        let blocks = Blocks { codes: &codes, bias: &bias, dims: 12 };
        let thresholds: [i32; GROUP] = std::array::from_fn(|q| [i32::MIN, i32::MAX, 0, 5000][q % 4]);
        let mut expected = [0; 2 * GROUP];
        portable(blocks, &[2, 0], &queries, &thresholds, &mut expected);
        let mut found = [u32::MAX; 2 * GROUP];
        // SAFETY: the blocks and queries have these sizes.
        unsafe { with_neon(blocks, &[2, 0], &queries, &thresholds, &mut found) };
        assert_eq!(found, expected);
        if is_aarch64_feature_detected!("dotprod") {
            found.fill(u32::MAX);
            // SAFETY: as above, and the CPU has the instruction.
            unsafe { with_dot_product(blocks, &[2, 0], &queries, &thresholds, &mut found) };
            assert_eq!(found, expected);
        }
    }
}
