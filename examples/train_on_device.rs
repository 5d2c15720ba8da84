//! Train on frames as they arrive from the camera, without files in between.
//!
//!     cargo run --release --example train_on_device

use patchcore::image::{Frame, PixelFormat};
use patchcore::{Backbone, Result, Session, TrainOptions, Trainer};
use std::ops::ControlFlow;

const SIDE: usize = 256;

/// Stands for the camera: a plate with a slightly moving hole.
fn grab(number: usize) -> Vec<u8> {
    let center = (SIDE / 2 + number % 5) as f32;
    let shade = |i: usize| {
        let (y, x) = ((i / SIDE) as f32, (i % SIDE) as f32);
        if (y - center).hypot(x - center) < 40.0 { 40 } else { 150 + (i % 7) as u8 }
    };
    (0..SIDE * SIDE).map(shade).collect()
}

fn main() -> Result<()> {
    let mut trainer = Trainer::new(&Backbone::embedded("default")?, &TrainOptions::default())?;
    for number in 0..10 {
        let pixels = grab(number);
        trainer.add(&Frame::new(SIDE, SIDE, SIDE, PixelFormat::Gray8, &pixels)?)?;
    }
    let model = trainer.finish(&mut |stage, done, total| {
        if done == total {
            println!("{stage:?}: {total}");
        }
        ControlFlow::Continue(())
    })?;

    let mut session = Session::new(&model, 0)?;
    let mut scratched = grab(3);
    (20..90).for_each(|i| scratched[i * SIDE + i] = 255);
    for (name, pixels) in [("good", grab(3)), ("scratched", scratched)] {
        let found = session.predict(&Frame::new(SIDE, SIDE, SIDE, PixelFormat::Gray8, &pixels)?)?;
        println!("{name}: score {:.3}, {}", found.score, found.decision);
    }
    Ok(())
}
