//! From camera pixels to the network's input.
//!
//!     cargo bench --bench preprocess

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use patchcore::Isa;
use patchcore::Pool;
use patchcore::image::{Frame, PixelFormat, Preprocess, Preprocessor};
use patchcore::internals::tensor::ImageTensor;

fn preprocess(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preprocess");
    let isa = Isa::detect().expect("PATCHCORE_ISA names one that this CPU has");
    for side in [256, 512, 1024, 2048] {
        for threads in [1, 2] {
            let pixels: Vec<u8> = (0..side * side * 3).map(|i| (i * 31 % 251) as u8).collect();
            let frame =
                Frame::new(side, side, side * 3, PixelFormat::Rgb8, &pixels).expect("the buffer fits");
            let pool = Pool::new(threads).expect("threads start");
            let mut preprocessor =
                Preprocessor::new(&Preprocess::default(), isa).expect("the default is valid");
            let mut out = ImageTensor::default();
            group.bench_function(BenchmarkId::new(format!("{side}x{side} rgb"), threads), |bencher| {
                bencher.iter(|| preprocessor.run(&frame, &pool, &mut out));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
