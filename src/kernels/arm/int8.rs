//! The kernel of [`int8`](crate::kernels::int8): eight rows times two queries.
//!
//! ```text
//!     q0, q1: four codes of each of 8 rows (q2, q3: the next four)      d8, d9: four codes of each query (d10, d11)
//!     q6 = d0 * d8 + d4 * d10      two products of 8 bits in 16 bits: at most 2 * 128 * 127
//!     q8 += pairs of q6            two 32-bit sums a row
//! ```

use crate::kernels::int8::{BLOCK_ROWS, Blocks, GROUP, Queries, STEP, zero_points};

/// Rows and queries of a call.
const ROWS: usize = 8;
const QUERIES: usize = 2;

/// What the assembly reads once, and writes.
#[repr(C)]
struct Job {
    /// The bias of each of the eight rows.
    bias: *const i32,
    /// The zero point of each of the two queries.
    zero_points: *const i32,
    /// The sum from which a row is a candidate, for each of the two queries.
    thresholds: *const i32,
    masks: *mut [u8; QUERIES],
    /// 1, 2, 4, ..., 128.
    bits: *const [u8; ROWS],
}

unsafe extern "C" {
    /// Sums the products of `steps` steps of codes, and writes the masks of the rows that reach the
    /// thresholds. A step of the rows is 128 bytes after the one before, and a step of the queries 64.
    fn patchcore_neon_mark_rows(codes: *const u8, queries: *const i8, steps: usize, job: *const Job);
}

/// # Safety
/// The CPU has NEON. Every chosen block is inside `codes` and `bias`; `queries` hold `dims` dimensions and
/// `out` `GROUP` values for each chosen block.
pub(crate) unsafe fn mark_near_rows(
    Blocks { codes, bias, dims }: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    let zero_points = zero_points(queries, dims);
    let bits = std::array::from_fn(|row| 1 << row);
    out.fill(0);
    for (i, &block) in chosen.iter().enumerate() {
        for first_row in (0..BLOCK_ROWS).step_by(ROWS) {
            for first in (0..GROUP).step_by(QUERIES) {
                let mut masks = [0; QUERIES];
                // SAFETY: the block holds BLOCK_ROWS biases and dims / STEP steps of 128 codes, of which the
                // ROWS rows from `first_row` on have 32; a step of the queries holds GROUP * STEP = 64 bytes,
                // of which the QUERIES queries from `first` on have the 8 read.
                unsafe {
                    let job = Job {
                        bias: bias.as_ptr().add(block as usize * BLOCK_ROWS + first_row),
                        zero_points: zero_points[first..].as_ptr(),
                        thresholds: thresholds[first..].as_ptr(),
                        masks: &mut masks,
                        bits: &bits,
                    };
                    let codes = codes.as_ptr().add(block as usize * BLOCK_ROWS * dims + first_row * STEP);
                    let query = queries.codes().as_ptr().add(first * STEP);
                    patchcore_neon_mark_rows(codes, query, dims / STEP, &job);
                }
                for (q, mask) in (first..).zip(masks) {
                    out[q * chosen.len() + i] |= u32::from(mask) << first_row;
                }
            }
        }
    }
}

// r0 codes, r1 queries, r2 steps, r3 job.
super::define_function!(
    "patchcore_neon_mark_rows",
    "push {r4-r9}",
    "vpush {d8-d15}",
    "mov r4, #128",
    "mov r5, #60",
    "vmov.i32 q8, #0",
    "vmov.i32 q9, #0",
    "vmov.i32 q10, #0",
    "vmov.i32 q11, #0",
    "vmov.i32 q12, #0",
    "vmov.i32 q13, #0",
    "vmov.i32 q14, #0",
    "vmov.i32 q15, #0",
    "subs r2, r2, #2",
    "blo 2f",
    "1:",
    "vld1.8 {d0-d3}, [r0], r4",
    "vld1.8 {d4-d7}, [r0], r4",
    "vmov.i8 q6, #128",
    "vld1.32 {d8[]}, [r1]!",
    "vld1.32 {d9[]}, [r1], r5",
    "vld1.32 {d10[]}, [r1]!",
    "vld1.32 {d11[]}, [r1], r5",
    "veor q0, q0, q6",
    "veor q1, q1, q6",
    "veor q2, q2, q6",
    "veor q3, q3, q6",
    "vmull.s8 q6, d0, d8",
    "vmlal.s8 q6, d4, d10",
    "vpadal.s16 q8, q6",
    "vmull.s8 q7, d0, d9",
    "vmlal.s8 q7, d4, d11",
    "vpadal.s16 q12, q7",
    "vmull.s8 q6, d1, d8",
    "vmlal.s8 q6, d5, d10",
    "vpadal.s16 q9, q6",
    "vmull.s8 q7, d1, d9",
    "vmlal.s8 q7, d5, d11",
    "vpadal.s16 q13, q7",
    "vmull.s8 q6, d2, d8",
    "vmlal.s8 q6, d6, d10",
    "vpadal.s16 q10, q6",
    "vmull.s8 q7, d2, d9",
    "vmlal.s8 q7, d6, d11",
    "vpadal.s16 q14, q7",
    "vmull.s8 q6, d3, d8",
    "vmlal.s8 q6, d7, d10",
    "vpadal.s16 q11, q6",
    "vmull.s8 q7, d3, d9",
    "vmlal.s8 q7, d7, d11",
    "vpadal.s16 q15, q7",
    "subs r2, r2, #2",
    "bhs 1b",
    "2:",
    "adds r2, r2, #2",
    "beq 3f",
    "vld1.8 {d0-d3}, [r0]",
    "vmov.i8 q6, #128",
    "vld1.32 {d8[]}, [r1]!",
    "vld1.32 {d9[]}, [r1]",
    "veor q0, q0, q6",
    "veor q1, q1, q6",
    "vmull.s8 q6, d0, d8",
    "vpadal.s16 q8, q6",
    "vmull.s8 q7, d0, d9",
    "vpadal.s16 q12, q7",
    "vmull.s8 q6, d1, d8",
    "vpadal.s16 q9, q6",
    "vmull.s8 q7, d1, d9",
    "vpadal.s16 q13, q7",
    "vmull.s8 q6, d2, d8",
    "vpadal.s16 q10, q6",
    "vmull.s8 q7, d2, d9",
    "vpadal.s16 q14, q7",
    "vmull.s8 q6, d3, d8",
    "vpadal.s16 q11, q6",
    "vmull.s8 q7, d3, d9",
    "vpadal.s16 q15, q7",
    "3:",
    "ldm r3, {r4-r8}",
    "vld1.32 {d4-d7}, [r4]",
    "vld1.8 {d12}, [r8]",
    "vpadd.i32 d0, d16, d17",
    "vpadd.i32 d1, d18, d19",
    "vpadd.i32 d2, d20, d21",
    "vpadd.i32 d3, d22, d23",
    "vld1.32 {d8[], d9[]}, [r5]!",
    "vld1.32 {d10[], d11[]}, [r6]!",
    "vadd.i32 q0, q0, q2",
    "vadd.i32 q1, q1, q3",
    "vadd.i32 q0, q0, q4",
    "vadd.i32 q1, q1, q4",
    "vcge.s32 q0, q0, q5",
    "vcge.s32 q1, q1, q5",
    "vmovn.i32 d0, q0",
    "vmovn.i32 d1, q1",
    "vmovn.i16 d0, q0",
    "vand d0, d0, d12",
    "vpadd.i8 d0, d0, d0",
    "vpadd.i8 d0, d0, d0",
    "vpadd.i8 d0, d0, d0",
    "vst1.8 {d0[0]}, [r7]!",
    "vpadd.i32 d0, d24, d25",
    "vpadd.i32 d1, d26, d27",
    "vpadd.i32 d2, d28, d29",
    "vpadd.i32 d3, d30, d31",
    "vld1.32 {d8[], d9[]}, [r5]!",
    "vld1.32 {d10[], d11[]}, [r6]!",
    "vadd.i32 q0, q0, q2",
    "vadd.i32 q1, q1, q3",
    "vadd.i32 q0, q0, q4",
    "vadd.i32 q1, q1, q4",
    "vcge.s32 q0, q0, q5",
    "vcge.s32 q1, q1, q5",
    "vmovn.i32 d0, q0",
    "vmovn.i32 d1, q1",
    "vmovn.i16 d0, q0",
    "vand d0, d0, d12",
    "vpadd.i8 d0, d0, d0",
    "vpadd.i8 d0, d0, d0",
    "vpadd.i8 d0, d0, d0",
    "vst1.8 {d0[0]}, [r7]!",
    "vpop {d8-d15}",
    "pop {r4-r9}",
    "bx lr",
);
