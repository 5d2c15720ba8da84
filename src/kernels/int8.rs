//! Products of 8-bit codes: for each query, the rows whose sum reaches a threshold.
//!
//! ```text
//!     near(query, row)  =  bias[row] + sum over dims of row_code * query_code  >=  threshold[query]
//! ```
//!
//! Row codes are unsigned (a signed code plus 128) and query codes signed, as the x86 instruction `vpdpbusd`
//! needs them. All sums are exact in 32 bits (and wrap where a damaged bias makes them too large), so every
//! instruction set gives the same bits. [`BLOCK_ROWS`] rows are interleaved, so that each register lane
//! accumulates the sum of one row:
//!
//! ```text
//!     block:   [r0 d0..3][r1 d0..3] ... [r31 d0..3]   [r0 d4..7][r1 d4..7] ...      STEP = 4 codes each
//!     queries: [q0 d0..3][q1 d0..3] ... [q15 d0..3]   [q0 d4..7] ...                GROUP = 16 queries
//! ```

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use super::isa::{Isa, Kind};

/// Rows of a block.
pub(crate) const BLOCK_ROWS: usize = 32;
/// Queries that are compared with a block together.
pub(crate) const GROUP: usize = 16;
/// Consecutive dimensions of a row or query that are stored together.
pub(crate) const STEP: usize = 4;

/// Index of dimension `dim` of row (or query) `lane` among `lanes` interleaved ones.
pub(crate) fn interleaved(lane: usize, dim: usize, lanes: usize) -> usize {
    (dim / STEP * lanes + lane) * STEP + dim % STEP
}

/// Interleaved rows.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a> {
    /// `BLOCK_ROWS * dims` codes for each block.
    pub codes: &'a [u8],
    /// The start of each row's sum: `BLOCK_ROWS` values for each block.
    pub bias: &'a [i32],
    /// A multiple of `STEP`, at most 1024.
    pub dims: usize,
}

/// A group of queries, whose codes are within -127..=127.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    /// Interleaved.
    codes: Vec<i8>,
    /// The same codes as 16-bit numbers: for each step and query the even codes, then the odd ones.
    halves: Vec<[i16; STEP]>,
}

impl Queries {
    /// Makes room for `dims` dimensions, a multiple of `STEP`. Codes are 0 or old until they are
    /// [set](Self::set).
    pub(crate) fn resize(&mut self, dims: usize) {
        self.codes.resize(GROUP * dims, 0);
        self.halves.resize(GROUP * dims / STEP, [0; STEP]);
    }

    /// Memory of a group of `dims` dimensions, in bytes.
    pub(crate) fn bytes(dims: usize) -> usize {
        GROUP * dims * (size_of::<i8>() + size_of::<i16>())
    }

    #[cfg(target_arch = "arm")]
    pub(super) fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// Sets the first codes of query `lane`, a multiple of `STEP` of them.
    pub(crate) fn set_all(&mut self, lane: usize, codes: &[i16]) {
        let (fours, _) = codes.as_chunks::<STEP>();
        for (step, &four) in fours.iter().enumerate() {
            let at = step * GROUP + lane;
            debug_assert!(four.iter().all(|code| (-127..=127).contains(code)));
            self.codes[at * STEP..][..STEP].copy_from_slice(&four.map(|code| code as i8));
            self.halves[at] = [four[0], four[2], four[1], four[3]];
        }
    }

    /// Sets one code of query `lane`.
    pub(crate) fn set(&mut self, lane: usize, dim: usize, code: i8) {
        debug_assert!(code > i8::MIN);
        self.codes[interleaved(lane, dim, GROUP)] = code;
        let (step, place) = (dim / STEP, dim % STEP);
        self.halves[step * GROUP + lane][place / 2 + place % 2 * 2] = code.into();
    }
}

/// Writes a mask for each query and chosen block: bit `r` of `out[query * chosen.len() + i]` is set where row
/// `r` of block `chosen[i]` reaches the query's threshold. `queries` hold at least `dims` dimensions.
///
/// # Panics
/// A block is outside `blocks`, or lengths do not fit one another.
pub(crate) fn mark_near_rows(
    isa: Isa,
    blocks: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    let Blocks { codes, bias, dims } = blocks;
    assert!(dims.is_multiple_of(STEP) && dims <= 1024 && queries.codes.len() >= GROUP * dims);
    let count = (bias.len() / BLOCK_ROWS).min(codes.len() / (BLOCK_ROWS * dims).max(1));
    assert!(chosen.iter().all(|&block| (block as usize) < count), "a block outside");
    assert_eq!(out.len(), GROUP * chosen.len());
    match isa.kind() {
        Kind::Portable => portable(blocks, chosen, queries, thresholds, out),
        // SAFETY: the isa proves that the CPU has the instructions; the lengths were just checked.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { x86_64::mark_near_rows_avx2(blocks, chosen, queries, thresholds, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { x86_64::mark_near_rows_avx512(blocks, chosen, queries, thresholds, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "arm")]
        Kind::Neon => unsafe { super::arm::int8::mark_near_rows(blocks, chosen, queries, thresholds, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Kind::Neon => unsafe { aarch64::mark_near_rows(blocks, chosen, queries, thresholds, out) },
    }
}

/// The zero point's share of each query's sums: 128 times the sum of its codes, for kernels that multiply
/// signed codes.
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
pub(super) fn zero_points(queries: &Queries, dims: usize) -> [i32; GROUP] {
    let mut sums = [0; GROUP];
    for step in queries.codes[..GROUP * dims].chunks_exact(GROUP * STEP) {
        for (sum, four) in sums.iter_mut().zip(step.chunks_exact(STEP)) {
            *sum += four.iter().map(|&code| 128 * i32::from(code)).sum::<i32>();
        }
    }
    sums
}

fn portable(
    Blocks { codes, bias, dims }: Blocks<'_>,
    chosen: &[u32],
    queries: &Queries,
    thresholds: &[i32; GROUP],
    out: &mut [u32],
) {
    for (i, &block) in chosen.iter().enumerate() {
        let codes = &codes[block as usize * BLOCK_ROWS * dims..][..BLOCK_ROWS * dims];
        for (q, &threshold) in thresholds.iter().enumerate() {
            let mut sums: [i32; BLOCK_ROWS] =
                std::array::from_fn(|row| bias[block as usize * BLOCK_ROWS + row]);
            for (step, codes) in codes.chunks_exact(BLOCK_ROWS * STEP).enumerate() {
                let query: [i32; STEP] =
                    std::array::from_fn(|i| i32::from(queries.codes[(step * GROUP + q) * STEP + i]));
                for (sum, codes) in sums.iter_mut().zip(codes.chunks_exact(STEP)) {
                    let products = codes.iter().zip(query).map(|(&code, query)| i32::from(code) * query);
                    *sum = sum.wrapping_add(products.sum());
                }
            }
            let mask = |mask, (row, &sum): (usize, &i32)| mask | u32::from(sum >= threshold) << row;
            out[q * chosen.len() + i] = sums.iter().enumerate().fold(0, mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes at their extremes among others, so that a sum that saturates shows.
    fn byte(at: usize, seed: usize) -> u8 {
        let (at, seed) = (at as u64, seed as u64);
        let hash = (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).wrapping_mul(seed * 2 + 1);
        match hash >> 61 {
            0 | 1 => 255,
            2 => 0,
            _ => (hash >> 40) as u8,
        }
    }

    #[test]
    fn every_instruction_set_marks_the_rows_that_reach_the_threshold() {
        for dims in [4, 8, 12, 64, 68, 128] {
            // The queries have one step more, so that reading too far shows.
            let blocks = 5;
            let codes: Vec<u8> = (0..blocks * BLOCK_ROWS * dims).map(|i| byte(i, 1)).collect();
            let code = |q: usize, dim: usize| match byte(dim * GROUP + q, 2) {
                0 => -127,
                255 => 127,
                byte => (byte as i8).max(-127),
            };
            let mut queries = Queries::default();
            queries.resize(dims + STEP);
            for q in 0..GROUP {
                let all: Vec<i16> = (0..dims).map(|dim| code(q, dim).into()).collect();
                queries.set_all(q, &all);
                (dims..dims + STEP).for_each(|dim| queries.set(q, dim, code(q, dim)));
            }
            let bias: Vec<i32> = (0..blocks * BLOCK_ROWS).map(|i| i as i32 * 77 - 5000).collect();
            let sum = |block: usize, row: usize, q: usize| {
                let term = |dim| {
                    let row_code = codes[block * BLOCK_ROWS * dims + interleaved(row, dim, BLOCK_ROWS)];
                    i32::from(row_code) * i32::from(code(q, dim))
                };
                bias[block * BLOCK_ROWS + row] + (0..dims).map(term).sum::<i32>()
            };
            // Thresholds that some row meets exactly.
            let thresholds: [i32; GROUP] = std::array::from_fn(|q| sum(q % blocks, q * 2 % BLOCK_ROWS, q));
            for chosen in [&[0, 1, 2, 3, 4][..], &[3], &[4, 1], &[]] {
                for isa in Isa::available() {
                    let mut out = vec![0xdead_beef; GROUP * chosen.len()];
                    let blocks = Blocks { codes: &codes, bias: &bias, dims };
                    mark_near_rows(isa, blocks, chosen, &queries, &thresholds, &mut out);
                    for (i, &block) in chosen.iter().enumerate() {
                        for q in 0..GROUP {
                            let found = out[q * chosen.len() + i];
                            for row in 0..BLOCK_ROWS {
                                let expected = sum(block as usize, row, q) >= thresholds[q];
                                assert_eq!(
                                    found >> row & 1 == 1,
                                    expected,
                                    "{isa:?} {dims} {block} {row} {q}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a block outside")]
    fn blocks_outside_are_refused() {
        let blocks = Blocks { codes: &[0; BLOCK_ROWS * 4], bias: &[0; BLOCK_ROWS], dims: 4 };
        let mut queries = Queries::default();
        queries.resize(4);
        mark_near_rows(Isa::PORTABLE, blocks, &[1], &queries, &[0; GROUP], &mut [0; GROUP]);
    }
}
