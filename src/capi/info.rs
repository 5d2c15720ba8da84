//! Questions to a model: its description, and the memory that it takes.

use super::frame::pixel_format;
use super::model::PatchcoreModel;
use super::pointer::{put, shared};
use super::status::{PatchcoreStatus, guard};
use crate::detector::PatchCore;
use crate::error::shortened;
use crate::image::Orientation;
use std::ffi::{CString, c_char};

/// The description of a model. The strings are valid until the model is freed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PatchcoreInfo {
    /// Program and version that made the model.
    pub producer: *const c_char,
    /// Architecture of the backbone, such as "resnet18".
    pub backbone: *const c_char,
    /// Origin of the backbone's weights: the name of an embedded backbone, or a file name.
    pub weights: *const c_char,
    /// The search that answers, and why it was chosen.
    pub search: *const c_char,
    /// The instruction set that predictions use, such as "avx2" or "neon".
    pub isa: *const c_char,
    /// CRC-32 of the backbone's weights.
    pub weights_checksum: u32,
    /// Whether the weights are those that the library embeds, and the model file does not repeat them.
    pub weights_are_embedded: bool,
    /// Columns of the anomaly map and of the network's input.
    pub map_width: usize,
    /// Rows of the anomaly map and of the network's input.
    pub map_height: usize,
    /// Width that photographs are scaled to. The network sees their centre, `map_width` pixels wide.
    pub resize_width: usize,
    /// Height that photographs are scaled to. The network sees their centre, `map_height` pixels high.
    pub resize_height: usize,
    /// Embeddings in the memory bank.
    pub bank_rows: usize,
    /// Values of an embedding.
    pub dim: usize,
    /// Photographs that the model was trained on; 0 if an imported model does not record it.
    pub training_photographs: u64,
    /// Width of most of these photographs in pixels; 0 if it is unknown. Frames of another size or shape
    /// score differently.
    pub photograph_width: usize,
    /// Height of most of these photographs in pixels; 0 if it is unknown.
    pub photograph_height: usize,
    /// Bits that the camera uses of samples of 16 bits, 9 to 16; 0 if all. The samples of a frame are at full
    /// scale: multiply those of 12 bits by 65535 / 4095.
    pub bit_depth: u32,
    /// Whether photographs are taken as their files store them, and not turned by the orientation that EXIF
    /// or a tag states.
    pub ignores_orientation: bool,
    /// Scores of good photographs that the model keeps for `patchcore_model_calibrate`, which needs two.
    pub good_scores: usize,
}

/// Bytes of memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PatchcoreMemory {
    /// What the model takes, which its sessions share.
    pub model: usize,
    /// What each session takes, once it has predicted.
    pub session: usize,
}

/// The strings of a `PatchcoreInfo`.
pub(super) struct Texts {
    producer: CString,
    backbone: CString,
    weights: CString,
    search: CString,
    isa: CString,
}

impl Texts {
    pub(super) fn new(model: &PatchCore) -> Self {
        // Names from the file may hold anything; without control characters they hold no zero either.
        let text = |text: &str| CString::new(shortened(text)).unwrap_or_default();
        let info = model.info();
        Self {
            producer: text(info.producer()),
            backbone: text(info.architecture()),
            weights: text(info.weights()),
            search: text(&info.search()),
            isa: text(model.isa().name()),
        }
    }
}

/// Writes the description of `model` to `*info`.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `info` is
/// NULL, which is an error, or valid for writes of a `PatchcoreInfo`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_info(
    model: *const PatchcoreModel,
    info: *mut PatchcoreInfo,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `put`.
    guard(|| unsafe {
        let PatchcoreModel { model, texts } = shared(model, "model")?;
        let found = model.info();
        let (map_height, map_width) = found.preprocess().output_size();
        let (resize_height, resize_width) = found.preprocess().resize;
        let (photograph_width, photograph_height) = found.training().photograph_size.unwrap_or((0, 0));
        let found = PatchcoreInfo {
            producer: texts.producer.as_ptr(),
            backbone: texts.backbone.as_ptr(),
            weights: texts.weights.as_ptr(),
            search: texts.search.as_ptr(),
            isa: texts.isa.as_ptr(),
            weights_checksum: found.weights_checksum(),
            weights_are_embedded: found.weights_are_embedded(),
            map_width,
            map_height,
            resize_width,
            resize_height,
            bank_rows: found.bank_rows(),
            dim: found.dim(),
            training_photographs: found.training().images,
            photograph_width,
            photograph_height,
            bit_depth: found.bit_depth().unwrap_or(0).into(),
            ignores_orientation: found.orientation() == Orientation::Ignore,
            good_scores: found.good_scores().len(),
        };
        put(info, "info", found)
    })
}

/// Writes to `*memory` how much memory `model` takes, and how much a session with `threads` threads (0: one
/// for each core; at most 1024) on frames of `width` times `height` pixels of `format`, one of
/// `PatchcorePixelFormat`, would take. The limits on sizes are those of `patchcore_session_predict`. The
/// stacks of the threads that a session of more than one starts, the pages of a mapped model, and the memory
/// of a k-d tree are not counted.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `memory` is
/// NULL, which is an error, or valid for writes of a `PatchcoreMemory`.
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
        let estimate = model.memory(threads, width, height, pixel_format(format)?)?;
        put(memory, "memory", PatchcoreMemory { model: estimate.model, session: estimate.session })
    })
}
