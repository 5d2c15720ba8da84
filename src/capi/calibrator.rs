//! Calibrators: thresholds from photographs of good parts that the model has not learned from.

use super::frame::{PatchcoreFrame, view};
use super::model::PatchcoreModel;
use super::pointer::{exclusive, put, shared};
use super::status::{PatchcoreStatus, guard, guard_free};
use crate::detector::{Calibrator, Session};
use crate::error::Error;

/// Collects the scores of good photographs that a model has not learned from, for thresholds that fit the
/// present camera, light and parts. Use it from one thread at a time.
pub struct PatchcoreCalibrator {
    calibrator: Calibrator,
}

/// Makes a calibrator that scores with `model` on `threads` threads (as for `patchcore_session_new`), and
/// sets `*calibrator`, which `patchcore_calibrator_free` frees; to NULL if it fails.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `calibrator`
/// is NULL, which is an error, or valid for writes of a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_calibrator_new(
    model: *const PatchcoreModel,
    threads: usize,
    calibrator: *mut *mut PatchcoreCalibrator,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `put` and `shared`.
    guard(|| unsafe {
        put(calibrator, "calibrator", std::ptr::null_mut())?;
        let session = Session::new(&shared(model, "model")?.model, threads)?;
        let handle = PatchcoreCalibrator { calibrator: Calibrator::new(session) };
        put(calibrator, "calibrator", Box::into_raw(Box::new(handle)))
    })
}

/// Scores `frame`, which shows a good part, and writes its score to `*score`, unless that is NULL; NaN if it
/// fails. A frame that fails does not count, and others may follow. Errors as for
/// `patchcore_session_predict`.
///
/// # Safety
/// `calibrator` is NULL, which is an error, or a calibrator that nobody else uses during the call. `frame` as
/// for `patchcore_session_predict`. `score` is NULL or valid for writes of a `float`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_calibrator_add(
    calibrator: *mut PatchcoreCalibrator,
    frame: *const PatchcoreFrame,
    score: *mut f32,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `exclusive`, `shared`, `view` and `put`.
    guard(|| unsafe {
        if !score.is_null() {
            put(score, "score", f32::NAN)?;
        }
        let calibrator = &mut exclusive(calibrator, "calibrator")?.calibrator;
        let found = calibrator.add(&view(shared(frame, "frame")?)?)?;
        if score.is_null() { Ok(()) } else { put(score, "score", found) }
    })
}

/// Sets the thresholds of `model` as `patchcore_model_calibrate` does, from the photographs added to
/// `calibrator`, whose scores `model` then keeps in place of those it had. `model` is the one that the
/// calibrator was made with, or another of the same file. Fewer than two photographs, and a rate that is not
/// above 0 and below 1, are errors, which change nothing. More photographs may be added afterwards.
///
/// # Safety
/// `calibrator` is NULL, which is an error, or a calibrator that nobody changes or frees during the call.
/// `model` as for `patchcore_model_set_thresholds`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_calibrator_apply(
    calibrator: *const PatchcoreCalibrator,
    model: *mut PatchcoreModel,
    false_alarm_rate: f64,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `exclusive`.
    guard(|| unsafe {
        let scores = shared(calibrator, "calibrator")?.calibrator.scores()?;
        let handle = exclusive(model, "model")?;
        let calibration = scores.calibrate(false_alarm_rate)?;
        if scores.len() < 2 {
            let found = format!("{} good photographs", scores.len());
            return Err(Error::argument("calibrator", found, "at least 2"));
        }
        handle.model = handle.model.clone().with_calibration(calibration)?.with_good_scores(scores);
        Ok(())
    })
}

/// Frees `calibrator`; NULL is ignored. Its threads end as those of a session.
///
/// # Safety
/// `calibrator` is NULL or a calibrator that was not freed before, and nobody uses it during or after the
/// call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_calibrator_free(calibrator: *mut PatchcoreCalibrator) {
    if !calibrator.is_null() {
        // SAFETY: it came from `patchcore_calibrator_new`, and this is the last use of it.
        guard_free(|| drop(unsafe { Box::from_raw(calibrator) }));
    }
}
