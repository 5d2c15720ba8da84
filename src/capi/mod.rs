//! The C interface: what `include/patchcore.h` declares.
//!
//! Functions that can fail return a [`Status`](PatchcoreStatus), and leave a message for [`patchcore_last_error`] where
//! they do. A panic does not leave a function: it becomes [`PatchcoreStatus::Panic`], or nothing where a handle is freed. A null or misaligned pointer is an error where the
//! text does not allow it; what a pointer points to is for the caller to grant, in the words of
//! [`std::slice::from_raw_parts`].

#![allow(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod model;
mod pointer;
mod session;
mod status;

#[cfg(unix)]
pub use model::patchcore_model_open_fd;
pub use model::{
    PatchcoreInfo, PatchcoreModel, PatchcoreOpen, patchcore_model_free, patchcore_model_info,
    patchcore_model_open, patchcore_model_open_copy, patchcore_model_open_in_place,
};
pub use session::{
    PatchcoreFrame, PatchcoreMemory, PatchcorePixelFormat, PatchcoreResult, PatchcoreSession,
    patchcore_model_memory, patchcore_session_free, patchcore_session_map, patchcore_session_map_over_image,
    patchcore_session_mask_over_image, patchcore_session_new, patchcore_session_predict,
};
pub use status::{PatchcoreStatus, patchcore_last_error, patchcore_version};
