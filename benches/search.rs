//! Exact nearest neighbours of an image's patches, in memory banks whose variance falls off over the
//! directions as that of real features does, quickly (an object on a plain ground) or slowly (a texture).
//!
//!     cargo bench --bench search

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use patchcore::Isa;
use patchcore::Pool;
use patchcore::internals::search::{Index, MemoryBank, Scratch, Search, SearchKind};
use patchcore::internals::tensor::{Neighbor, Patches};

const GRID: usize = 32;

/// A uniform number in [-1, 1) from a hash of its place.
fn noise(seed: usize, at: usize) -> f32 {
    let mut z = (seed as u64) << 40 ^ (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// `rows` rows whose direction `i` has the deviation `(i + 1)^-decay`; rows `shared` apart have half of each
/// in common, as neighbouring patches have.
fn features(rows: usize, dim: usize, decay: f32, shared: usize, seed: usize) -> Vec<f32> {
    let value = |at: usize| {
        let (row, i) = (at / dim, at % dim);
        let common = noise(seed + 1, (row / shared) * dim + i);
        (common + noise(seed, at)) * ((i + 1) as f32).powf(-decay)
    };
    (0..rows * dim).map(value).collect()
}

fn search(criterion: &mut Criterion) {
    let isa = Isa::detect().expect("PATCHCORE_ISA names one that this CPU has");
    for (name, rows, dim, decay) in
        [("object", 32_768, 384, 0.9), ("texture", 9_216, 384, 0.6), ("wide", 9_216, 1536, 0.9)]
    {
        let mut group = criterion.benchmark_group(format!("search {name} {rows}x{dim}"));
        group.sample_size(10);
        let bank = features(rows, dim, decay, 8, 10);
        let image = features(GRID * GRID, dim, decay, 8, 20);
        let queries = Patches { dim, grid_width: GRID, data: &image };
        let pool = Pool::new(0).expect("threads start");
        for kind in [SearchKind::Flat, SearchKind::Pruned] {
            let rows = MemoryBank::single(bank.clone().into(), dim).expect("whole rows");
            let index = Index::build(rows, kind, isa, &pool).expect("the numbers are finite");
            let mut scratch = Scratch::default();
            let mut out = vec![Neighbor::default(); GRID * GRID];
            for threads in [1, 2] {
                let pool = Pool::new(threads).expect("threads start");
                group.bench_function(BenchmarkId::new(format!("{kind:?}"), threads), |bencher| {
                    bencher.iter(|| pool.install(|| index.nearest(queries, &mut scratch, &pool, &mut out)));
                });
            }
            let mut around = Vec::new();
            group.bench_function(BenchmarkId::new(format!("{kind:?} nine nearest"), 1), |bencher| {
                let one = Pool::new(1).expect("it starts none");
                bencher.iter(|| index.k_nearest(&bank[..dim], 9, &mut scratch, &one, &mut around));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
