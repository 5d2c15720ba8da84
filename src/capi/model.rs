//! Models: open, write, free.

use super::info::Texts;
use super::pointer::{buffer, bytes, put, shared};
use super::status::{PatchcoreStatus, guard, guard_free};
use crate::detector::{OpenOptions, PatchCore};
use crate::error::{Error, Result};
use crate::model_file::map::MappedFile;
use crate::network::Mode;
use std::ffi::{CStr, c_char};
use std::io::{self, Write};
use std::path::Path;

/// A trained model. Threads may share it while none of them changes it. Its sessions keep what they need of
/// it, so that it may be changed or freed before them.
pub struct PatchcoreModel {
    pub(super) model: PatchCore,
    pub(super) texts: Texts,
}

/// How to open a model: 0, or the sum of some of these.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum PatchcoreOpen {
    /// Map the file instead of reading it into memory: processes share the memory bank, and opening is
    /// quicker. Nobody may change or shorten the file while the model or a session on it lives; renaming
    /// another file over it is safe. For `patchcore_model_open` alone.
    Map = 1,
    /// Skip the comparison of checksums.
    Unverified = 2,
    /// Convolve in the order of the definition instead of the quicker one.
    Reference = 4,
}

/// Opens the model file `path`, and sets `*model`, which `patchcore_model_free` frees; to NULL if it fails.
/// `flags` is 0, or some of `PatchcoreOpen`. By default the file is read into memory, so that later changes
/// of it do not matter. `PATCHCORE_OPEN_MAP` maps it. A file of more than 8 GiB is `PATCHCORE_STATUS_LIMIT`,
/// and so is a network input of more than 4,194,304 pixels (2048 x 2048, or other sides). The environment
/// variable `PATCHCORE_ISA` names the instruction set to use; one that the CPU lacks is
/// `PATCHCORE_STATUS_ARGUMENT`.
///
/// # Safety
/// `path` is NULL, which is an error, or a string that ends with a zero and that nobody changes during the
/// call. `model` is NULL, which is an error, or valid for writes of a pointer. With `PATCHCORE_OPEN_MAP`,
/// nobody changes or shortens the file until the model and every session on it are freed.
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

/// Opens a copy of the model file whose `len` bytes are at `data`, which may be freed afterwards. Otherwise
/// as `patchcore_model_open`.
///
/// # Safety
/// `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes during the
/// call. `model` is NULL, which is an error, or valid for writes of a pointer.
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

/// Opens the model file whose `len` bytes are at `data`, for instance in flash, without copying the memory
/// bank. An address that is not a multiple of 64 is an error. Otherwise as `patchcore_model_open`.
///
/// # Safety
/// `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes or frees until
/// the model and every session on it are freed. `model` is NULL, which is an error, or valid for writes of a
/// pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_open_in_place(
    data: *const u8,
    len: usize,
    flags: u32,
    model: *mut *mut PatchcoreModel,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `open` and `bytes`; the bytes outlive everything that uses
    // them.
    guard(|| unsafe { open(model, || options(flags)?.open_static(bytes(data, len, "data")?)) })
}

/// Reads the model file from the descriptor `fd`, from its current position to its end. It may be a file, a
/// pipe or a socket. Reading stops early if the first bytes are not those of a model file, or if there are
/// more than they announce. The descriptor stays open. Otherwise as `patchcore_model_open`.
///
/// # Safety
/// `fd` is negative, which is an error, or open for reading, and nobody closes it during the call. `model` is
/// NULL, which is an error, or valid for writes of a pointer.
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

/// Writes the model file of `model`, with the thresholds that it has now, to the `capacity` bytes at `out`,
/// and its length to `*len`. If `out` is NULL, only the length is written: ask for it first. A buffer that is
/// too short is an error; `*len` is then the length that is needed, and the buffer's content is of no use. To
/// replace a model file safely, write the bytes to a temporary file in the same folder, sync it, and rename
/// it.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `out` is
/// NULL, or valid for writes of `capacity` bytes that nobody else uses during the call. `len` is NULL, which
/// is an error, or valid for writes of a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_write(
    model: *const PatchcoreModel,
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `put`, `shared` and `buffer`.
    guard(|| unsafe {
        put(len, "len", 0)?;
        let model = &shared(model, "model")?.model;
        let room = if out.is_null() { &mut [][..] } else { buffer(out, capacity, "model buffer")? };
        let mut writer = CountingWriter { room, written: 0 };
        model.write_to(&mut writer)?;
        let written = writer.written;
        put(len, "len", written)?;
        if !out.is_null() && written > capacity {
            let found = format!("{capacity} bytes");
            return Err(Error::argument("model buffer", found, format!("at least {written}")));
        }
        Ok(())
    })
}

/// Frees `model`; NULL is ignored. Sessions on it stay usable.
///
/// # Safety
/// `model` is NULL or a model that was not freed before, and nobody uses it during or after the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_free(model: *mut PatchcoreModel) {
    if !model.is_null() {
        // SAFETY: it came from `open`, and this is the last use of it.
        guard_free(|| drop(unsafe { Box::from_raw(model) }));
    }
}

/// # Safety
/// `model` is null or valid for writes of a pointer.
unsafe fn open(model: *mut *mut PatchcoreModel, how: impl FnOnce() -> Result<PatchCore>) -> Result<()> {
    // SAFETY: the caller's contract is that of `put`.
    unsafe { put(model, "model", std::ptr::null_mut()) }?;
    let opened = how()?;
    let texts = Texts::new(&opened);
    let handle = Box::new(PatchcoreModel { model: opened, texts });
    // SAFETY: as above.
    unsafe { put(model, "model", Box::into_raw(handle)) }
}

/// Writes as much as there is room for, and counts everything.
struct CountingWriter<'a> {
    room: &'a mut [u8],
    written: usize,
}

impl Write for CountingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A slice writes what fits, and never fails.
        let _ = self.room.write(bytes)?;
        self.written += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
