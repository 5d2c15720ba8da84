//! Sessions: frames in, scores and decisions out.

use super::frame::{PatchcoreFrame, view};
use super::model::PatchcoreModel;
use super::pointer::{exclusive, put, shared};
use super::status::{PatchcoreStatus, guard, guard_free};
use crate::detector::{Decision, Session, Timings, Verdict};
use std::time::Duration;

/// Scores frames with one model, in working memory of its own. While one thread predicts with a session,
/// changes it or frees it, no other thread may use it; make one session for each thread. Maps, masks and
/// regions only read: several threads may ask for them at once.
pub struct PatchcoreSession {
    pub(super) session: Session,
}

// The header's promises about threads, as far as the compiler can check them.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<PatchcoreModel>();
    shared::<PatchcoreSession>();
};

/// A model's decision about a photograph.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatchcoreDecision {
    /// The score is below the image threshold.
    Good = 0,
    /// The score reaches the image threshold.
    Anomalous = 1,
    /// The model has no image threshold, so that it does not judge; or the prediction failed. Not the same as
    /// good.
    #[default]
    NoThreshold = 2,
}

impl From<Decision> for PatchcoreDecision {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Good => Self::Good,
            Decision::Anomalous => Self::Anomalous,
            Decision::NoThreshold => Self::NoThreshold,
        }
    }
}

/// The time that each stage of a prediction took, in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchcoreTimings {
    /// Resize, crop, normalise.
    pub preprocess_ns: u64,
    /// The network.
    pub backbone_ns: u64,
    /// Patch embeddings from the network's maps.
    pub patches_ns: u64,
    /// Nearest neighbours of all patches.
    pub search_ns: u64,
    /// Image score, anomaly map and regions.
    pub score_ns: u64,
}

impl From<Timings> for PatchcoreTimings {
    fn from(timings: Timings) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            preprocess_ns: nanoseconds(timings.preprocess),
            backbone_ns: nanoseconds(timings.backbone),
            patches_ns: nanoseconds(timings.patches),
            search_ns: nanoseconds(timings.search),
            score_ns: nanoseconds(timings.score),
        }
    }
}

/// The result of a prediction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PatchcoreResult {
    /// Distance in embedding space, from 0 up. NaN if the prediction failed.
    pub score: f32,
    /// The score in units of the image threshold: 1 is the limit. NaN if the model has no threshold.
    pub threshold_ratio: f32,
    /// The score scaled to the range 0 to 1, with the model's own threshold at 0.5. NaN if the model knows no
    /// range of scores. It does not follow the sensitivity of an imported model: judge by `decision`.
    pub normalized_score: f32,
    /// Whether the photograph is anomalous.
    pub decision: PatchcoreDecision,
    /// How long it took.
    pub timings: PatchcoreTimings,
}

impl Default for PatchcoreResult {
    /// The result of a prediction that failed.
    fn default() -> Self {
        Self {
            score: f32::NAN,
            threshold_ratio: f32::NAN,
            normalized_score: f32::NAN,
            decision: PatchcoreDecision::NoThreshold,
            timings: PatchcoreTimings::default(),
        }
    }
}

impl From<Verdict> for PatchcoreResult {
    fn from(verdict: Verdict) -> Self {
        Self {
            score: verdict.score,
            threshold_ratio: verdict.threshold_ratio.unwrap_or(f32::NAN),
            normalized_score: verdict.normalized_score.unwrap_or(f32::NAN),
            decision: verdict.decision.into(),
            timings: verdict.timings.into(),
        }
    }
}

/// Makes a session on `model` with `threads` threads (0: one for each core; 1: the caller's alone; at most
/// 1024), and sets `*session`, which `patchcore_session_free` frees; to NULL if it fails. More threads than
/// that, or than the system starts, are `PATCHCORE_STATUS_LIMIT`.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `session` is
/// NULL, which is an error, or valid for writes of a pointer.
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

/// Frees `session`; NULL is ignored. The threads of a session of several end by themselves, perhaps after
/// this has returned, which matters before `fork` and before the library is unloaded; a session of one thread
/// starts none.
///
/// # Safety
/// `session` is NULL or a session that was not freed before, and nobody uses it during or after the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_free(session: *mut PatchcoreSession) {
    if !session.is_null() {
        // SAFETY: it came from `patchcore_session_new`, and this is the last use of it.
        guard_free(|| drop(unsafe { Box::from_raw(session) }));
    }
}

/// Scores `frame`, decides whether it is anomalous, and writes both to `*result`, unless that is NULL. If it
/// fails, the result holds NaN and `PATCHCORE_DECISION_NO_THRESHOLD`, and there is no map, mask or region. A
/// frame with a side below 8 is `PATCHCORE_STATUS_ARGUMENT`; one with a side above 65,535 or more than
/// 100,000,000 pixels is `PATCHCORE_STATUS_LIMIT`. `PATCHCORE_STATUS_FORMAT` means that the model is damaged:
/// the score is not a finite number.
///
/// A frame allocates if it is the first, has another size than the one before, has more samples a pixel than
/// any before, or fails. Other frames do not allocate, except with a model that was trained for the search by
/// k-d tree. A library without the feature `kdtree` searches such a model exhaustively: it finds the same,
/// and allocates as for other models.
///
/// # Safety
/// `session` is NULL, which is an error, or a session that nobody else uses during the call. `frame` is NULL,
/// which is an error, or valid for reads of a `PatchcoreFrame`; its `data` is NULL, which is an error, or
/// valid for reads of its `len` bytes, which nobody changes during the call. `result` is NULL or valid for
/// writes of a `PatchcoreResult`.
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
        let verdict = session.predict(&view(shared(frame, "frame")?)?)?;
        if result.is_null() { Ok(()) } else { put(result, "result", verdict.into()) }
    })
}

/// Writes the score of `frame` alone to `*score`; NaN if it fails. It is the score that
/// `patchcore_session_predict` gives, found sooner, because patches that cannot be the strongest are skipped.
/// The map, mask and regions stay those of the last prediction. The score compares with `image_threshold` of
/// `patchcore_session_calibration`. Errors and allocations as for `patchcore_session_predict`.
///
/// # Safety
/// As for `patchcore_session_predict`; `score` is NULL, which is an error, or valid for writes of a `float`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_score(
    session: *mut PatchcoreSession,
    frame: *const PatchcoreFrame,
    score: *mut f32,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `exclusive`, `shared`, `view` and `put`.
    guard(|| unsafe {
        put(score, "score", f32::NAN)?;
        let session = &mut exclusive(session, "session")?.session;
        let found = session.score(&view(shared(frame, "frame")?)?)?;
        put(score, "score", found)
    })
}
