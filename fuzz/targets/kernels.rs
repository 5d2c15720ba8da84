//! Every instruction set gives what the portable kernels give, up to the rounding of sums in another order.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use patchcore::Backbone;
use patchcore::Isa;
use patchcore::Pool;
use patchcore::image::{Frame, PixelFormat, Preprocess, Preprocessor};
use patchcore::internals::coreset;
use patchcore::internals::coreset::Projection;
use patchcore::internals::network::{Architecture, Layer, Mode, Network};
use patchcore::internals::patches::Embedder;
use patchcore::internals::score::MapPlan;
use patchcore::internals::tensor::{FeatureMap, ImageTensor, Patches};
use std::ops::ControlFlow;

fn values(u: &mut Unstructured<'_>, count: usize) -> Result<Vec<f32>> {
    let seed: u32 = u.arbitrary()?;
    // A few that the input chooses, then a pattern: sizes matter more than values.
    let chosen: Vec<u8> = (0..count.min(16)).map(|_| u.arbitrary()).collect::<Result<_>>()?;
    let pattern = (0..).map(|i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8);
    Ok(chosen.into_iter().chain(pattern).take(count).map(|byte| f32::from(byte) / 64.0 - 2.0).collect())
}

/// Computes with every instruction set and compares with the portable result.
fn compare(what: &str, mut compute: impl FnMut(Isa) -> Vec<f32>) {
    let expected = compute(Isa::PORTABLE);
    let size = expected.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    for isa in Isa::available() {
        let found = compute(isa);
        assert_eq!(found.len(), expected.len(), "{what} {isa:?}");
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() <= 2e-4 * size, "{what} {isa:?} at {at}: {found}, {expected}");
        }
    }
}

fn preprocess(u: &mut Unstructured<'_>) -> Result<()> {
    const FORMATS: [PixelFormat; 7] = [
        PixelFormat::Gray8,
        PixelFormat::Rgb8,
        PixelFormat::Bgr8,
        PixelFormat::Rgba8,
        PixelFormat::Bgra8,
        PixelFormat::Gray16,
        PixelFormat::Rgb16,
    ];
    let (width, height) = (u.int_in_range(8..=90)?, u.int_in_range(8..=90)?);
    let format = *u.choose(&FORMATS)?;
    let stride = width * format.bytes() + u.int_in_range(0..=5)?;
    let resize = (u.int_in_range(1..=70)?, u.int_in_range(1..=70)?);
    let crop = (u.int_in_range(1..=resize.0)?, u.int_in_range(1..=resize.1)?);
    let plan = Preprocess::default()
        .resize(resize)
        .crop(u.arbitrary::<bool>()?.then_some(crop))
        .antialias(u.arbitrary()?);
    // Exactly as long as is needed, so that a read past the end is seen.
    let bytes: Vec<u8> =
        (0..stride * (height - 1) + width * format.bytes()).map(|i| (i * 37 % 251) as u8).collect();
    let frame = Frame::new(width, height, stride, format, &bytes).expect("it fits");
    let pool = Pool::new(1).expect("one thread");
    compare("preprocess", |isa| {
        let mut out = ImageTensor::default();
        Preprocessor::new(&plan, isa).expect("it is valid").run(&frame, &pool, &mut out);
        out.data
    });
    Ok(())
}

fn network(u: &mut Unstructured<'_>) -> Result<()> {
    let (height, width) = (u.int_in_range(32..=70)?, u.int_in_range(32..=70)?);
    let mode = *u.choose(&[Mode::Fast, Mode::Reference])?;
    let image = ImageTensor { height, width, data: values(u, 3 * height * width)? };
    let backbone = Backbone::pseudo_random(&Architecture::named("resnet18_narrow").expect("there is one"));
    let pool = Pool::new(1).expect("one thread");
    compare("network", |isa| {
        let network =
            Network::new(&backbone, &Layer::ALL, (height, width), mode, isa, &pool).expect("it is valid");
        let mut arena = network.arena();
        let maps = network.compute_maps(&image, &mut arena, &pool).expect("it is valid");
        let mut out = Vec::new();
        for map in maps.iter() {
            (0..map.height * map.width)
                .for_each(|at| out.extend(map.values_at(at / map.width, at % map.width)));
        }
        out
    });
    Ok(())
}

fn embed(u: &mut Unstructured<'_>) -> Result<()> {
    let mut side = |most: usize| u.int_in_range(1..=most);
    let fine = (side(20)?, side(20)?, side(40)?);
    let coarse = (side(fine.0)?, side(fine.1)?, side(40)?);
    let (a, b) = (values(u, fine.0 * fine.1 * fine.2)?, values(u, coarse.0 * coarse.1 * coarse.2)?);
    let pool = Pool::new(1).expect("one thread");
    compare("embed", |isa| {
        let maps = [
            FeatureMap::dense(fine.0, fine.1, fine.2, &a),
            FeatureMap::dense(coarse.0, coarse.1, coarse.2, &b),
        ];
        let mut out = Vec::new();
        Embedder::new(vec![fine, coarse], isa).expect("two maps").embed(&maps, &pool, &mut out);
        out
    });
    Ok(())
}

fn map(u: &mut Unstructured<'_>) -> Result<()> {
    let (grid, size) = (
        (u.int_in_range(1..=20)?, u.int_in_range(1..=20)?),
        (u.int_in_range(17..=80)?, u.int_in_range(17..=80)?),
    );
    let distances = values(u, grid.0 * grid.1)?;
    let Ok(plan) = MapPlan::new(grid, size, 4.0) else { return Ok(()) };
    compare("map", |isa| {
        let mut out = vec![0.0; size.0 * size.1];
        plan.clone().run(&distances, isa, &mut out).expect("the sizes fit");
        out
    });
    Ok(())
}

/// The choice must be the same; small whole numbers make every sum exact.
fn choose(u: &mut Unstructured<'_>) -> Result<()> {
    let (rows, dim) = (u.int_in_range(1..=300)?, u.int_in_range(1..=48)?);
    let features: Vec<f32> = values(u, rows * dim)?.into_iter().map(f32::round).collect();
    let (count, start) = (u.int_in_range(1..=rows)?, u.choose_index(rows)?);
    let pool = Pool::new(1).expect("one thread");
    let features = Patches { dim, grid_width: 1, data: &features };
    compare("coreset", |isa| {
        let stop = &mut |_, _| ControlFlow::Continue(());
        let chosen = coreset::select(features, count, start, isa, &pool, stop).expect("they are finite");
        chosen.into_iter().map(|row| row as f32 * 1e6).collect()
    });
    compare("projection", |isa| {
        Projection::new(dim, coreset::projection_dim(rows), 7)
            .apply(features, isa, &pool)
            .expect("there is memory")
    });
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = match u.int_in_range(0..=9u8) {
        Ok(0..=2) => preprocess(&mut u),
        Ok(3) => network(&mut u),
        Ok(4..=5) => embed(&mut u),
        Ok(6) => map(&mut u),
        Ok(_) => choose(&mut u),
        Err(error) => Err(error),
    };
});
