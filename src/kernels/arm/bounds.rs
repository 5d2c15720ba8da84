//! The kernel of [`bounds`](crate::kernels::bounds): products of 8-bit codes with 16-bit codes.

unsafe extern "C" {
    /// The product of `16 * sixteens` codes, which is not 0.
    fn patchcore_neon_dot(codes: *const i8, query: *const i16, sixteens: usize) -> i32;
}

/// Writes the product of `query` with each chosen row to `out`.
///
/// # Safety
/// The CPU has NEON.
pub(crate) unsafe fn dot_products(codes: &[i8], chosen: &[u32], query: &[i16], out: &mut [i32]) {
    let (sixteens, rest) = query.as_chunks::<16>();
    for (&row, out) in chosen.iter().zip(out) {
        let row = &codes[row as usize * query.len()..][..query.len()];
        *out = crate::kernels::bounds::dot(&row[16 * sixteens.len()..], rest);
        if !sixteens.is_empty() {
            // SAFETY: the row has as many codes as the query.
            let product = unsafe { patchcore_neon_dot(row.as_ptr(), query.as_ptr(), sixteens.len()) };
            *out = out.wrapping_add(product);
        }
    }
}

// r0 codes, r1 query, r2 sixteens.
super::define_function!(
    "patchcore_neon_dot",
    "vmov.i32 q10, #0",
    "vmov.i32 q11, #0",
    "vmov.i32 q12, #0",
    "vmov.i32 q13, #0",
    "1:",
    "vld1.8 {d0-d1}, [r0]!",
    "vld1.16 {d4-d7}, [r1]!",
    "vmovl.s8 q8, d0",
    "vmovl.s8 q9, d1",
    "vmlal.s16 q10, d16, d4",
    "vmlal.s16 q11, d17, d5",
    "vmlal.s16 q12, d18, d6",
    "vmlal.s16 q13, d19, d7",
    "subs r2, r2, #1",
    "bne 1b",
    "vadd.i32 q10, q10, q11",
    "vadd.i32 q12, q12, q13",
    "vadd.i32 q10, q10, q12",
    "vadd.i32 d0, d20, d21",
    "vpadd.i32 d0, d0, d0",
    "vmov.32 r0, d0[0]",
    "bx lr",
);
