//! Fixed work on one thread, for `cargo xtask instructions` to count: `fixed_work NAME REPETITIONS`.
//!
//! Sizes are small, since a counted program runs some fifty times slower. Two numbers of repetitions differ
//! by the work alone: what comes before is the same.

use patchcore::image::{Frame, PixelFormat};
use patchcore::internals::coreset::select;
use patchcore::internals::network::{Architecture, Backbone, Layer, Mode, Network};
use patchcore::internals::random::Random;
use patchcore::internals::search::{Index, MemoryBank, Scratch, Search, SearchKind};
use patchcore::internals::tensor::{ImageTensor, Neighbor, Patches};
use patchcore::{Isa, Pool, Result, Session, TrainOptions, Trainer};
use std::hint::black_box;
use std::ops::ControlFlow;

/// Something to repeat.
type Work = Box<dyn FnMut() -> Result<()>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, repetitions] = &arguments[..] else { panic!("fixed_work NAME REPETITIONS") };
    let isa = Isa::detect()?;
    let mut work = match name.as_str() {
        "network" => network(isa)?,
        "search" => search(isa)?,
        "coreset" => coreset(isa)?,
        "prediction" => prediction()?,
        other => panic!("{other} is no work: network, search, coreset or prediction"),
    };
    let repetitions: u32 = repetitions.parse().expect("a number of repetitions");
    (0..repetitions).try_for_each(|_| work())
}

/// Layers 2 and 3 of the smallest backbone, of an image of 96x96 pixels.
fn network(isa: Isa) -> Result<Work> {
    const SIDE: usize = 96;
    let pool = Pool::new(1)?;
    let backbone = Backbone::pseudo_random(&Architecture::named("resnet18_narrow")?);
    let layers = [Layer::Layer2, Layer::Layer3];
    let network = Network::new(&backbone, &layers, (SIDE, SIDE), Mode::Fast, isa, &pool)?;
    let mut arena = network.arena();
    let data = (0..3 * SIDE * SIDE).map(|i| (i * 31 % 251) as f32 / 100.0 - 1.25).collect();
    let image = ImageTensor { height: SIDE, width: SIDE, data };
    Ok(Box::new(move || {
        black_box(network.compute_maps(black_box(&image), &mut arena, &pool)?);
        Ok(())
    }))
}

/// Rows whose variance falls off over the directions, as that of real features does.
fn features(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    let value = |at: usize| (2.0 * random.unit() - 1.0) as f32 / ((at % dim + 1) as f32).powf(0.75);
    (0..rows * dim).map(value).collect()
}

/// The nearest of 2,048 rows of 192 values, for 144 patches.
fn search(isa: Isa) -> Result<Work> {
    const DIM: usize = 192;
    const SIDE: usize = 12;
    let pool = Pool::new(1)?;
    let rows = MemoryBank::single(features(2048, DIM, 1).into(), DIM)?;
    let index = Index::build(rows, SearchKind::Pruned, isa, &pool)?;
    let image = features(SIDE * SIDE, DIM, 2);
    let mut scratch = Scratch::default();
    let mut nearest = vec![Neighbor::default(); SIDE * SIDE];
    Ok(Box::new(move || {
        let queries = Patches { dim: DIM, grid_width: SIDE, data: &image };
        index.nearest(black_box(queries), &mut scratch, &pool, &mut nearest);
        black_box(&nearest);
        Ok(())
    }))
}

/// 200 of 2,000 rows of 64 values.
fn coreset(isa: Isa) -> Result<Work> {
    const DIM: usize = 64;
    const ROWS: usize = 2000;
    let pool = Pool::new(1)?;
    let data = features(ROWS, DIM, 3);
    Ok(Box::new(move || {
        let patches = Patches { dim: DIM, grid_width: ROWS, data: black_box(&data) };
        let chosen = select(patches, ROWS / 10, 0, isa, &pool, &mut |_, _| ControlFlow::Continue(()))?;
        black_box(chosen);
        Ok(())
    }))
}

/// A photograph of 120x100 pixels, through a model of the backbone `small` on 96x96.
fn prediction() -> Result<Work> {
    const WIDTH: usize = 120;
    const HEIGHT: usize = 100;
    let photograph = |seed: u64| {
        let mut random = Random::new(seed, 1);
        let value = |i: usize| (i % WIDTH + i / WIDTH / 2) as u8 / 2 + random.below(16) as u8;
        (0..WIDTH * HEIGHT).map(value).collect::<Vec<u8>>()
    };
    fn frame(pixels: &[u8]) -> Result<Frame<'_>> {
        Frame::new(WIDTH, HEIGHT, WIDTH, PixelFormat::Gray8, pixels)
    }
    let mut options = TrainOptions::default().threads(1).cross_validate(false);
    options.preprocess.resize = (96, 96);
    let mut trainer = Trainer::new(&Backbone::embedded("small")?, &options)?;
    for seed in 0..3 {
        trainer.add(&frame(&photograph(seed))?)?;
    }
    let model = trainer.finish(&mut |_, _, _| ControlFlow::Continue(()))?;
    let mut session = Session::new(&model, 1)?;
    let pixels = photograph(3);
    Ok(Box::new(move || {
        black_box(session.predict(&frame(black_box(&pixels))?)?.score);
        Ok(())
    }))
}
