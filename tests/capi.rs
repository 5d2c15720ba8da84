//! The C interface gives what the library gives. Wrong arguments are tests/c/arguments.c's.

#![cfg(all(feature = "capi", feature = "train", feature = "embedded-small"))]

use patchcore::capi::*;
use patchcore::image::{Frame, PixelFormat};
use patchcore::{Backbone, FitOptions, PatchCore, Session, Trainer};
use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::ptr::null_mut;

const WIDTH: usize = 48;
const HEIGHT: usize = 40;

/// Colours that differ in every channel, in rows with a gap of five bytes.
fn pixels(seed: usize) -> Vec<u8> {
    (0..(WIDTH * 3 + 5) * HEIGHT).map(|i| (i * 7 + i / 31 * seed) as u8).collect()
}

fn train() -> PatchCore {
    let mut options = FitOptions { threads: 1, coreset_ratio: 0.3, ..FitOptions::default() };
    options.preprocess.resize = (64, 80);
    options.preprocess.crop = Some((48, 64));
    let mut trainer = Trainer::new(&Backbone::embedded("small").unwrap(), &options).unwrap();
    for seed in 0..4 {
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

#[test]
fn scores_maps_and_masks_are_those_of_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    train().save(&path).unwrap();
    let data = pixels(5);
    let (width, height) = (70, 30);

    let opened = PatchCore::open(&path).unwrap();
    let mut session = Session::new(&opened, 2).unwrap();
    let frame = Frame::new(WIDTH, HEIGHT, WIDTH * 3 + 5, PixelFormat::Bgr8, &data).unwrap();
    let found = session.predict(&frame).unwrap();
    let expected = (found.score, found.normalized_score, found.is_anomalous);
    let expected_map = found.map.to_vec();
    assert_eq!(session.map().unwrap(), expected_map);
    let (mut over, mut mask) = (vec![0.0; width * height], vec![0; width * height]);
    session.map_over_image(height, width, &mut over).unwrap();
    session.mask_over_image(height, width, &mut mask).unwrap();

    let name = CString::new(path.to_str().unwrap()).unwrap();
    let frame = PatchcoreFrame {
        data: data.as_ptr(),
        len: data.len(),
        width: WIDTH,
        height: HEIGHT,
        stride: WIDTH * 3 + 5,
        format: PatchcorePixelFormat::Bgr8 as u32,
    };
    let (mut model, mut session, mut result) = (null_mut(), null_mut(), PatchcoreResult::default());
    let mut map = vec![f32::NAN; expected_map.len()];
    let (mut c_over, mut c_mask) = (vec![f32::NAN; width * height], vec![7; width * height]);
    // SAFETY: every pointer is valid for its length, and handles are freed once, after their last use.
    unsafe {
        ok(patchcore_model_open(name.as_ptr(), PatchcoreOpen::Map as u32, &mut model));
        ok(patchcore_session_new(model, 2, &mut session));
        let mut info = std::mem::MaybeUninit::uninit();
        ok(patchcore_model_info(model, info.as_mut_ptr()));
        let info = info.assume_init();
        assert_eq!([info.map_height, info.map_width], [48, 64]);
        assert_eq!(
            [info.bank_rows, info.dim],
            [opened.information().bank_rows(), opened.information().dim()]
        );
        assert_eq!(Some(info.image_threshold), opened.calibration().image_threshold());
        assert_eq!(Some(info.pixel_threshold), opened.calibration().pixel_threshold());
        assert_eq!(CStr::from_ptr(info.isa).to_str().unwrap(), opened.isa().name());
        let mut memory = PatchcoreMemory::default();
        ok(patchcore_model_memory(model, 2, WIDTH, HEIGHT, frame.format, &mut memory));
        let expected_memory = opened.memory(2, WIDTH, HEIGHT, PixelFormat::Bgr8).unwrap();
        assert_eq!([memory.model, memory.session], [expected_memory.model, expected_memory.session]);
        ok(patchcore_session_predict(session, &frame, &mut result));
        ok(patchcore_session_map(session, map.as_mut_ptr(), map.len()));
        ok(patchcore_session_map_over_image(session, width, height, c_over.as_mut_ptr(), c_over.len()));
        ok(patchcore_session_mask_over_image(session, width, height, c_mask.as_mut_ptr(), c_mask.len()));
        patchcore_model_free(model);
        patchcore_session_free(session);
    }
    assert_eq!((result.score, result.normalized_score, result.is_anomalous), expected);
    assert_eq!(map, expected_map);
    assert_eq!((c_over, c_mask), (over, mask));
}
