//! Selection of the coreset, for growing numbers of patches and coreset ratios.
//!
//!     cargo bench --bench coreset
//!
//! The patches are those of the demo's drawn parts, embedded with the default backbone and projected as in
//! training, so that few directions hold most of the variance, as in real features. Noise has no such
//! directions and would time something else.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use patchcore::Backbone;
use patchcore::Isa;
use patchcore::PatchExtractor;
use patchcore::Pool;
use patchcore::image::Preprocess;
use patchcore::internals::coreset::{Projection, projection_dim, select, size, start};
use patchcore::internals::network::{Layer, Mode, Network};
use patchcore::internals::parts;
use patchcore::internals::tensor::Patches;
use std::ops::ControlFlow;
use std::sync::Arc;

const SIDE: usize = 256;
const SEED: u64 = 42;

/// The patches of `images` drawn parts, and the number of values of a patch.
fn features(images: u64, isa: Isa, pool: &Pool) -> (Vec<f32>, usize) {
    let backbone = Backbone::embedded("default").expect("this build embeds it");
    let preprocess = Preprocess::default();
    let layers = [Layer::Layer2, Layer::Layer3];
    let network = Network::new(&backbone, &layers, preprocess.output_size(), Mode::Fast, isa, pool)
        .expect("the default size fits");
    let network = Arc::new(network);
    let mut extractor = PatchExtractor::new(&network, &preprocess, isa).expect("the default is valid");
    let mut all = Vec::new();
    for index in 0..images {
        let part = parts::draw(None, index, SIDE).0;
        let (patches, _) = extractor.extract(&part.frame(), pool).expect("a drawn part is a fit photograph");
        all.extend_from_slice(patches.data);
    }
    (all, network.dim())
}

fn coreset(criterion: &mut Criterion) {
    let isa = Isa::detect().expect("PATCHCORE_ISA names one that this CPU has");
    for threads in [1, 2] {
        let pool = Pool::new(threads).expect("threads start");
        for images in [4, 16, 64] {
            let (data, dim) = features(images, isa, &pool);
            let all = Patches { dim, grid_width: 32, data: &data };
            let rows = all.rows();
            let projection = Projection::new(dim, projection_dim(rows), SEED);
            let project = || projection.apply(all, isa, &pool).expect("memory suffices");
            let mut group = criterion.benchmark_group("project");
            group.sample_size(10);
            group.bench_function(BenchmarkId::new(format!("{rows} patches"), threads), |b| b.iter(project));
            group.finish();
            let projected = project();
            let projected = Patches { dim: projection.output_dim(), grid_width: 32, data: &projected };
            let mut group = criterion.benchmark_group("select");
            group.sample_size(10);
            for share in [0.01, 0.1, 0.25] {
                let count = size(rows, share).expect("the share is in range");
                let name = format!("{count} of {rows} patches");
                group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                    bencher.iter(|| {
                        let first = start(rows, SEED);
                        select(projected, count, first, isa, &pool, &mut |_, _| ControlFlow::Continue(()))
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, coreset);
criterion_main!(benches);
