//! The most that one core can compute: the yardstick beside the network's GFLOP/s.

use patchcore::Isa;
use std::hint::black_box;
use std::time::Instant;

/// Independent chains of fused multiply-adds: more than two units with a latency of four or five cycles need.
const CHAINS: usize = 12;
const ROUNDS: usize = 200_000;

/// Floating-point operations a second of one core that only multiplies and adds in registers: the best of ten
/// tries of about a millisecond each.
pub fn peak_flops(isa: Isa) -> f64 {
    let once = || {
        let start = Instant::now();
        let values = black_box(run_chains(isa, black_box(0.999))).1;
        (2 * ROUNDS * values) as f64 / start.elapsed().as_secs_f64()
    };
    (0..10).map(|_| once()).fold(0.0, f64::max)
}

/// The sum of all chains, and how many values they have together.
fn run_chains(isa: Isa, factor: f32) -> (f32, usize) {
    match isa.name() {
        // SAFETY: there is an `Isa` of this name only on a CPU that has the instructions.
        #[cfg(target_arch = "x86_64")]
        "avx512" => unsafe { avx512(factor) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        "avx2" => unsafe { avx2(factor) },
        "neon" => chains::<4>(factor, f32::mul_add),
        _ => chains::<8>(factor, |a, b, c| a * b + c),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn avx512(factor: f32) -> (f32, usize) {
    chains::<16>(factor, f32::mul_add)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(factor: f32) -> (f32, usize) {
    chains::<8>(factor, f32::mul_add)
}

#[inline(always)]
fn chains<const LANES: usize>(factor: f32, multiply_add: impl Fn(f32, f32, f32) -> f32) -> (f32, usize) {
    let mut sums: [[f32; LANES]; CHAINS] = std::array::from_fn(|i| [i as f32; LANES]);
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            for value in sum {
                *value = multiply_add(*value, factor, factor);
            }
        }
    }
    (sums.iter().flatten().sum(), CHAINS * LANES)
}
