//! Two cameras, one model: each thread has a session of its own and scores the frames of a reused buffer.
//!
//!     cargo run --release --example camera_loop -- MODEL.pcore

use patchcore::image::{Frame, PixelFormat};
use patchcore::{PatchCore, Result, Session};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

/// Stands for the driver that fills the buffer with the next frame.
fn grab(buffer: &mut [u8], camera: u8, number: u8) {
    buffer.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i / 3 % WIDTH / 4) as u8 ^ camera ^ number);
}

fn watch(model: &PatchCore, camera: u8) -> Result<()> {
    let mut session = Session::new(model, 1)?;
    let mut buffer = vec![0; WIDTH * HEIGHT * 3];
    for number in 0..5 {
        grab(&mut buffer, camera, number);
        let frame = Frame::new(WIDTH, HEIGHT, WIDTH * 3, PixelFormat::Bgr8, &buffer)?;
        let found = session.predict(&frame)?;
        println!("camera {camera} frame {number}: score {:.3} in {:?}", found.score, found.timings.total());
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: camera_loop MODEL.pcore")?;
    let model = PatchCore::open(path)?;
    std::thread::scope(|scope| {
        let cameras: Vec<_> = (0..2)
            .map(|camera| {
                scope.spawn({
                    let model = &model;
                    move || watch(model, camera)
                })
            })
            .collect();
        cameras.into_iter().try_for_each(|camera| camera.join().expect("a camera thread panicked"))
    })?;
    Ok(())
}
