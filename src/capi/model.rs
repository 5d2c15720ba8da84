//! Models: open, ask, free.

use super::pointer::{bytes, put, shared};
use super::status::{PatchcoreStatus, guard, guard_free};
use crate::detector::{OpenOptions, PatchCore};
use crate::error::{Error, Result};
use crate::model_file::map::MappedFile;
use crate::network::Mode;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;

/// A trained model. Threads may share it; the sessions on it keep what they need of it, so that it may be freed
/// before them.
pub struct PatchcoreModel {
    pub(super) model: PatchCore,
    isa: CString,
}

/// How to open a model: 0, or some of these added.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum PatchcoreOpen {
    /// Map the file instead of reading it into memory: processes share the memory bank, and opening is quicker, but
    /// nobody may change the file in place while the model or a session on it lives. Of `patchcore_model_open` alone.
    Map = 1,
    /// Do not compare checksums.
    Unverified = 2,
    /// Convolve in the order of the definition instead of the quicker one.
    Reference = 4,
}

/// What a model is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PatchcoreInfo {
    /// Columns of the anomaly map.
    pub map_width: usize,
    /// Rows of the anomaly map.
    pub map_height: usize,
    /// Embeddings in the memory bank.
    pub bank_rows: usize,
    /// Values of an embedding.
    pub dim: usize,
    /// The score from which a photograph is anomalous (above which, where the model was imported from a checkpoint), the
    /// model's sensitivity included. NaN where the model labels no photograph: `is_anomalous` is then always false, which
    /// does not mean good.
    pub image_threshold: f32,
    /// The map's value from which a pixel is, likewise. NaN where the model marks no pixel: masks are then 0.
    pub pixel_threshold: f32,
    /// The instruction set that predictions use, such as "avx2" or "neon". Valid until the model is freed.
    pub isa: *const c_char,
}

/// Opens the model file `path`, and sets `*model`, which is for `patchcore_model_free`; to NULL where it fails.
/// `flags` are those of `PatchcoreOpen`. A file of more than 8 GiB is `PATCHCORE_STATUS_LIMIT`, and so is a model whose
/// network takes more than 2048 x 2048 pixels (4,194,304, whatever the sides). `PATCHCORE_ISA` in the environment names the
/// instruction set to use; one that the CPU has not is `PATCHCORE_STATUS_ARGUMENT`.
///
/// # Safety
/// `path` is NULL, which is an error, or a string that ends with a zero and that nobody changes during the call.
/// `model` is NULL, which is an error, or valid for writes of a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_open(
    path: *const c_char,
    flags: u32,
    model: *mut *mut PatchcoreModel,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `open`.
    guard(|| unsafe {
        open(model, || {
            if path.is_null() {
                return Err(Error::argument("path", "NULL", "an address"));
            }
            let read = flags & PatchcoreOpen::Map as u32 == 0;
            let options = options(flags & !(PatchcoreOpen::Map as u32))?;
            // SAFETY: not null; the caller grants a string.
            let file = file_name(CStr::from_ptr(path))?;
            // SAFETY: the caller grants with the flag that the file stays as it is.
            if read { options.open(file) } else { options.open_mapped(MappedFile::open(file)?) }
        })
    })
}

/// Opens a copy of the model file whose `len` bytes lie at `data`, which may be freed afterwards. Else as
/// `patchcore_model_open`.
///
/// # Safety
/// `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes during the call. `model`
/// is NULL, which is an error, or valid for writes of a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_open_copy(
    data: *const u8,
    len: usize,
    flags: u32,
    model: *mut *mut PatchcoreModel,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `open` and `bytes`.
    guard(|| unsafe { open(model, || options(flags)?.open_copy(bytes(data, len, "data")?)) })
}

/// Opens the model file whose `len` bytes lie at `data`, in flash for instance, without copying the memory bank.
/// `data` must be aligned to 64; if it is not, that is an error. Else as `patchcore_model_open`.
///
/// # Safety
/// `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes or frees until the model
/// and every session on it are freed. `model` is NULL, which is an error, or valid for writes of a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_open_in_place(
    data: *const u8,
    len: usize,
    flags: u32,
    model: *mut *mut PatchcoreModel,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `open` and `bytes`; the bytes outlive everything that uses them.
    guard(|| unsafe { open(model, || options(flags)?.open_static(bytes(data, len, "data")?)) })
}

/// Opens the model file that the file descriptor `fd` gives from where it stands to its end: of a file, a pipe, a
/// socket. Where its first bytes are not those of a model file, or it gives more than they say, no more is read. The
/// descriptor stays open. Else as `patchcore_model_open`.
///
/// # Safety
/// `fd` is negative, which is an error, or open for reading, and nobody closes it during the call. `model` is NULL,
/// which is an error, or valid for writes of a pointer.
#[cfg(unix)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_open_fd(
    fd: i32,
    flags: u32,
    model: *mut *mut PatchcoreModel,
) -> PatchcoreStatus {
    use std::os::fd::FromRawFd;
    // SAFETY: the caller's contract is that of `open`; the descriptor is not negative, and never closed here.
    guard(|| unsafe {
        open(model, || {
            if fd < 0 {
                return Err(Error::argument("file descriptor", fd, "an open one"));
            }
            let file = std::mem::ManuallyDrop::new(std::fs::File::from_raw_fd(fd));
            options(flags)?.open_reader(&format!("file descriptor {fd}"), &*file)
        })
    })
}

/// Says what `model` is in `*info`.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that is not freed during the call. `info` is NULL, which is an
/// error, or valid for writes of a `PatchcoreInfo`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_info(
    model: *const PatchcoreModel,
    info: *mut PatchcoreInfo,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `put`.
    guard(|| unsafe {
        let handle = shared(model, "model")?;
        let (information, calibration) = (handle.model.info(), handle.model.calibration());
        let (map_height, map_width) = information.preprocess().output_size();
        let found = PatchcoreInfo {
            map_width,
            map_height,
            bank_rows: information.bank_rows(),
            dim: information.dim(),
            image_threshold: calibration.image_threshold().unwrap_or(f32::NAN),
            pixel_threshold: calibration.pixel_threshold().unwrap_or(f32::NAN),
            isa: handle.isa.as_ptr(),
        };
        put(info, "info", found)
    })
}

/// Frees `model`; NULL is nothing to free. Sessions on it stay usable.
///
/// # Safety
/// `model` is NULL or a model that was not freed before, and nobody uses it during or after the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_free(model: *mut PatchcoreModel) {
    if !model.is_null() {
        // SAFETY: it came from `open`, and this is the last that is done with it.
        guard_free(|| drop(unsafe { Box::from_raw(model) }));
    }
}

/// # Safety
/// `model` is null or valid for writes of a pointer.
unsafe fn open(model: *mut *mut PatchcoreModel, how: impl FnOnce() -> Result<PatchCore>) -> Result<()> {
    // SAFETY: the caller's contract is that of `put`.
    unsafe { put(model, "model", std::ptr::null_mut()) }?;
    let opened = how()?;
    let isa = CString::new(opened.isa().name()).unwrap_or_default();
    let handle = Box::new(PatchcoreModel { model: opened, isa });
    // SAFETY: as above.
    unsafe { put(model, "model", Box::into_raw(handle)) }
}

fn options(flags: u32) -> Result<OpenOptions> {
    const UNVERIFIED: u32 = PatchcoreOpen::Unverified as u32;
    const REFERENCE: u32 = PatchcoreOpen::Reference as u32;
    if flags & !(UNVERIFIED | REFERENCE) != 0 {
        return Err(Error::argument("flags", format!("{flags:#x}"), "flags that this function has"));
    }
    let mode = if flags & REFERENCE == 0 { Mode::Fast } else { Mode::Reference };
    Ok(OpenOptions { verify: flags & UNVERIFIED == 0, mode, ..OpenOptions::default() })
}

#[cfg(unix)]
fn file_name(path: &CStr) -> Result<&Path> {
    use std::os::unix::ffi::OsStrExt;
    Ok(Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())))
}

#[cfg(not(unix))]
fn file_name(path: &CStr) -> Result<&Path> {
    path.to_str()
        .map(Path::new)
        .map_err(|e| Error::argument("path", format!("bytes that are not UTF-8: {e}"), "UTF-8"))
}
