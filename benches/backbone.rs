//! The network to layer3 and each of its layers, and the pooling behind it.
//!
//!     cargo bench --bench backbone
//!     PATCHCORE_ISA=avx2 cargo bench --bench backbone
//!
//! The weights are pseudo-random: time does not depend on them. Each layer is timed inside runs of the whole
//! network, so that it finds the caches as it does in use. The table at the end gives its time beside that of
//! direct convolution, and GFLOP/s of the direct sum with their share of the peak of one core, which is
//! measured first; Winograd's layers can pass it, as they multiply less.

mod peak;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use patchcore::Isa;
use patchcore::Pool;
use patchcore::internals::network::{Architecture, Arena, Backbone, Layer, Mode, Network, StepTiming};
use patchcore::internals::patches::Embedder;
use patchcore::internals::tensor::ImageTensor;
use std::collections::BTreeMap;
use std::time::Duration;

const SIDE: usize = 256;
/// Sides of the layer tables: the smaller ones have maps of few positions.
const SIDES: [usize; 4] = [SIDE, 128, 64, 32];
const NETS: [&str; 5] = ["resnet18_narrow", "resnet18", "resnet34", "resnet50", "wide_resnet50_2"];

fn network(name: &str, side: usize, mode: Mode) -> Network {
    let backbone = Backbone::pseudo_random(&Architecture::named(name).expect("a known name"));
    let isa = Isa::detect().expect("PATCHCORE_ISA names one that this CPU has");
    let pool = Pool::new(1).expect("one thread");
    Network::new(&backbone, &[Layer::Layer2, Layer::Layer3], (side, side), mode, isa, &pool).expect("a plan")
}

fn image(side: usize) -> ImageTensor {
    let data = (0..3 * side * side).map(|i| (i * 31 % 251) as f32 / 100.0 - 1.25).collect();
    ImageTensor { height: side, width: side, data }
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("network");
    group.sample_size(10);
    let image = image(SIDE);
    for net in NETS {
        for mode in [Mode::Fast, Mode::Reference] {
            let network = network(net, SIDE, mode);
            for threads in [1, 2] {
                let pool = Pool::new(threads).expect("threads start");
                let mut arena = network.arena();
                let id = BenchmarkId::new(format!("{net} {mode:?}"), format!("{threads} threads"));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        network.compute_maps(&image, &mut arena, &pool).expect("the planned size").len()
                    });
                });
            }
        }
    }
    group.finish();
}

fn patches(criterion: &mut Criterion) {
    let isa = Isa::detect().expect("PATCHCORE_ISA names one that this CPU has");
    let pool = Pool::new(1).expect("no thread is started");
    let mut group = criterion.benchmark_group("patches");
    for net in ["resnet18", "wide_resnet50_2"] {
        let network = network(net, SIDE, Mode::Fast);
        let mut arena = network.arena();
        let maps = network.compute_maps(&image(SIDE), &mut arena, &pool).expect("the planned size");
        let mut embedder = Embedder::new(network.map_shapes(), isa).expect("two maps");
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new(net, "1 thread"), |bencher| {
            bencher.iter(|| embedder.embed(&maps, &pool, &mut out).rows());
        });
    }
    group.finish();
}

/// The fastest of several runs, step by step.
fn best_steps(network: &Network, side: usize, arena: &mut Arena, pool: &Pool) -> Vec<StepTiming> {
    let image = image(side);
    let mut time = || network.time_steps(&image, arena, pool).expect("the planned size");
    let mut best = time();
    for _ in 0..20 {
        for (best, step) in best.iter_mut().zip(time()) {
            best.time = best.time.min(step.time);
        }
    }
    best
}

fn layers(_: &mut Criterion) {
    let isa = Isa::detect().expect("PATCHCORE_ISA names one that this CPU has");
    let peak = peak::peak_flops(isa);
    println!("\npeak of one core, {}: {:.1} GFLOP/s", isa.name(), peak / 1e9);
    println!("| net | layer | output | algorithm | times | us | us direct | GFLOP/s | share of peak |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for side in SIDES {
        NETS.iter().for_each(|net| layers_of(net, side, peak));
    }
}

fn layers_of(net: &str, side: usize, peak: f64) {
    let pool = Pool::new(1).expect("no thread is started");
    let [steps, direct] = [Mode::Fast, Mode::Reference].map(|mode| {
        let network = network(net, side, mode);
        best_steps(&network, side, &mut network.arena(), &pool)
    });
    // Layers of one shape: the first one's name, how many there are, and the fastest.
    let mut shapes: BTreeMap<_, (usize, StepTiming, Duration)> = BTreeMap::new();
    for (step, direct) in steps.into_iter().zip(direct) {
        let key = (step.output, step.operations, step.algorithm);
        let entry = shapes.entry(key).or_insert_with(|| (0, step.clone(), direct.time));
        entry.0 += 1;
        entry.1.time = entry.1.time.min(step.time);
        entry.2 = entry.2.min(direct.time);
    }
    for ((output, operations, algorithm), (times, step, direct)) in shapes {
        let rate = operations as f64 / step.time.as_secs_f64();
        println!(
            "| {net} | {} | {}x{}x{} | {algorithm} | {times} | {:.0} | {:.0} | {:.0} | {:.2} |",
            step.name,
            output.0,
            output.1,
            output.2,
            step.time.as_secs_f64() * 1e6,
            direct.as_secs_f64() * 1e6,
            rate / 1e9,
            rate / peak
        );
    }
}

criterion_group!(benches, whole, patches, layers);
criterion_main!(benches);
