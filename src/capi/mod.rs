//! The C interface, which `include/patchcore.h` declares.
//!
//! Functions that can fail return a [`PatchcoreStatus`], and leave a message for [`patchcore_last_error`] if
//! they do. A panic does not leave a function: it becomes [`PatchcoreStatus::Panic`], or is dropped when a
//! handle is freed. A null or misaligned pointer is an error unless the function's text allows it; the rest
//! of a pointer's validity is the caller's responsibility, in the words of [`std::slice::from_raw_parts`].
//! Every function computes in the default floating-point environment and leaves the host's as it was.

#![allow(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod calibration;
mod calibrator;
mod float_environment;
mod frame;
mod info;
mod map;
mod model;
mod pointer;
mod session;
mod status;

pub use calibration::{
    PatchcoreCalibration, PatchcoreCalibrationSource, PatchcoreFalseAlarmRate, patchcore_model_calibrate,
    patchcore_model_calibration, patchcore_model_set_thresholds, patchcore_session_calibration,
    patchcore_session_set_thresholds,
};
pub use calibrator::{
    PatchcoreCalibrator, patchcore_calibrator_add, patchcore_calibrator_apply, patchcore_calibrator_free,
    patchcore_calibrator_new,
};
pub use frame::{PatchcoreFrame, PatchcorePixelFormat};
pub use info::{PatchcoreInfo, PatchcoreMemory, patchcore_model_info, patchcore_model_memory};
pub use map::{
    PatchcoreRegion, patchcore_session_map, patchcore_session_map_over_image,
    patchcore_session_mask_over_image, patchcore_session_regions,
};
#[cfg(unix)]
pub use model::patchcore_model_open_fd;
pub use model::{
    PatchcoreModel, PatchcoreOpen, patchcore_model_free, patchcore_model_open, patchcore_model_open_copy,
    patchcore_model_open_in_place, patchcore_model_write,
};
pub use session::{
    PatchcoreDecision, PatchcoreResult, PatchcoreSession, PatchcoreTimings, patchcore_session_free,
    patchcore_session_new, patchcore_session_predict, patchcore_session_score,
};
pub use status::{PatchcoreStatus, patchcore_last_error, patchcore_status_text, patchcore_version};
