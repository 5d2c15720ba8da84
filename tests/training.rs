//! Training within a bound of memory: the same model from a file as from memory, and a sample that says so.

#![cfg(all(feature = "train", feature = "embedded-default"))]

mod support;

use patchcore::image::{Mask, Orientation};
use patchcore::score::CalibrationSource;
use patchcore::{Backbone, ErrorKind, OpenOptions, PatchCore, Result, Session, TrainOptions, Trainer};
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use support::model_bytes;
use support::photographs::{gray_frame, gray_pattern};

const SIDE: usize = 96;
const IMAGES: usize = 6;

fn photograph(seed: usize) -> Vec<u8> {
    gray_pattern(SIDE, SIDE, seed)
}

fn train(max_memory: Option<u64>, spool_folder: Option<PathBuf>) -> Result<PatchCore> {
    let options = TrainOptions::default()
        .threads(2)
        .coreset_ratio(0.2)
        .max_memory(max_memory)
        .spool_folder(spool_folder);
    finish(trainer(options, 0..IMAGES)?)
}

/// A trainer that has seen the photographs `seeds`.
fn trainer(mut options: TrainOptions, seeds: impl IntoIterator<Item = usize>) -> Result<Trainer> {
    options.preprocess.resize = (64, 64);
    let mut trainer = Trainer::new(&Backbone::embedded("default")?, &options)?;
    for seed in seeds {
        trainer.add(&gray_frame(SIDE, &photograph(seed)))?;
    }
    Ok(trainer)
}

fn finish(trainer: Trainer) -> Result<PatchCore> {
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(()))
}

#[test]
fn a_model_keeps_how_its_photographs_were_read() {
    let trained = |options: TrainOptions| finish(trainer(options.threads(1), 0..2).unwrap()).unwrap();
    let options = TrainOptions::default().orientation(Orientation::Ignore).bit_depth(Some(12));
    let opened = OpenOptions::default().open_copy(&model_bytes(&trained(options))).unwrap();
    assert_eq!((opened.info().orientation(), opened.info().bit_depth()), (Orientation::Ignore, Some(12)));
    let opened = OpenOptions::default().open_copy(&model_bytes(&trained(TrainOptions::default()))).unwrap();
    assert_eq!((opened.info().orientation(), opened.info().bit_depth()), (Orientation::Exif, None));
    let error = trainer(TrainOptions::default().bit_depth(Some(8)), 0..1).err().unwrap();
    assert_eq!(error.to_string(), "bit depth: found 8, expected 9 to 16");
}

/// A mask of the photographs' size that marks all but the columns `outside`.
fn mask(outside: Range<usize>) -> Mask {
    let data = (0..SIDE * SIDE).map(|at| !outside.contains(&(at % SIDE))).collect();
    Mask { width: SIDE, height: SIDE, data }
}

#[test]
fn what_lies_outside_the_region_of_interest_changes_no_bit() {
    let options = TrainOptions::default().roi(Some(mask(0..30)));
    let disturb = |mut pixels: Vec<u8>, seed: usize| {
        let outside = (0..SIDE * SIDE).filter(|at| at % SIDE < 30);
        outside.for_each(|at| pixels[at] = (at * seed % 251) as u8);
        pixels
    };
    let train = |seeds: Range<usize>| {
        let mut trainer = trainer(options.clone(), 0..0).unwrap();
        for (number, seed) in seeds.enumerate() {
            trainer.add(&gray_frame(SIDE, &disturb(photograph(number), seed))).unwrap();
        }
        finish(trainer).unwrap()
    };
    let model = train(1..5);
    // The region begins at pixel 20 of 64, in the third of eight columns of patches.
    assert_eq!(model.info().training().patches, 4 * 8 * 6);
    assert!(model.memory_bank() == train(7..11).memory_bank(), "training");
    let opened = OpenOptions::default().open_copy(&model_bytes(&model)).unwrap();
    assert_eq!(opened.info().roi_share(), model.info().roi_share());
    let mut session = Session::new(&opened, 1).unwrap();
    let mut predict = |seed| {
        let verdict = session.predict(&gray_frame(SIDE, &disturb(photograph(9), seed))).unwrap();
        (verdict.score.to_bits(), session.map().unwrap().to_vec())
    };
    let (score, map) = predict(1);
    assert!(f32::from_bits(score) > 0.0 && predict(3) == (score, map.clone()), "prediction");
    let outside = map.iter().enumerate().filter(|(at, _)| at % 64 < 20);
    assert!(outside.into_iter().all(|(_, &value)| value == 0.0));
}

#[test]
fn a_region_of_interest_of_another_shape_is_refused() {
    let mut trainer = trainer(TrainOptions::default().roi(Some(mask(0..3))), 0..0).unwrap();
    let pixels = vec![7; SIDE * (SIDE - 9)];
    let error = trainer.add(&gray_frame(SIDE, &pixels)).unwrap_err();
    assert!(error.to_string().contains("region of interest: found 96x96, expected"), "{error}");
    let error = Trainer::new(
        &Backbone::embedded("default").unwrap(),
        &TrainOptions::default().roi(Some(mask(0..SIDE))),
    );
    assert!(error.unwrap_err().to_string().contains("nothing inside"));
}

#[test]
fn a_bounded_memory_bank_holds_the_first_rows_of_the_selection() {
    let bank = |most: Option<usize>| {
        let options = TrainOptions::default().threads(1).coreset_ratio(0.2).max_bank_rows(most);
        let model = finish(trainer(options, 0..3).unwrap()).unwrap();
        (model.memory_bank().into_owned(), model.info().training().coreset_ratio)
    };
    let (whole, ratio) = bank(None);
    let rows = 3 * 64 / 5;
    assert_eq!((whole.len() % rows, ratio), (0, 0.2));
    let (bounded, ratio) = bank(Some(10));
    assert!(bounded == whole[..10 * (whole.len() / rows)]);
    assert_eq!(ratio, 10.0 / (3.0 * 64.0));
    assert!(bank(Some(rows + 1)) == (whole, 0.2));
}

/// Bytes of all features alone.
fn feature_bytes() -> u64 {
    let model = train(None, None).unwrap();
    model.info().training().patches * model.info().dim() as u64 * 4
}

#[test]
fn a_spooled_training_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let whole = train(None, None).unwrap();
    let bound = Some(feature_bytes() * 5 / 4);
    let spooled = train(bound, Some(folder.path().into())).unwrap();
    assert_eq!(spooled.info().training().sampled, None);
    assert_eq!(model_bytes(&whole), model_bytes(&spooled));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    // That the bound did send the features to a file shows where there is no folder for it.
    let error = train(bound, Some(folder.path().join("missing"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_sampled_training_says_so_and_is_repeatable() {
    let bound = Some(feature_bytes() / 3);
    let model = train(bound, None).unwrap();
    let information = model.info();
    let (all, sampled) = (information.training().patches, information.training().sampled.unwrap());
    assert!(sampled < all && sampled >= all / IMAGES as u64, "{sampled} of {all}");
    assert_eq!(information.bank_rows(), (sampled as f64 * 0.2) as usize);
    let file = model_bytes(&model);
    assert_eq!(file, model_bytes(&train(bound, None).unwrap()));
    let opened = OpenOptions::default().open_copy(&file).unwrap();
    assert_eq!(opened.info().training().sampled, Some(sampled));
}

#[test]
fn a_bound_below_one_photograph_is_refused_before_any_work() {
    let options = TrainOptions::default().max_memory(Some(1000));
    let error = Trainer::new(&Backbone::embedded("default").unwrap(), &options).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.to_string().contains("max memory: found 1000 bytes"), "{error}");
}

/// A camera's burst: one part again and again, nothing but the sensor's noise between the photographs.
#[test]
fn photographs_that_are_nearly_equal_give_a_threshold_near_their_scores() {
    let noisy = |seed: usize| -> Vec<u8> {
        let noise = |i: usize| ((i * 2_654_435_761 + seed * 40_503) >> 7) as u8 % 3;
        photograph(0).iter().enumerate().map(|(i, &value)| value.saturating_add(noise(i))).collect()
    };
    let mut options = TrainOptions::default().threads(2);
    options.preprocess.resize = (64, 64);
    let mut trainer = Trainer::new(&Backbone::embedded("default").unwrap(), &options).unwrap();
    for seed in 0..8 {
        trainer.add(&gray_frame(SIDE, &noisy(seed))).unwrap();
    }
    let model = trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap();
    let threshold = model.calibration().image_threshold().unwrap();
    let mut session = Session::new(&model, 1).unwrap();
    let scores = [8, 9, 10, 11, 12, 13].map(|seed| {
        let data = noisy(seed);
        session.predict(&gray_frame(SIDE, &data)).unwrap().score
    });
    let highest = scores.iter().copied().fold(0.0, f32::max);
    assert!(highest < threshold && threshold < 2.0 * highest, "{threshold}, {scores:?}");
}

/// A bank that knows a copy of a photograph would score it near 0, and every new part above such a threshold.
#[test]
fn copies_of_a_photograph_do_not_calibrate() {
    let trainer = |seeds: &[usize]| trainer(TrainOptions::default(), seeds.iter().copied()).unwrap();
    let same = trainer(&[3; 8]);
    assert_eq!((same.images(), same.copies()), (8, 7));
    assert_eq!(finish(same).unwrap().calibration().source, CalibrationSource::None);
    let four = trainer(&[0, 1, 2, 3, 0, 0, 1, 0]);
    assert_eq!(four.copies(), 4);
    let four = finish(four).unwrap();
    assert!(
        matches!(four.calibration().source, CalibrationSource::GoodPhotographs { photographs: 4, .. }),
        "{:?}",
        four.calibration()
    );
    let mut session = Session::new(&four, 1).unwrap();
    let new = photograph(4);
    let found = session.predict(&gray_frame(SIDE, &new)).unwrap();
    let threshold = four.calibration().image_threshold().unwrap();
    assert!(threshold > found.score / 2.0, "{threshold} for a good part of {}", found.score);
}
