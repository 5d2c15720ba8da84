//! One prediction from pixels to score and map, over memory banks of several sizes.
//!
//!     cargo bench --bench end_to_end
//!
//! The photographs are drawn parts (the demo's) and the weights the embedded default's; the memory bank holds
//! patches of the drawn parts, so that its spectrum is that of real features.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use patchcore::internals::parts;
use patchcore::{Backbone, PatchCore, Session, TrainOptions};

const SIDE: usize = 256;

fn model(images: u64, ratio: f64) -> PatchCore {
    let options = TrainOptions::default().coreset_ratio(ratio).cross_validate(false);
    let backbone = Backbone::embedded("default").expect("this build embeds it");
    let photographs = (0..images).map(|index| Ok(parts::draw(None, index, SIDE).0));
    PatchCore::train(&backbone, &options, photographs).expect("the drawn parts train")
}

fn predict(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("predict");
    group.sample_size(20);
    let photograph = parts::draw(None, 1_000_000, SIDE).0;
    for (images, ratio) in [(8, 0.1), (32, 0.1), (32, 0.5)] {
        let model = model(images, ratio);
        for threads in [1, 2] {
            let mut session = Session::new(&model, threads).expect("threads start");
            let name = format!("bank {} threads {threads}", model.info().bank_rows());
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    session.predict(&photograph.frame()).expect("a drawn part is a fit photograph").score
                });
            });
        }
    }
    group.finish();
}

/// Map and mask scaled to a camera's frame.
fn over_image(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("over image");
    group.sample_size(20);
    let mut session = Session::new(&model(8, 0.1), 1).expect("one thread");
    session.predict(&parts::draw(None, 1_000_000, SIDE).0.frame()).expect("a drawn part is a fit photograph");
    for (width, height) in [(640, 480), (1920, 1080)] {
        let (mut map, mut mask) = (vec![0.0; width * height], vec![0; width * height]);
        group.bench_function(BenchmarkId::new("map", format!("{width}x{height}")), |bencher| {
            bencher.iter(|| session.map_over_image(width, height, &mut map).expect("it has predicted"));
        });
        group.bench_function(BenchmarkId::new("mask", format!("{width}x{height}")), |bencher| {
            bencher.iter(|| session.mask_over_image(width, height, &mut mask).expect("it has predicted"));
        });
    }
    group.finish();
}

criterion_group!(benches, predict, over_image);
criterion_main!(benches);
