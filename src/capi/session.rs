//! Sessions: frames in, scores and maps out.

use super::model::PatchcoreModel;
use super::pointer::{buffer, bytes, exclusive, put, shared};
use super::status::{PatchcoreStatus, guard, guard_free};
use crate::detector::{Decision, Session};
use crate::error::{Error, Result};
use crate::image::{Frame, PixelFormat};

/// Scores frames with one model, in working memory of its own. While one thread predicts with it or frees it, no other may
/// use it; make one for each thread. Maps and masks only read: several threads may ask for them at once.
pub struct PatchcoreSession {
    session: Session,
}

// What the header says of threads, as far as the compiler can check it.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<PatchcoreModel>();
    shared::<PatchcoreSession>();
};

/// How a pixel lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum PatchcorePixelFormat {
    /// One byte.
    Gray8 = 0,
    /// Red, green, blue.
    Rgb8 = 1,
    /// Blue, green, red.
    Bgr8 = 2,
    /// Red, green, blue, ignored.
    Rgba8 = 3,
    /// Blue, green, red, ignored.
    Bgra8 = 4,
    /// Two bytes, in the byte order of the machine; full scale is 65,535: samples of 10 or 12 bits are to be shifted up.
    Gray16 = 5,
    /// Red, green, blue, each as that of `Gray16`.
    Rgb16 = 6,
}

/// A photograph in the caller's memory: at most 100,000,000 pixels.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PatchcoreFrame {
    /// The first byte of the first row, at any address: 16-bit samples need not be aligned.
    pub data: *const u8,
    /// Bytes at `data`: at least `(height - 1) * stride` and one row.
    pub len: usize,
    /// Pixels a row, 8 to 65,535.
    pub width: usize,
    /// Rows, 8 to 65,535.
    pub height: usize,
    /// Bytes from one row to the next; 0 where the rows lie without gaps.
    pub stride: usize,
    /// One of `PatchcorePixelFormat`.
    pub format: u32,
}

/// What a frame was found to be.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PatchcoreResult {
    /// Distance in embedding space, from 0 up.
    pub score: f32,
    /// The score brought to 0 to 1, with the model's own threshold at 0.5. The sensitivity of an imported model moves the
    /// label and not this: take `is_anomalous`. Equal to `score`, so not bounded by 1, where the model knows no range of
    /// scores.
    pub normalized_score: f32,
    /// Whether the score reaches the model's `image_threshold`; always false where that is NaN.
    pub is_anomalous: bool,
}

/// Bytes of memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PatchcoreMemory {
    /// Of the model, which its sessions share.
    pub model: usize,
    /// Of each session, once it has predicted.
    pub session: usize,
}

/// Says in `*memory` what `model` takes, and what a session with `threads` threads (0: one for each core; at most 1024) on
/// frames of `width` times `height` pixels of `format`, one of `PatchcorePixelFormat`, would take, before there is one.
/// The sizes are those of `patchcore_session_predict`. Not counted are the stacks of the threads that a session of more
/// than one starts, the pages of a mapped model, and what a k-d tree takes.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that is not freed during the call. `memory` is NULL, which is an
/// error, or valid for writes of a `PatchcoreMemory`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_memory(
    model: *const PatchcoreModel,
    threads: usize,
    width: usize,
    height: usize,
    format: u32,
    memory: *mut PatchcoreMemory,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `put`.
    guard(|| unsafe {
        put(memory, "memory", PatchcoreMemory::default())?;
        let model = &shared(model, "model")?.model;
        let said = model.memory(threads, width, height, pixel_format(format)?)?;
        put(memory, "memory", PatchcoreMemory { model: said.model, session: said.session })
    })
}

/// Makes a session on `model` with `threads` threads (0: one for each core; 1: the caller's alone; at most 1024), and
/// sets `*session`, which is for `patchcore_session_free`; to NULL where it fails. More threads than that, or than the system
/// starts, are `PATCHCORE_STATUS_LIMIT`.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that is not freed during the call. `session` is NULL, which is an
/// error, or valid for writes of a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_new(
    model: *const PatchcoreModel,
    threads: usize,
    session: *mut *mut PatchcoreSession,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `put` and `shared`.
    guard(|| unsafe {
        put(session, "session", std::ptr::null_mut())?;
        let handle = PatchcoreSession { session: Session::new(&shared(model, "model")?.model, threads)? };
        put(session, "session", Box::into_raw(Box::new(handle)))
    })
}

/// Frees `session`; NULL is nothing to free. The threads of a session of several end by themselves, perhaps after this
/// has returned, which matters before `fork` and before the library is unloaded; a session of one thread starts none.
///
/// # Safety
/// `session` is NULL or a session that was not freed before, and nobody uses it during or after the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_free(session: *mut PatchcoreSession) {
    if !session.is_null() {
        // SAFETY: it came from `patchcore_session_new`, and this is the last that is done with it.
        guard_free(|| drop(unsafe { Box::from_raw(session) }));
    }
}

/// Scores `frame` and writes what it was found to be to `*result`, unless that is NULL; zeros where it fails.
/// Where it fails there is also no map or mask any more. A frame with a side below 8 is
/// `PATCHCORE_STATUS_ARGUMENT`, one with a side above 65,535 or more than 100,000,000 pixels `PATCHCORE_STATUS_LIMIT`; a
/// model whose score for it is no finite number is damaged, `PATCHCORE_STATUS_FORMAT`.
///
/// A frame allocates if it is the first, of another size than the one before, has more samples a pixel than any before, or
/// fails; others do not. With a model that was trained for the search by k-d tree every frame allocates. A library without
/// the feature `kdtree` searches such a model exhaustively: it finds the same, and allocates as for other models.
///
/// # Safety
/// `session` is NULL, which is an error, or a session that nobody else uses during the call. `frame` is NULL, which is
/// an error, or valid for reads of a `PatchcoreFrame`; its `data` is NULL, which is an error, or valid for reads of
/// its `len` bytes, which nobody changes during the call. `result` is NULL or valid for writes of a
/// `PatchcoreResult`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_predict(
    session: *mut PatchcoreSession,
    frame: *const PatchcoreFrame,
    result: *mut PatchcoreResult,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `exclusive`, `shared`, `view` and `put`.
    guard(|| unsafe {
        let cleared =
            if result.is_null() { Ok(()) } else { put(result, "result", PatchcoreResult::default()) };
        let session = &mut exclusive(session, "session")?.session;
        session.forget();
        cleared?;
        let found = session.predict(&view(shared(frame, "frame")?)?)?;
        let found = PatchcoreResult {
            score: found.score,
            normalized_score: found.normalized_score.unwrap_or(found.score),
            is_anomalous: found.decision == Decision::Anomalous,
        };
        if result.is_null() { Ok(()) } else { put(result, "result", found) }
    })
}

/// Writes the anomaly map of the last prediction to `out`: `map_height` rows of `map_width` values, as
/// `patchcore_model_info` gives them, which `len` must be the product of; in the score's units. An error where nothing
/// was predicted yet, or the last prediction failed.
///
/// # Safety
/// `session` is NULL, which is an error, or a session that nobody predicts with or frees during the call. `out` is NULL, which
/// is an error, or valid for writes of `len` values that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_map(
    session: *const PatchcoreSession,
    out: *mut f32,
    len: usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `buffer`.
    guard(|| unsafe {
        let map = shared(session, "session")?.session.map()?;
        if len != map.len() {
            return Err(Error::argument("map buffer", format!("{len} values"), map.len()));
        }
        buffer(out, len, "map buffer")?.copy_from_slice(map);
        Ok(())
    })
}

/// Writes the anomaly map of the last prediction to `out`, scaled to the `height` rows of `width` pixels of the whole
/// photograph, which `len` must be the product of, and not 0; in the score's units. Outside a centre crop, where nothing was
/// looked at, it is 0. Errors as `patchcore_session_map`.
///
/// # Safety
/// As `patchcore_session_map`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_map_over_image(
    session: *const PatchcoreSession,
    width: usize,
    height: usize,
    out: *mut f32,
    len: usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `buffer`.
    guard(|| unsafe {
        let session = &shared(session, "session")?.session;
        session.map_over_image(width, height, buffer(out, len, "map buffer")?)
    })
}

/// Writes the mask of the last prediction to `out`, scaled like `patchcore_session_map_over_image`: 255 where the map
/// reaches the model's `pixel_threshold`, else 0; all 0 where that is NaN.
///
/// # Safety
/// As `patchcore_session_map`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_mask_over_image(
    session: *const PatchcoreSession,
    width: usize,
    height: usize,
    out: *mut u8,
    len: usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `buffer`.
    guard(|| unsafe {
        let session = &shared(session, "session")?.session;
        session.mask_over_image(width, height, buffer(out, len, "mask buffer")?)
    })
}

/// # Safety
/// The frame's `data` is null or valid for reads of its `len` bytes, which nobody changes during `'a`.
unsafe fn view<'a>(frame: &PatchcoreFrame) -> Result<Frame<'a>> {
    let format = pixel_format(frame.format)?;
    let stride = match frame.stride {
        0 => frame.width.saturating_mul(format.bytes()),
        stride => stride,
    };
    // SAFETY: the caller's contract is that of `bytes`.
    let data = unsafe { bytes(frame.data, frame.len, "frame data") }?;
    Frame::new(frame.width, frame.height, stride, format, data)
}

fn pixel_format(number: u32) -> Result<PixelFormat> {
    const FORMATS: [(PatchcorePixelFormat, PixelFormat); 7] = [
        (PatchcorePixelFormat::Gray8, PixelFormat::Gray8),
        (PatchcorePixelFormat::Rgb8, PixelFormat::Rgb8),
        (PatchcorePixelFormat::Bgr8, PixelFormat::Bgr8),
        (PatchcorePixelFormat::Rgba8, PixelFormat::Rgba8),
        (PatchcorePixelFormat::Bgra8, PixelFormat::Bgra8),
        (PatchcorePixelFormat::Gray16, PixelFormat::Gray16),
        (PatchcorePixelFormat::Rgb16, PixelFormat::Rgb16),
    ];
    let found = FORMATS.iter().find(|(name, _)| *name as u32 == number);
    found
        .map(|&(_, format)| format)
        .ok_or_else(|| Error::argument("pixel format", number, "one of PatchcorePixelFormat"))
}
