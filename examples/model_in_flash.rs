//! A model that is part of the program, as firmware has it in flash: no file is read, and the memory bank
//! stays where it lies.
//!
//!     cargo run --release --example model_in_flash
//!
//! Firmware writes, with a model that `patchcore train` made (`.ci/examples` builds and runs these lines):
//!
//! ```
//! use patchcore::OpenOptions;
//!
//! #[repr(C, align(64))]
//! struct Aligned<B: ?Sized>(B);
//! static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!("flanges.pcore"));
//!
//! let model = OpenOptions::default().open_static(&MODEL.0)?;
//! ```
//!
//! Here the model is made first, and memory that is never freed stands for the flash.

use patchcore::image::{Frame, PixelFormat};
use patchcore::{Backbone, OpenOptions, Result, Session, TrainOptions, Trainer};
use std::ops::ControlFlow;

const SIDE: usize = 128;

/// Stands for the camera: a plate with stripes.
fn grab(number: usize) -> Vec<u8> {
    (0..SIDE * SIDE).map(|i| 120 + (i % SIDE / 16 * 8 + number % 3) as u8).collect()
}

fn frame(pixels: &[u8]) -> Result<Frame<'_>> {
    Frame::new(SIDE, SIDE, SIDE, PixelFormat::Gray8, pixels)
}

/// Stands for the linker, which places the model in flash.
fn flash(content: &[u8]) -> &'static [u8] {
    let memory = vec![0; content.len() + 64].leak();
    let start = memory.as_ptr().align_offset(64);
    let place = &mut memory[start..][..content.len()];
    place.copy_from_slice(content);
    place
}

fn train() -> Result<Vec<u8>> {
    let mut options = TrainOptions::default();
    options.preprocess.resize = (SIDE, SIDE);
    let mut trainer = Trainer::new(&Backbone::embedded("small")?, &options)?;
    for number in 0..6 {
        trainer.add(&frame(&grab(number))?)?;
    }
    let path = std::env::temp_dir().join(format!("model_in_flash-{}.pcore", std::process::id()));
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(()))?.save(&path)?;
    let content = std::fs::read(&path).expect("the model that was just saved");
    std::fs::remove_file(&path).expect("the model that was just saved");
    Ok(content)
}

fn main() -> Result<()> {
    let content = flash(&train()?);
    let model = OpenOptions::default().open_static(content)?;
    let bank = model.memory_bank().as_ptr_range();
    println!(
        "{} bytes in flash; the memory bank lies {} bytes into them",
        content.len(),
        bank.start.addr() - content.as_ptr().addr()
    );

    let mut session = Session::new(&model, 1)?;
    let mut scratched = grab(1);
    (20..90).for_each(|i| scratched[i * SIDE + i] = 255);
    for (name, pixels) in [("good", grab(1)), ("scratched", scratched)] {
        let found = session.predict(&frame(&pixels)?)?;
        println!("{name}: score {:.3}, {}", found.score, found.decision);
    }
    Ok(())
}
