//! The C interface with arguments of every kind that its contract allows: null, misaligned, absurd sizes,
//! wrong orders.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use patchcore::capi::*;
use patchcore::{Precision, SearchKind};
use patchcore_fuzz::{mend_model, small_model};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("patchcore-fuzz-{}.pcore", std::process::id()));
        small_model(SearchKind::Pruned, Precision::Half, 0.05)
            .save(&path)
            .expect("there is a temporary folder");
        let bytes = std::fs::read(&path).expect("it was just written");
        std::fs::remove_file(path).expect("it was just written");
        bytes
    })
}

/// Mostly a size that fits, else any.
fn size(u: &mut Unstructured<'_>, fitting: usize) -> Result<usize> {
    Ok(match u.int_in_range(0..=5)? {
        0 => u.arbitrary()?,
        1 => fitting.wrapping_add(u.int_in_range(0..=2)?).wrapping_sub(1),
        _ => fitting,
    })
}

fn calls(u: &mut Unstructured<'_>) -> Result<()> {
    let mut bytes = file().to_vec();
    for _ in 0..u.int_in_range(0..=3)? {
        let at = u.choose_index(bytes.len())?;
        bytes[at] = u.arbitrary()?;
    }
    mend_model(&mut bytes);
    let flags = if u.ratio(1, 8)? { u.arbitrary()? } else { *u.choose(&[0, 2, 6])? };
    let (mut model, mut session) = (null_mut::<PatchcoreModel>(), null_mut::<PatchcoreSession>());
    // SAFETY: every pointer is null, misaligned, or valid for the length that goes with it; handles are freed
    // once.
    unsafe {
        let length = if u.ratio(1, 8)? { u.int_in_range(0..=bytes.len())? } else { bytes.len() };
        let data = if u.ratio(1, 16)? { null() } else { bytes.as_ptr() };
        let out = if u.ratio(1, 16)? { null_mut() } else { &raw mut model };
        let status = patchcore_model_open_copy(data, length, flags, out);
        assert_eq!(status == PatchcoreStatus::Ok, !model.is_null());
        assert_ne!(status, PatchcoreStatus::Panic);
        assert!(!patchcore_status_text(status as u32).is_null());
        let mut info = std::mem::MaybeUninit::<PatchcoreInfo>::uninit();
        let known = patchcore_model_info(model, info.as_mut_ptr()) == PatchcoreStatus::Ok;
        // A damaged model may want a larger input than there is time for.
        let pixels = if known { info.assume_init().map_width * info.assume_init().map_height } else { 0 };
        for _ in 0..u.int_in_range(0..=2)? {
            call_model(u, model)?;
        }
        if pixels <= 128 * 128 {
            patchcore_session_new(model, *u.choose(&[1, 1, 1, 2, usize::MAX])?, &mut session);
        }
        for _ in 0..u.int_in_range(0..=4)? {
            call_session(u, session, pixels)?;
        }
        patchcore_model_free(model);
        call_session(u, session, pixels)?;
        patchcore_session_free(session);
    }
    Ok(())
}

/// Any threshold: mostly one that changes something.
fn threshold(u: &mut Unstructured<'_>) -> Result<f32> {
    if u.ratio(1, 2)? { u.arbitrary() } else { Ok(*u.choose(&[f32::NAN, 0.5, 2.0])?) }
}

/// # Safety
/// `model` is null or a model.
unsafe fn call_model(u: &mut Unstructured<'_>, model: *mut PatchcoreModel) -> Result<()> {
    let mut calibration = std::mem::MaybeUninit::<PatchcoreCalibration>::uninit();
    // SAFETY: the buffer is as long as is said.
    let status = unsafe {
        match u.int_in_range(0..=3)? {
            0 => patchcore_model_set_thresholds(model, threshold(u)?, threshold(u)?),
            1 => {
                let rate = if u.ratio(1, 2)? { u.arbitrary()? } else { *u.choose(&[1e-9, 0.01, 0.5])? };
                patchcore_model_calibrate(model, rate)
            }
            2 => patchcore_model_calibration(model, calibration.as_mut_ptr()),
            _ => {
                let mut len = 0;
                let status = patchcore_model_write(model, null_mut(), u.arbitrary()?, &mut len);
                let capacity = if u.ratio(1, 4)? { u.int_in_range(0..=len)? } else { len };
                let mut bytes = vec![0; capacity];
                let written = patchcore_model_write(model, bytes.as_mut_ptr(), capacity, &mut len);
                assert_ne!(written, PatchcoreStatus::Panic);
                if written == PatchcoreStatus::Ok {
                    let mut again = null_mut();
                    // Unverified, as the first may have been: its bank may hold values that are not finite.
                    patchcore_model_open_copy(bytes.as_ptr(), capacity, 2, &mut again);
                    assert!(!again.is_null());
                    patchcore_model_free(again);
                }
                status
            }
        }
    };
    assert_ne!(status, PatchcoreStatus::Panic);
    Ok(())
}

/// # Safety
/// `session` is null or a session.
unsafe fn call_session(
    u: &mut Unstructured<'_>,
    session: *mut PatchcoreSession,
    pixels: usize,
) -> Result<()> {
    let mut buffer = vec![0f32; 64 * 64];
    let length = |u: &mut Unstructured<'_>, fitting: usize| Ok(size(u, fitting)?.min(64 * 64));
    let shift = if u.ratio(1, 16)? { 1 } else { 0 };
    let out = buffer.as_mut_ptr().wrapping_byte_add(shift);
    // Misaligned ones are refused before they are followed.
    let out = if u.ratio(1, 16)? { null_mut() } else { out };
    // SAFETY: the buffer holds more values than any length that is passed; the frame's bytes are as many as
    // it says.
    let status = unsafe {
        match u.int_in_range(0..=6)? {
            0 => patchcore_session_map(session, out, length(u, pixels)?),
            1 => {
                let (width, height) = (size(u, 20)?, size(u, 30)?);
                patchcore_session_map_over_image(session, width, height, out, length(u, 600)?)
            }
            2 => {
                let (width, height) = (size(u, 20)?, size(u, 30)?);
                let out = buffer.as_mut_ptr().cast::<u8>();
                patchcore_session_mask_over_image(session, width, height, out, length(u, 600)?)
            }
            3 => {
                let mut regions = [PatchcoreRegion::default(); 8];
                let mut count = 0;
                let out = if u.ratio(1, 8)? { null_mut() } else { regions.as_mut_ptr() };
                let status = patchcore_session_regions(session, out, u.int_in_range(0..=8)?, &mut count);
                assert!(count <= 256);
                status
            }
            4 => patchcore_session_set_thresholds(session, threshold(u)?, threshold(u)?),
            5 => {
                let mut calibration = std::mem::MaybeUninit::<PatchcoreCalibration>::uninit();
                patchcore_session_calibration(session, calibration.as_mut_ptr())
            }
            _ => {
                let bytes: Vec<u8> = (0..u.int_in_range(0..=4096)?).map(|i: usize| i as u8).collect();
                let frame = PatchcoreFrame {
                    data: if u.ratio(1, 16)? { null() } else { bytes.as_ptr() },
                    len: bytes.len(),
                    width: size(u, 16)?,
                    height: size(u, 16)?,
                    stride: *u.choose(&[0, 0, 16, 48, 64, 100, usize::MAX])?,
                    format: size(u, 1)? as u32,
                };
                if u.ratio(1, 4)? {
                    let mut score = 0.0;
                    let status = patchcore_session_score(session, &frame, &mut score);
                    assert_eq!(status == PatchcoreStatus::Ok, score.is_finite());
                    return Ok(());
                }
                let mut result = PatchcoreResult::default();
                let result = if u.ratio(1, 8)? { null_mut() } else { &raw mut result };
                patchcore_session_predict(session, if u.ratio(1, 16)? { null() } else { &frame }, result)
            }
        }
    };
    assert_ne!(status, PatchcoreStatus::Panic);
    assert!(!patchcore_last_error().is_null());
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = calls(&mut Unstructured::new(data));
});
