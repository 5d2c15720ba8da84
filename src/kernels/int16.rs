//! Products of 16-bit codes with single rows.

use super::isa::{Isa, Kind};

/// Products of `query` with rows that lie one after the other in `codes`: `out[i]` is the bias of `rows[i]` plus its
/// product. Sums wrap: the caller's codes are small enough that they do not, unless a file is damaged.
///
/// # Panics
/// A row is outside `codes` or `bias`, or `rows` and `out` differ in length.
pub(crate) fn products(isa: Isa, codes: &[i16], bias: &[i32], rows: &[u32], query: &[i16], out: &mut [i32]) {
    let count = bias.len().min(codes.len() / query.len().max(1));
    assert!(rows.iter().all(|&row| (row as usize) < count), "a row outside");
    assert_eq!(rows.len(), out.len());
    match isa.kind() {
        Kind::Portable => portable(codes, bias, rows, query, out),
        // SAFETY: the isa proves that the CPU has the instructions; the lengths were just checked.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { x86_64::avx2(codes, bias, rows, query, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { x86_64::avx512(codes, bias, rows, query, out) },
        #[cfg(target_arch = "aarch64")]
        Kind::Neon => portable(codes, bias, rows, query, out),
    }
}

fn portable(codes: &[i16], bias: &[i32], rows: &[u32], query: &[i16], out: &mut [i32]) {
    for (&row, out) in rows.iter().zip(out) {
        let row = row as usize;
        *out = bias[row].wrapping_add(dot(&codes[row * query.len()..][..query.len()], query));
    }
}

fn dot(codes: &[i16], query: &[i16]) -> i32 {
    let products = codes.iter().zip(query).map(|(&code, &query)| i32::from(code).wrapping_mul(query.into()));
    products.fold(0, i32::wrapping_add)
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::dot;
    use std::arch::x86_64::*;

    /// Rows are fetched so many in advance: they lie anywhere.
    const AHEAD: usize = 6;

    /// # Safety
    /// The CPU has AVX-512 F and BW. Every row is inside `bias` and, times the query's length, inside `codes`.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) unsafe fn avx512(codes: &[i16], bias: &[i32], rows: &[u32], query: &[i16], out: &mut [i32]) {
        let whole = query.len() / 32 * 32;
        for (i, (&row, out)) in rows.iter().zip(out).enumerate() {
            if let Some(&ahead) = rows.get(i + AHEAD) {
                let codes = codes.as_ptr().wrapping_add(ahead as usize * query.len());
                (0..whole)
                    .step_by(32)
                    .for_each(|at| _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(at).cast()));
            }
            let row = row as usize;
            // SAFETY: the row is inside; `at + 32` is at most `whole`, which is at most the length of a row.
            let sum = unsafe {
                let codes = codes.as_ptr().add(row * query.len());
                let mut sum = _mm512_setzero_si512();
                for at in (0..whole).step_by(32) {
                    let a = _mm512_loadu_si512(codes.add(at).cast());
                    let b = _mm512_loadu_si512(query.as_ptr().add(at).cast());
                    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
                }
                _mm512_reduce_add_epi32(sum)
            };
            let rest = dot(&codes[row * query.len() + whole..(row + 1) * query.len()], &query[whole..]);
            *out = bias[row].wrapping_add(sum).wrapping_add(rest);
        }
    }

    /// # Safety
    /// The CPU has AVX2; otherwise as [`avx512`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn avx2(codes: &[i16], bias: &[i32], rows: &[u32], query: &[i16], out: &mut [i32]) {
        let whole = query.len() / 16 * 16;
        for (&row, out) in rows.iter().zip(out) {
            let row = row as usize;
            let mut lanes = [0i32; 8];
            // SAFETY: the row is inside; `at + 16` is at most `whole`, which is at most the length of a row; `lanes` holds
            // eight sums.
            unsafe {
                let codes = codes.as_ptr().add(row * query.len());
                let mut sum = _mm256_setzero_si256();
                for at in (0..whole).step_by(16) {
                    let a = _mm256_loadu_si256(codes.add(at).cast());
                    let b = _mm256_loadu_si256(query.as_ptr().add(at).cast());
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
                }
                _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum);
            }
            let rest = dot(&codes[row * query.len() + whole..(row + 1) * query.len()], &query[whole..]);
            *out = lanes.into_iter().fold(bias[row].wrapping_add(rest), i32::wrapping_add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes at their extremes among others.
    fn code(at: usize, seed: usize) -> i16 {
        let (at, seed) = (at as u64, seed as u64);
        let hash = (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).wrapping_mul(seed * 2 + 1);
        match hash >> 62 {
            0 => i16::MAX,
            1 => i16::MIN,
            _ => (hash >> 40) as i16,
        }
    }

    #[test]
    fn every_instruction_set_multiplies_alike() {
        for dims in [1, 3, 15, 16, 17, 31, 32, 33, 64, 65, 128, 256] {
            let codes: Vec<i16> = (0..9 * dims).map(|i| code(i, 3)).collect();
            let query: Vec<i16> = (0..dims).map(|i| code(i, 4)).collect();
            let bias: Vec<i32> = (0..9).map(|i| i * 1000 - 4000).collect();
            let rows = [8, 0, 3, 3];
            let expected = rows.map(|row| {
                let term = |i| i64::from(codes[row as usize * dims + i]) * i64::from(query[i]);
                (i64::from(bias[row as usize]) + (0..dims).map(term).sum::<i64>()) as i32
            });
            for isa in Isa::available() {
                let mut out = [0; 4];
                products(isa, &codes, &bias, &rows, &query, &mut out);
                assert_eq!(out, expected, "{isa:?} {dims}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "a row outside")]
    fn rows_outside_are_refused() {
        products(Isa::PORTABLE, &[0; 8], &[0; 2], &[2], &[0; 4], &mut [0]);
    }
}
