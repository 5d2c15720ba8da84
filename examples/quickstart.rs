//! Train on a folder of good photographs, score one more.
//!
//!     cargo run --release --example quickstart -- GOOD_FOLDER PHOTOGRAPH

use patchcore::evaluate::find_images;
use patchcore::image::{Limits, Picture};
use patchcore::{Backbone, PatchCore, Session, TrainOptions};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [good, photograph] = &arguments[..] else {
        return Err("usage: quickstart GOOD_FOLDER PHOTOGRAPH".into());
    };
    let limits = Limits::default();
    let photographs = find_images(Path::new(good))?;
    let images = photographs.iter().map(|path| Picture::decode(path, &limits));
    let model = PatchCore::train(&Backbone::embedded("default")?, &TrainOptions::default(), images)?;
    model.save("quickstart.pcore")?;

    let mut session = Session::new(&model, 0)?;
    let picture = Picture::decode(Path::new(photograph), &limits)?;
    let prediction = session.predict(&picture.frame())?;
    let verdict = match prediction.decision.is_anomalous() {
        Some(true) => "anomalous",
        Some(false) => "good",
        None => "not labelled: the model has no threshold",
    };
    println!("score {:.3}, {verdict}", prediction.score);
    Ok(())
}
