//! The C interface with arguments of every kind that its contract allows: null, misaligned, absurd sizes, wrong orders.
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
    // SAFETY: every pointer is null, misaligned, or valid for the length that goes with it; handles are freed once.
    unsafe {
        let length = if u.ratio(1, 8)? { u.int_in_range(0..=bytes.len())? } else { bytes.len() };
        let data = if u.ratio(1, 16)? { null() } else { bytes.as_ptr() };
        let out = if u.ratio(1, 16)? { null_mut() } else { &raw mut model };
        let status = patchcore_model_open_copy(data, length, flags, out);
        assert_eq!(status == PatchcoreStatus::Ok, !model.is_null());
        assert_ne!(status, PatchcoreStatus::Panic);
        let mut info = std::mem::MaybeUninit::<PatchcoreInfo>::uninit();
        let known = patchcore_model_info(model, info.as_mut_ptr()) == PatchcoreStatus::Ok;
        // A damaged model may want a larger input than there is time for.
        let pixels = if known { info.assume_init().map_width * info.assume_init().map_height } else { 0 };
        if pixels <= 128 * 128 {
            patchcore_session_new(model, *u.choose(&[1, 1, 1, 2, usize::MAX])?, &mut session);
        }
        for _ in 0..u.int_in_range(0..=4)? {
            one_call(u, session, pixels)?;
        }
        patchcore_model_free(model);
        one_call(u, session, pixels)?;
        patchcore_session_free(session);
    }
    Ok(())
}

/// # Safety
/// `session` is null or a session.
unsafe fn one_call(u: &mut Unstructured<'_>, session: *mut PatchcoreSession, pixels: usize) -> Result<()> {
    let mut buffer = vec![0f32; 64 * 64];
    let length = |u: &mut Unstructured<'_>, fitting: usize| Ok(size(u, fitting)?.min(64 * 64));
    let shift = if u.ratio(1, 16)? { 1 } else { 0 };
    let out = buffer.as_mut_ptr().wrapping_byte_add(shift);
    // Misaligned ones are refused before they are followed.
    let out = if u.ratio(1, 16)? { null_mut() } else { out };
    // SAFETY: the buffer holds more values than any length that is passed; the frame's bytes are as many as it says.
    let status = unsafe {
        match u.int_in_range(0..=3)? {
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
