//! Lower bounds on Euclidean distances from integer products.
//!
//! A row `x` is stored as 8-bit codes `c` with `x' = t c`, and a query `q` as 16-bit codes `d` with `q' = s
//! d`. By the triangle inequality
//!
//! ```text
//!     |q - x| >= |q' - x'| - |q - q'| - |x - x'|,     |q' - x'|^2 = |q'|^2 + |x'|^2 - 2 s t (d . c)
//! ```
//!
//! The product `d . c` is exact in 32-bit integers. [`bound`] computes `|q' - x'| - |x - x'|` in f32, rounded
//! so that it is never above its real value; the caller adds `|q - q'|` to its limit.

use super::isa::{Isa, Kind};

/// Parameters of a row beside its codes: the scale `t`, the squared length of `t c`, and an upper bound on
/// how far that is from the row.
pub(crate) const PARAMS: usize = 3;

/// What rounding in [`bound`] can add to a sum of squares, and to its root, as shares of them: seven and two
/// units in the last place, with a margin.
const SQUARED_SLACK: f32 = 16.0 * (f32::EPSILON / 2.0);
const ROOT_FACTOR: f32 = 1.0 - 4.0 * (f32::EPSILON / 2.0);

/// Rows whose products are computed before their bounds: one row at a time, each product would wait for the
/// bound before.
const BATCH: usize = 64;

/// Quantised rows, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct CodeRows<'a> {
    pub codes: &'a [i8],
    pub params: &'a [[f32; PARAMS]],
}

/// A quantised query: codes, scale, and the squared length of `scale * codes`.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    /// Within -2047..=2047, and few enough for products with rows to fit 32 bits; otherwise these wrap.
    pub codes: &'a [i16],
    pub scale: f32,
    pub squared: f32,
}

/// Appends each chosen row that can be within `limit` of the quantised query to `out`, with a lower bound on
/// its distance, which may be negative. Rows whose bound overflows are kept.
///
/// # Panics
/// A row is outside `rows`.
pub(crate) fn collect_candidates(
    isa: Isa,
    rows: CodeRows<'_>,
    chosen: &[u32],
    query: Query<'_>,
    limit: f32,
    out: &mut Vec<(f32, u32)>,
) {
    let mut found = [(0.0, 0); BATCH];
    for_products(isa, rows, chosen, query, |chosen, products| {
        let mut kept = 0;
        for (&row, &product) in chosen.iter().zip(products) {
            let bound = bound(rows.params[row as usize], query, product);
            // Without a branch, which could hardly be predicted.
            found[kept] = (bound, row);
            kept += usize::from(bound <= limit);
        }
        out.extend_from_slice(&found[..kept]);
    });
}

/// The chosen row that is nearest to the query, both as quantised; the first row where all distances
/// overflow.
///
/// # Panics
/// A row is outside `rows`.
pub(crate) fn find_nearest(isa: Isa, rows: CodeRows<'_>, chosen: &[u32], query: Query<'_>) -> Option<u32> {
    let (mut least, mut nearest) = (f32::INFINITY, chosen.first().copied());
    for_products(isa, rows, chosen, query, |chosen, products| {
        for (&row, &product) in chosen.iter().zip(products) {
            let squared = squared_bound(rows.params[row as usize], query, product);
            if squared < least {
                (least, nearest) = (squared, Some(row));
            }
        }
    });
    nearest
}

/// Calls `visit` with the chosen rows, a batch at a time, and their products with the query.
fn for_products(
    isa: Isa,
    rows: CodeRows<'_>,
    chosen: &[u32],
    query: Query<'_>,
    mut visit: impl FnMut(&[u32], &[i32]),
) {
    let count = rows.params.len().min(rows.codes.len() / query.codes.len().max(1));
    assert!(chosen.iter().all(|&row| (row as usize) < count), "a row outside");
    let mut products = [0; BATCH];
    for chosen in chosen.chunks(BATCH) {
        let products = &mut products[..chosen.len()];
        match isa.kind() {
            Kind::Portable => portable(rows.codes, chosen, query.codes, products),
            // SAFETY: the isa proves that the CPU has the instructions; the rows were just checked.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { x86_64::avx2(rows.codes, chosen, query.codes, products) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { x86_64::avx512(rows.codes, chosen, query.codes, products) },
            // The compiler finds the instructions itself.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => portable(rows.codes, chosen, query.codes, products),
            // SAFETY: the isa proves that the CPU has the instructions.
            #[cfg(target_arch = "arm")]
            Kind::Neon => unsafe {
                super::arm::bounds::dot_products(rows.codes, chosen, query.codes, products);
            },
        }
        visit(chosen, products);
    }
}

/// Writes the product of `query` with each chosen row to `out`.
fn portable(codes: &[i8], chosen: &[u32], query: &[i16], out: &mut [i32]) {
    for (&row, out) in chosen.iter().zip(out) {
        *out = dot(&codes[row as usize * query.len()..][..query.len()], query);
    }
}

/// The product of two vectors of codes, which wraps.
pub(super) fn dot(codes: &[i8], query: &[i16]) -> i32 {
    let products = codes.iter().zip(query).map(|(&code, &query)| i32::from(code).wrapping_mul(query.into()));
    products.fold(0, i32::wrapping_add)
}

/// `|q' - x'| - |x - x'|`. A positive result is never above the real value; a negative one excludes nothing,
/// because no limit is below zero.
#[inline(always)]
fn bound(params: [f32; PARAMS], query: Query<'_>, product: i32) -> f32 {
    squared_bound(params, query, product).sqrt() * ROOT_FACTOR - params[2]
}

/// `|q' - x'|^2`, never above the real value: no term exceeds `|q'|^2 + |x'|^2`, of which the share
/// `SQUARED_SLACK` is subtracted. Overflow and NaN become 0, because the vectors themselves may be near each
/// other.
#[inline(always)]
fn squared_bound([scale, squared, _]: [f32; PARAMS], query: Query<'_>, product: i32) -> f32 {
    let both = query.squared + squared;
    let apart = both - 2.0 * query.scale * scale * product as f32;
    if apart < f32::INFINITY { (apart - SQUARED_SLACK * both).max(0.0) } else { 0.0 }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::dot;
    use std::arch::x86_64::*;

    /// # Safety
    /// The CPU has AVX-512 F, BW and VNNI. Every chosen row is inside `codes`, which hold as many a row as
    /// `query`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn avx512(codes: &[i8], chosen: &[u32], query: &[i16], out: &mut [i32]) {
        let dims = query.len();
        let whole = dims / 32 * 32;
        for (&row, out) in chosen.iter().zip(out) {
            let row = &codes[row as usize * dims..][..dims];
            // SAFETY: `at + 32` is at most `whole`, which is at most the length of the row and of the query.
            let sum = unsafe {
                let mut sum = _mm512_setzero_si512();
                for at in (0..whole).step_by(32) {
                    let a = _mm512_cvtepi8_epi16(_mm256_loadu_si256(row.as_ptr().add(at).cast()));
                    let b = _mm512_loadu_si512(query.as_ptr().add(at).cast());
                    sum = _mm512_dpwssd_epi32(sum, a, b);
                }
                _mm512_reduce_add_epi32(sum)
            };
            *out = sum.wrapping_add(dot(&row[whole..], &query[whole..]));
        }
    }

    /// # Safety
    /// The CPU has AVX2; otherwise as [`avx512`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn avx2(codes: &[i8], chosen: &[u32], query: &[i16], out: &mut [i32]) {
        let dims = query.len();
        let whole = dims / 16 * 16;
        for (&row, out) in chosen.iter().zip(out) {
            let row = &codes[row as usize * dims..][..dims];
            let mut lanes = [0i32; 8];
            // SAFETY: `at + 16` is at most `whole`, which is at most the length of the row and of the query;
            // `lanes` holds eight sums.
            unsafe {
                let mut sum = _mm256_setzero_si256();
                for at in (0..whole).step_by(16) {
                    let a = _mm256_cvtepi8_epi16(_mm_loadu_si128(row.as_ptr().add(at).cast()));
                    let b = _mm256_loadu_si256(query.as_ptr().add(at).cast());
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
                }
                _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum);
            }
            *out = lanes.into_iter().fold(dot(&row[whole..], &query[whole..]), i32::wrapping_add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(at: usize, seed: usize) -> u64 {
        let (at, seed) = (at as u64, seed as u64);
        (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).wrapping_mul(seed * 2 + 1)
    }

    /// Codes at their extremes among others.
    fn row_code(at: usize) -> i8 {
        match hash(at, 3) >> 62 {
            0 => i8::MAX,
            1 => i8::MIN,
            _ => (hash(at, 3) >> 40) as i8,
        }
    }

    fn query_code(at: usize) -> i16 {
        match hash(at, 4) >> 62 {
            0 => 2047,
            1 => -2047,
            _ => (hash(at, 4) >> 40) as i16 % 2048,
        }
    }

    fn squared(codes: impl Iterator<Item = i32>, scale: f32) -> f32 {
        let whole: i64 = codes.map(|code| i64::from(code).pow(2)).sum();
        (f64::from(scale).powi(2) * whole as f64) as f32
    }

    #[test]
    fn every_instruction_set_bounds_alike_and_closely() {
        for dims in [1, 3, 15, 16, 17, 31, 32, 33, 64, 65, 128, 384, 1000] {
            let count = 70;
            let codes: Vec<i8> = (0..count * dims).map(row_code).collect();
            let query: Vec<i16> = (0..dims).map(query_code).collect();
            let row = |row: usize| &codes[row * dims..][..dims];
            let scale = |row: usize| 0.01 + row as f32 * 1e-4;
            let params: Vec<[f32; PARAMS]> = (0..count)
                .map(|i| [scale(i), squared(row(i).iter().map(|&c| c.into()), scale(i)), 0.25])
                .collect();
            let query_scale = 7e-4;
            let query = Query {
                codes: &query,
                scale: query_scale,
                squared: squared(query.iter().map(|&c| c.into()), query_scale),
            };
            // More than a batch, some of them twice, the last row first.
            let chosen: Vec<u32> = (0..count as u32).rev().chain([3, 3, 0]).collect();
            for isa in Isa::available() {
                let rows = CodeRows { codes: &codes, params: &params };
                let mut all = Vec::new();
                collect_candidates(isa, rows, &chosen, query, f32::INFINITY, &mut all);
                assert!(all.iter().map(|(_, row)| row).eq(&chosen), "{isa:?} {dims}");
                for &(bound, i) in &all {
                    let i = i as usize;
                    let off = |(&x, &q): (&i8, &i16)| {
                        f64::from(query_scale) * f64::from(q) - f64::from(scale(i)) * f64::from(x)
                    };
                    let exact =
                        row(i).iter().zip(query.codes).map(off).map(|d| d * d).sum::<f64>().sqrt() - 0.25;
                    let lower = exact - f64::from(bound);
                    let slack = 2e-6 * f64::from(query.squared + params[i][1]) / (exact + 0.25);
                    assert!((0.0..=slack).contains(&lower), "{isa:?} {dims}, row {i}: {bound} {exact}");
                }
                let least = all.iter().map(|(bound, _)| bound).fold(f32::INFINITY, |a, &b| a.min(b));
                let nearest = find_nearest(isa, rows, &chosen, query).unwrap();
                assert!(all.contains(&(least, nearest)), "{isa:?} {dims}: {nearest}, not at {least}");
                // Rows that reach the limit exactly are kept.
                let limit = all[5].0;
                let mut kept = Vec::new();
                collect_candidates(isa, rows, &chosen, query, limit, &mut kept);
                let expected: Vec<_> = all.into_iter().filter(|(bound, _)| *bound <= limit).collect();
                assert_eq!(kept, expected, "{isa:?} {dims}");
            }
        }
    }

    #[track_caller]
    fn assert_kept(code: i8, params: [f32; PARAMS], query: Query<'_>, limit: f32) {
        for isa in Isa::available() {
            let rows = CodeRows { codes: &[code], params: &[params] };
            let mut kept = Vec::new();
            collect_candidates(isa, rows, &[0], query, limit, &mut kept);
            assert_eq!(kept.len(), 1, "{isa:?} {params:?}");
        }
    }

    #[test]
    fn rows_whose_bound_overflows_are_kept() {
        let query = Query { codes: &[2047], scale: 1e30, squared: f32::INFINITY };
        for params in [[1e30, f32::INFINITY, 0.0], [f32::NAN, 1.0, 0.0], [1.0, 1.0, f32::INFINITY]] {
            assert_kept(i8::MAX, params, query, 0.0);
        }
        // Squared lengths that do not overflow, of vectors in opposite directions, whose difference does.
        let query = Query { codes: &[1], scale: 1.5e19, squared: 2.25e38 };
        for error in [2e19, f32::INFINITY] {
            assert_kept(-1, [1e19, 1e38, error], query, 1e19);
        }
    }

    #[test]
    #[should_panic(expected = "a row outside")]
    fn rows_outside_are_refused() {
        let rows = CodeRows { codes: &[0; 8], params: &[[0.0; PARAMS]; 3] };
        let query = Query { codes: &[0; 4], scale: 1.0, squared: 0.0 };
        collect_candidates(Isa::PORTABLE, rows, &[2], query, 0.0, &mut Vec::new());
    }
}
