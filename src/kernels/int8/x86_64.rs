//! The kernels for AVX-512 VNNI and for AVX2.

use super::{BLOCK_ROWS, Blocks, GROUP, Queries, STEP};
use std::arch::x86_64::*;

/// # Safety
/// The CPU has AVX-512 F, BW and VNNI. Every chosen block is inside `codes` and `bias`; `queries` hold `dims`
/// dimensions and `out` `GROUP` a chosen block.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn mark_near_rows_avx512(
    Blocks { codes, bias, dims }: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    const QUERIES: usize = 8;
    for (i, &block) in chosen.iter().enumerate() {
        for first in (0..GROUP).step_by(QUERIES) {
            // SAFETY: the block holds BLOCK_ROWS biases and dims / STEP steps of BLOCK_ROWS * STEP = 128
            // codes; a step of the queries holds GROUP * STEP bytes, of which query `first + q` has the four
            // read.
            unsafe {
                let bias = bias.as_ptr().add(block as usize * BLOCK_ROWS);
                let start: [__m512i; 2] =
                    std::array::from_fn(|v| _mm512_loadu_si512(bias.add(16 * v).cast()));
                let mut sums = [start; QUERIES];
                let mut codes = codes.as_ptr().add(block as usize * BLOCK_ROWS * dims);
                let mut query = queries.codes.as_ptr().add(first * STEP);
                for _ in 0..dims / STEP {
                    let (a, b) = (_mm512_loadu_si512(codes.cast()), _mm512_loadu_si512(codes.add(64).cast()));
                    for (q, sums) in sums.iter_mut().enumerate() {
                        let four = query.add(q * STEP).cast::<i32>().read_unaligned();
                        let four = _mm512_set1_epi32(four);
                        sums[0] = _mm512_dpbusd_epi32(sums[0], a, four);
                        sums[1] = _mm512_dpbusd_epi32(sums[1], b, four);
                    }
                    codes = codes.add(BLOCK_ROWS * STEP);
                    query = query.add(GROUP * STEP);
                }
                for (q, sums) in sums.iter().enumerate() {
                    let threshold = _mm512_set1_epi32(thresholds[first + q]);
                    let low = _mm512_cmpge_epi32_mask(sums[0], threshold);
                    let high = _mm512_cmpge_epi32_mask(sums[1], threshold);
                    out[(first + q) * chosen.len() + i] = u32::from(low) | u32::from(high) << 16;
                }
            }
        }
    }
}

/// The even bytes of each four as 16-bit numbers, and the odd ones. (`maddubs` would saturate.)
#[target_feature(enable = "avx2")]
fn halves(four: __m256i) -> [__m256i; 2] {
    [_mm256_and_si256(four, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(four)]
}

#[target_feature(enable = "avx2")]
fn add_products(sum: __m256i, a: [__m256i; 2], b: [__m256i; 2]) -> __m256i {
    let (even, odd) = (_mm256_madd_epi16(a[0], b[0]), _mm256_madd_epi16(a[1], b[1]));
    _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
}

/// # Safety
/// The CPU has AVX2; otherwise as [`mark_near_rows_avx512`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn mark_near_rows_avx2(
    Blocks { codes, bias, dims }: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    const QUERIES: usize = 4;
    const ROWS: usize = 16;
    out.fill(0);
    for (i, &block) in chosen.iter().enumerate() {
        for first_row in (0..BLOCK_ROWS).step_by(ROWS) {
            for first in (0..GROUP).step_by(QUERIES) {
                // SAFETY: the block holds BLOCK_ROWS biases and dims / STEP steps of BLOCK_ROWS * STEP codes,
                // of which the ROWS rows from `first_row` on have 64; a step of the queries' halves holds
                // GROUP fours, of which that of query `first + q` is read.
                unsafe {
                    let bias = bias.as_ptr().add(block as usize * BLOCK_ROWS + first_row);
                    let start: [__m256i; 2] =
                        std::array::from_fn(|v| _mm256_loadu_si256(bias.add(8 * v).cast()));
                    let mut sums = [start; QUERIES];
                    let mut codes = codes.as_ptr().add(block as usize * BLOCK_ROWS * dims + first_row * STEP);
                    let mut query = queries.halves.as_ptr().add(first);
                    for _ in 0..dims / STEP {
                        let a = halves(_mm256_loadu_si256(codes.cast()));
                        let b = halves(_mm256_loadu_si256(codes.add(32).cast()));
                        for (q, sums) in sums.iter_mut().enumerate() {
                            // Two loads, each straight into all lanes.
                            let even = query.add(q).cast::<i32>();
                            let odd = even.add(1);
                            let four = [
                                _mm256_set1_epi32(even.read_unaligned()),
                                _mm256_set1_epi32(odd.read_unaligned()),
                            ];
                            sums[0] = add_products(sums[0], a, four);
                            sums[1] = add_products(sums[1], b, four);
                        }
                        codes = codes.add(BLOCK_ROWS * STEP);
                        query = query.add(GROUP);
                    }
                    for (q, sums) in sums.iter().enumerate() {
                        let threshold = _mm256_set1_epi32(thresholds[first + q]);
                        for (v, &sum) in sums.iter().enumerate() {
                            let below = _mm256_castsi256_ps(_mm256_cmpgt_epi32(threshold, sum));
                            let mask = !_mm256_movemask_ps(below) as u32 & 0xff;
                            out[(first + q) * chosen.len() + i] |= mask << (first_row + 8 * v);
                        }
                    }
                }
            }
        }
    }
}
