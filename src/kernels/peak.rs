//! What the CPU can do at most: the yardstick of the benches.

use super::Isa;
use super::simd::{Simd, dispatch};
use std::time::Instant;

/// Independent chains of fused multiply-adds: more than two units of latency four or five need.
const CHAINS: usize = 12;
const ROUNDS: usize = 200_000;

/// Floating-point operations a second of one core that does nothing but multiply and add in registers: the best of a few
/// tries of about a millisecond.
pub fn peak_flops(isa: Isa) -> f64 {
    let operations = (2 * CHAINS * ROUNDS * isa.lanes()) as f64;
    let one = || {
        let start = Instant::now();
        // SAFETY: nothing but the instruction set is asked for.
        std::hint::black_box(unsafe { run(isa, std::hint::black_box(0.999)) });
        operations / start.elapsed().as_secs_f64()
    };
    (0..10).map(|_| one()).fold(0.0, f64::max)
}

dispatch! {
    /// # Safety
    /// As [`chains`].
    unsafe fn run(factor: f32) -> f32 = chains
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn chains<V: Simd>(factor: f32) -> f32 {
    // SAFETY: the caller grants the instructions.
    unsafe {
        let factor = V::splat(factor);
        let mut sums: [V; CHAINS] = std::array::from_fn(|i| V::splat(i as f32));
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = sum.mul_add(factor, factor));
        }
        sums.into_iter().fold(V::splat(0.0), |all, sum| all.add(sum)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_chains_are_computed() {
        // x -> 0.5 x + 0.5 ends at 1 from everywhere.
        for isa in Isa::available() {
            // SAFETY: nothing but the instruction set is asked for.
            let sum = unsafe { run(isa, 0.5) };
            assert!((sum - (CHAINS * isa.lanes()) as f32).abs() < 1e-2, "{isa:?}: {sum}");
        }
    }
}
