//! How a call ended, and the message that goes with it.

use super::float_environment::DefaultFloats;
use crate::error::{ErrorKind, Result, shortened};
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchcoreStatus {
    /// Success.
    Ok = 0,
    /// The operating system refused to read.
    Io = 1,
    /// The model is damaged, or the data are not a model.
    Format = 2,
    /// An argument is out of its range, null or misaligned, or a buffer has the wrong size.
    Argument = 3,
    /// The work would exceed a stated limit, or the operating system starts no more threads.
    Limit = 4,
    /// The caller asked to stop; no function returns it yet.
    Cancelled = 5,
    /// A defect of this library. Free the handles of the call, do nothing else with them, and report it.
    Panic = 6,
    /// The model is whole, but has another format version, or needs a feature that this build does not have.
    Unsupported = 7,
}

impl From<ErrorKind> for PatchcoreStatus {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Io => Self::Io,
            ErrorKind::Format => Self::Format,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Argument => Self::Argument,
            ErrorKind::Limit => Self::Limit,
            ErrorKind::Cancelled => Self::Cancelled,
        }
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// The message of this thread's last call that failed, as one line of UTF-8: what was found and what was
/// expected. Empty if no call failed. Never NULL. The string belongs to the thread: it stays valid and
/// unchanged until the thread's next failed call, or its end.
#[unsafe(no_mangle)]
pub extern "C" fn patchcore_last_error() -> *const c_char {
    // A thread that is ending may have no message any more.
    LAST_ERROR.try_with(|message| message.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The meaning of `status`, a `PatchcoreStatus`, in a few words, such as "invalid argument"; "unknown status"
/// for any other number. Never NULL, always valid. `patchcore_last_error` has the details.
#[unsafe(no_mangle)]
pub extern "C" fn patchcore_status_text(status: u32) -> *const c_char {
    const TEXTS: [(PatchcoreStatus, &CStr); 8] = [
        (PatchcoreStatus::Ok, c"success"),
        (PatchcoreStatus::Io, c"input or output error"),
        (PatchcoreStatus::Format, c"damaged model, or not a model"),
        (PatchcoreStatus::Argument, c"invalid argument"),
        (PatchcoreStatus::Limit, c"limit exceeded"),
        (PatchcoreStatus::Cancelled, c"cancelled"),
        (PatchcoreStatus::Panic, c"internal error"),
        (PatchcoreStatus::Unsupported, c"unsupported model"),
    ];
    let known = TEXTS.iter().find(|(known, _)| *known as u32 == status);
    known.map_or(c"unknown status", |(_, text)| text).as_ptr()
}

/// The version of the library, such as "0.1.0". Never NULL, always valid.
#[unsafe(no_mangle)]
pub extern "C" fn patchcore_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no zero inside"),
        };
    VERSION.as_ptr()
}

/// Runs the body of a function in the default floating-point environment. Errors and panics become a status
/// and a message.
pub(super) fn guard(body: impl FnOnce() -> Result<()>) -> PatchcoreStatus {
    let _default = DefaultFloats::set();
    // Half-done work of a panic is behind handles that the caller is asked to free.
    match catch_unwind(AssertUnwindSafe(|| out_of_line(body))) {
        Ok(Ok(())) => PatchcoreStatus::Ok,
        Ok(Err(error)) => failed(error.kind().into(), error.to_string()),
        Err(payload) => failed(PatchcoreStatus::Panic, format!("panic: {}", shortened(words(&*payload)))),
    }
}

/// A call of its own, so that no arithmetic of `body` moves ahead of the change of environment.
#[inline(never)]
fn out_of_line(body: impl FnOnce() -> Result<()>) -> Result<()> {
    body()
}

/// Runs the end of a handle, which reports nothing.
pub(super) fn guard_free(body: impl FnOnce()) {
    let _ = guard(|| {
        body();
        Ok(())
    });
}

fn failed(status: PatchcoreStatus, message: String) -> PatchcoreStatus {
    let message = CString::new(message.replace('\0', "\u{fffd}")).unwrap_or_default();
    let _ = LAST_ERROR.try_with(|last| last.replace(message));
    status
}

fn words(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(words), _) => words,
        (_, Some(words)) => words,
        _ => "without words",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn last_error() -> String {
        // SAFETY: the message is a string of this thread, which makes no other call meanwhile.
        unsafe { CStr::from_ptr(patchcore_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn errors_and_panics_become_a_status_and_a_message() {
        let kinds = [
            (Error::format("a", "b", "c"), PatchcoreStatus::Format),
            (Error::argument("a\0", "b", "c"), PatchcoreStatus::Argument),
            (Error::limit("a", "b", "c"), PatchcoreStatus::Limit),
            (Error::unsupported("a", "b", "c"), PatchcoreStatus::Unsupported),
            (Error::cancelled("a"), PatchcoreStatus::Cancelled),
            (Error::io("a".as_ref(), "b", &std::io::ErrorKind::NotFound.into()), PatchcoreStatus::Io),
        ];
        assert_eq!(last_error(), "");
        for (error, status) in kinds {
            let message = error.to_string().replace('\0', "\u{fffd}");
            assert_eq!(guard(|| Err(error)), status);
            assert_eq!(last_error(), message);
        }
        assert_eq!(guard(|| panic!("number {}", 7)), PatchcoreStatus::Panic);
        assert_eq!(last_error(), "panic: number 7");
        assert_eq!(guard(|| panic!("a\n{}", "b".repeat(1000))), PatchcoreStatus::Panic);
        assert_eq!(last_error(), format!(r"panic: a\n{}...", "b".repeat(297)));
        assert_eq!(guard(|| std::panic::panic_any(7)), PatchcoreStatus::Panic);
        assert_eq!(last_error(), "panic: without words");
        assert_eq!(guard(|| Ok(())), PatchcoreStatus::Ok);
        assert_eq!(last_error(), "panic: without words");
    }

    #[test]
    fn every_status_has_a_text_of_its_own() {
        // SAFETY: the texts are constants.
        let text = |status| unsafe { CStr::from_ptr(patchcore_status_text(status)) }.to_str().unwrap();
        let texts: std::collections::HashSet<_> = (0..9).map(text).collect();
        assert_eq!(texts.len(), 9);
        assert_eq!(text(PatchcoreStatus::Unsupported as u32), "unsupported model");
        assert_eq!([text(8), text(u32::MAX)], ["unknown status"; 2]);
    }

    #[test]
    fn the_message_is_that_of_the_thread() {
        guard(|| Err(Error::format("mine", "b", "c")));
        std::thread::spawn(|| assert_eq!(last_error(), "")).join().unwrap();
        assert!(last_error().contains("mine"));
    }
}
