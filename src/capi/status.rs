//! How a call ended, and the message that goes with it.

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
    /// The model is damaged, unsupported or not a model.
    Format = 2,
    /// An argument is out of its range, null or misaligned, or a buffer has another size.
    Argument = 3,
    /// The work would pass a stated limit, or the system's of threads.
    Limit = 4,
    /// The caller asked to stop; no function returns it yet.
    Cancelled = 5,
    /// The model is whole, but of another format version, or needs a feature that this build does not have.
    Unsupported = 7,
    /// A defect of this library. Free the handles of the call, do nothing else with them, and report it.
    Panic = 6,
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

/// What went wrong in the last call of this thread that did not return `PATCHCORE_STATUS_OK`, as one line of UTF-8;
/// empty where there was none. Never null. The string is this thread's: it is valid, and stays as it is, until the next such
/// call of this thread or the thread's end.
#[unsafe(no_mangle)]
pub extern "C" fn patchcore_last_error() -> *const c_char {
    // A thread that is ending may have no message any more.
    LAST_ERROR.try_with(|message| message.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The version of the library, such as "0.1.0". Never null; valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn patchcore_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no zero inside"),
        };
    VERSION.as_ptr()
}

/// Runs the body of a function: errors and panics become a status and a message.
pub(super) fn guard(body: impl FnOnce() -> Result<()>) -> PatchcoreStatus {
    // What a panic left half done is behind handles that the caller is told to free.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => PatchcoreStatus::Ok,
        Ok(Err(error)) => failed(error.kind().into(), error.to_string()),
        Err(payload) => failed(PatchcoreStatus::Panic, format!("panic: {}", shortened(words(&*payload)))),
    }
}

/// Runs the end of a handle, of which nothing is reported.
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
    fn the_message_is_that_of_the_thread() {
        guard(|| Err(Error::format("mine", "b", "c")));
        std::thread::spawn(|| assert_eq!(last_error(), "")).join().unwrap();
        assert!(last_error().contains("mine"));
    }
}
