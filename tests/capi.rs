//! The C interface returns what the library returns. tests/c/arguments.c tests wrong arguments.

#![cfg(all(feature = "capi", feature = "train", feature = "embedded-small"))]

mod support;

use patchcore::capi::*;
use patchcore::image::{Frame, PixelFormat};
use patchcore::score::CalibrationSource;
use patchcore::{Backbone, Calibrator, Decision, PatchCore, SearchKind, Session, TrainOptions, Trainer};
use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::ptr::null_mut;
use support::small;

const WIDTH: usize = 48;
const HEIGHT: usize = 40;

/// Colours that differ in every channel, in rows with a gap of five bytes.
fn pixels(seed: usize) -> Vec<u8> {
    (0..(WIDTH * 3 + 5) * HEIGHT).map(|i| (i * 7 + i / 31 * seed) as u8).collect()
}

fn train(photographs: usize) -> PatchCore {
    let mut options = TrainOptions::default().threads(1).coreset_ratio(0.3);
    options.preprocess.resize = (64, 80);
    options.preprocess.crop = Some((48, 64));
    let mut trainer = Trainer::new(&Backbone::embedded("small").unwrap(), &options).unwrap();
    for seed in 0..photographs {
        let data = pixels(seed);
        let frame = Frame::new(WIDTH, HEIGHT, WIDTH * 3 + 5, PixelFormat::Bgr8, &data).unwrap();
        trainer.add(&frame).unwrap();
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap()
}

#[track_caller]
fn ok(status: PatchcoreStatus) {
    // SAFETY: the message is a string of this thread, which makes no other call meanwhile.
    let message = unsafe { CStr::from_ptr(patchcore_last_error()) };
    assert_eq!(status, PatchcoreStatus::Ok, "{message:?}");
}

/// Pixels that [`pixels`] made.
fn c_frame(data: &[u8]) -> PatchcoreFrame {
    PatchcoreFrame {
        data: data.as_ptr(),
        len: data.len(),
        width: WIDTH,
        height: HEIGHT,
        stride: WIDTH * 3 + 5,
        format: PatchcorePixelFormat::Bgr8 as u32,
    }
}

#[test]
fn scores_maps_and_masks_are_those_of_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    let trained = train(4);
    // A threshold that nearly every photograph reaches.
    let calibration = trained.info().good_scores().calibrate(0.9).unwrap();
    trained.with_calibration(calibration).unwrap().save(&path).unwrap();
    let data = pixels(5);
    let (width, height) = (70, 30);

    let opened = PatchCore::open(&path).unwrap();
    let mut session = Session::new(&opened, 2).unwrap();
    let frame = Frame::new(WIDTH, HEIGHT, WIDTH * 3 + 5, PixelFormat::Bgr8, &data).unwrap();
    let found = session.predict(&frame).unwrap();
    let expected = (found.score, found.threshold_ratio.unwrap(), found.normalized_score.unwrap());
    assert_eq!(found.decision, Decision::Anomalous);
    let expected_map = session.map().unwrap().to_vec();
    let expected_regions: Vec<_> = session.regions().unwrap().collect();
    let (mut over, mut mask) = (vec![0.0; width * height], vec![0; width * height]);
    session.map_over_image(width, height, &mut over).unwrap();
    session.mask_over_image(width, height, &mut mask).unwrap();

    let name = CString::new(path.to_str().unwrap()).unwrap();
    let frame = c_frame(&data);
    let (mut model, mut session, mut result) = (null_mut(), null_mut(), PatchcoreResult::default());
    let mut map = vec![f32::NAN; expected_map.len()];
    let (mut c_over, mut c_mask) = (vec![f32::NAN; width * height], vec![7; width * height]);
    let (mut regions, mut count, mut score) = ([PatchcoreRegion::default(); 256], 0, 0.0);
    // SAFETY: every pointer is valid for its length, and handles are freed once, after their last use.
    unsafe {
        ok(patchcore_model_open(name.as_ptr(), 0, &mut model));
        ok(patchcore_session_new(model, 2, &mut session));
        let mut info = std::mem::MaybeUninit::uninit();
        ok(patchcore_model_info(model, info.as_mut_ptr()));
        let info = info.assume_init();
        assert_eq!([info.map_height, info.map_width], [48, 64]);
        assert_eq!([info.resize_height, info.resize_width], [64, 80]);
        assert_eq!([info.photograph_width, info.photograph_height], [WIDTH, HEIGHT]);
        assert_eq!([info.bank_rows, info.dim], [opened.info().bank_rows(), opened.info().dim()]);
        assert_eq!((info.training_photographs, info.good_scores), (4, 4));
        assert_eq!(info.weights_checksum, opened.info().weights_checksum());
        assert_eq!(info.weights_are_embedded, opened.info().weights_are_embedded());
        let text = |text| CStr::from_ptr(text).to_str().unwrap();
        assert_eq!([text(info.backbone), text(info.weights)], ["resnet18_narrow", "small"]);
        assert_eq!(text(info.producer), opened.info().producer());
        assert_eq!([text(info.search), text(info.isa)], [&opened.info().search(), opened.isa().name()]);
        let mut calibration = std::mem::MaybeUninit::uninit();
        ok(patchcore_model_calibration(model, calibration.as_mut_ptr()));
        let calibration = calibration.assume_init();
        assert_eq!(Some(calibration.image_threshold), opened.calibration().image_threshold());
        assert_eq!(Some(calibration.pixel_threshold), opened.calibration().pixel_threshold());
        let CalibrationSource::GoodPhotographs { photographs, rate } = opened.calibration().source else {
            panic!("{:?}", opened.calibration())
        };
        assert_eq!(calibration.source, PatchcoreCalibrationSource::GoodPhotographs);
        assert_eq!((calibration.good_photographs, calibration.defective_photographs), (photographs, 0));
        let found = calibration.false_alarm_rate;
        assert_eq!(
            [found.requested, found.expected, found.low, found.high],
            [rate.requested, rate.expected, rate.low, rate.high]
        );
        assert_eq!(found.is_fitted, rate.is_fitted);
        let mut memory = PatchcoreMemory::default();
        ok(patchcore_model_memory(model, 2, WIDTH, HEIGHT, frame.format, &mut memory));
        let expected_memory = opened.memory(2, WIDTH, HEIGHT, PixelFormat::Bgr8).unwrap();
        assert_eq!([memory.model, memory.session], [expected_memory.model, expected_memory.session]);
        ok(patchcore_session_predict(session, &frame, &mut result));
        ok(patchcore_session_map(session, map.as_mut_ptr(), map.len()));
        ok(patchcore_session_map_over_image(session, width, height, c_over.as_mut_ptr(), c_over.len()));
        ok(patchcore_session_mask_over_image(session, width, height, c_mask.as_mut_ptr(), c_mask.len()));
        ok(patchcore_session_regions(session, regions.as_mut_ptr(), regions.len(), &mut count));
        ok(patchcore_session_score(session, &frame, &mut score));
        patchcore_model_free(model);
        patchcore_session_free(session);
    }
    assert_eq!((result.score, result.threshold_ratio, result.normalized_score), expected);
    assert_eq!((result.decision, score), (PatchcoreDecision::Anomalous, result.score));
    assert!(result.timings.backbone_ns > 0 && result.timings.search_ns > 0);
    assert_eq!(map, expected_map);
    let numbers = |r: &PatchcoreRegion| ([r.x, r.y, r.width, r.height, r.area, r.peak_x, r.peak_y], r.score);
    let regions: Vec<_> = regions[..count].iter().map(numbers).collect();
    let expected_regions: Vec<_> = expected_regions
        .iter()
        .map(|r| ([r.x, r.y, r.width, r.height, r.area, r.peak_x, r.peak_y], r.score))
        .collect();
    assert!(count > 0);
    assert_eq!(regions, expected_regions);
    assert_eq!((c_over, c_mask), (over, mask));
}

#[test]
fn a_model_without_thresholds_judges_nothing_until_it_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    train(1).save(&path).unwrap();
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let data = pixels(5);
    let frame = c_frame(&data);
    let (mut model, mut session, mut result) = (null_mut(), null_mut(), PatchcoreResult::default());
    let (mut mask, mut judged) = (vec![7; WIDTH * HEIGHT], PatchcoreResult::default());
    // SAFETY: every pointer is valid for its length, and handles are freed once, after their last use.
    let calibration = unsafe {
        ok(patchcore_model_open(name.as_ptr(), 0, &mut model));
        let mut calibration = std::mem::MaybeUninit::uninit();
        ok(patchcore_model_calibration(model, calibration.as_mut_ptr()));
        assert_eq!(patchcore_model_calibrate(model, 0.01), PatchcoreStatus::Argument);
        let message = CStr::from_ptr(patchcore_last_error()).to_str().unwrap();
        assert!(message.starts_with("model: found 0 kept scores of good photographs, expected at least 2"));
        ok(patchcore_session_new(model, 1, &mut session));
        ok(patchcore_session_predict(session, &frame, &mut result));
        ok(patchcore_session_mask_over_image(session, WIDTH, HEIGHT, mask.as_mut_ptr(), mask.len()));
        ok(patchcore_session_set_thresholds(session, result.score / 2.0, f32::NAN));
        ok(patchcore_session_predict(session, &frame, &mut judged));
        patchcore_session_free(session);
        patchcore_model_free(model);
        calibration.assume_init()
    };
    assert!(calibration.image_threshold.is_nan() && calibration.pixel_threshold.is_nan());
    assert_eq!(calibration.source, PatchcoreCalibrationSource::None);
    assert!(result.score > 0.0 && result.threshold_ratio.is_nan() && result.normalized_score.is_nan());
    assert_eq!(result.decision, PatchcoreDecision::NoThreshold);
    assert!(mask.iter().all(|&value| value == 0));
    assert_eq!((judged.decision, judged.threshold_ratio), (PatchcoreDecision::Anomalous, 2.0));
}

#[test]
fn a_calibrator_sets_the_thresholds_that_the_library_finds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    let opened = train(4);
    opened.save(&path).unwrap();
    let photographs: Vec<Vec<u8>> = (10..16).map(pixels).collect();
    let mut calibrator = Calibrator::new(Session::new(&opened, 1).unwrap());
    let mut expected_scores = Vec::new();
    for data in &photographs {
        let frame = Frame::new(WIDTH, HEIGHT, WIDTH * 3 + 5, PixelFormat::Bgr8, data).unwrap();
        expected_scores.push(calibrator.add(&frame).unwrap());
    }
    let expected = calibrator.finish().unwrap().calibrate(0.2).unwrap();

    let name = CString::new(path.to_str().unwrap()).unwrap();
    let (mut model, mut calibrator) = (null_mut(), null_mut());
    let mut scores = vec![0.0; photographs.len()];
    // SAFETY: every pointer is valid, and handles are freed once, after their last use.
    let (calibration, kept) = unsafe {
        ok(patchcore_model_open(name.as_ptr(), 0, &mut model));
        ok(patchcore_calibrator_new(model, 1, &mut calibrator));
        assert_eq!(patchcore_calibrator_apply(calibrator, model, 0.2), PatchcoreStatus::Argument);
        for (data, score) in photographs.iter().zip(&mut scores) {
            ok(patchcore_calibrator_add(calibrator, &c_frame(data), score));
        }
        ok(patchcore_calibrator_apply(calibrator, model, 0.2));
        patchcore_calibrator_free(calibrator);
        let (mut calibration, mut info) = (std::mem::MaybeUninit::uninit(), std::mem::MaybeUninit::uninit());
        ok(patchcore_model_calibration(model, calibration.as_mut_ptr()));
        ok(patchcore_model_info(model, info.as_mut_ptr()));
        patchcore_model_free(model);
        (calibration.assume_init(), info.assume_init().good_scores)
    };
    assert_eq!(scores, expected_scores);
    assert_eq!(kept, photographs.len());
    assert_eq!(Some(calibration.image_threshold), expected.image_threshold());
    assert_eq!(Some(calibration.pixel_threshold), expected.pixel_threshold());
    assert_eq!(calibration.false_alarm_rate.requested, 0.2);
}

#[test]
fn sixteen_bits_are_those_of_the_machine_at_any_address() {
    let opened = train(4);
    let mut session = Session::new(&opened, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    opened.save(&path).unwrap();
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let (mut model, mut c_session) = (null_mut(), null_mut());
    // SAFETY: every pointer is valid for its length.
    unsafe {
        ok(patchcore_model_open(name.as_ptr(), 0, &mut model));
        ok(patchcore_session_new(model, 1, &mut c_session));
    }
    for (format, c_format, samples) in [
        (PixelFormat::Gray16, PatchcorePixelFormat::Gray16, 1),
        (PixelFormat::Rgb16, PatchcorePixelFormat::Rgb16, 3),
    ] {
        // Rows are an odd number of bytes apart, so that most samples are misaligned, and the first one too.
        let stride = WIDTH * samples * 2 + 3;
        let mut data = vec![0; 1 + stride * HEIGHT];
        for (y, row) in data[1..].chunks_exact_mut(stride).enumerate() {
            for (x, sample) in row.as_chunks_mut().0.iter_mut().take(WIDTH * samples).enumerate() {
                *sample = ((x * 977 + y * 3001) as u16).to_ne_bytes();
            }
        }
        let data = &data[1..];
        let frame = Frame::new(WIDTH, HEIGHT, stride, format, data).unwrap();
        let expected = session.predict(&frame).unwrap().score;
        let frame = PatchcoreFrame {
            data: data.as_ptr(),
            len: data.len(),
            width: WIDTH,
            height: HEIGHT,
            stride,
            format: c_format as u32,
        };
        let mut result = PatchcoreResult::default();
        // SAFETY: every pointer is valid for its length.
        unsafe { ok(patchcore_session_predict(c_session, &frame, &mut result)) };
        assert_eq!(result.score, expected, "{format:?}");
        assert!(result.score > 0.0, "{format:?}");
    }
    // SAFETY: both are freed once, after their last use.
    unsafe {
        patchcore_session_free(c_session);
        patchcore_model_free(model);
    }
}

#[cfg(unix)]
#[test]
fn the_c_interface_reads_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    small::model(SearchKind::Flat).save(&path).unwrap();
    let pixels = small::photograph(9);
    let mut session = Session::new(&PatchCore::open(&path).unwrap(), 1).unwrap();
    let expected = session.predict(&small::frame(&pixels)).unwrap().score;
    drop(session);

    let name = std::ffi::CString::new(support::text(&path)).unwrap();
    let (mut model, mut session) = (std::ptr::null_mut(), std::ptr::null_mut());
    let mut found = PatchcoreResult::default();
    let frame = PatchcoreFrame {
        data: pixels.as_ptr(),
        len: pixels.len(),
        width: small::SIDE,
        height: small::SIDE,
        stride: 0,
        format: PatchcorePixelFormat::Gray8 as u32,
    };
    // SAFETY: every pointer is valid for its length, and handles are freed once, after their last use.
    unsafe {
        assert_eq!(patchcore_model_open(name.as_ptr(), 0, &mut model), PatchcoreStatus::Ok);
        std::fs::write(&path, "").unwrap();
        assert_eq!(patchcore_session_new(model, 1, &mut session), PatchcoreStatus::Ok);
        assert_eq!(patchcore_session_predict(session, &frame, &mut found), PatchcoreStatus::Ok);
        patchcore_session_free(session);
        patchcore_model_free(model);
    }
    assert_eq!(found.score, expected);
}
