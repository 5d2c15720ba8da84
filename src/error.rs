//! The one error type: which file or argument, what was found, what was expected.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

/// What went wrong, as a class that a program can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused to read or write.
    Io,
    /// A file's content is damaged, unsupported or not what it claims to be.
    Format,
    /// An argument is out of its range, or arguments contradict one another.
    Argument,
    /// The work would pass a stated limit (dimensions, memory, count).
    Limit,
    /// The caller asked to stop.
    Cancelled,
}

/// Why a call failed. The message is one line that names the file or argument, what was found and what was
/// expected.
pub struct Error(Box<Inner>);

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

struct Inner {
    kind: ErrorKind,
    subject: String,
    problem: String,
    hint: Option<String>,
    io: Option<io::ErrorKind>,
}

impl Error {
    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Of [`ErrorKind::Io`], how the operating system refused.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.0.io
    }

    /// `subject` (a file or a part of it) holds `found` where `expected` belongs.
    pub(crate) fn format(subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::mismatch(ErrorKind::Format, subject, found, expected)
    }

    /// The argument `subject` is `found`, and must be `expected`.
    pub(crate) fn argument(subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::mismatch(ErrorKind::Argument, subject, found, expected)
    }

    /// `subject` would need `found`; the limit is `expected`.
    pub(crate) fn limit(subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::mismatch(ErrorKind::Limit, subject, found, expected)
    }

    /// The operating system failed to `action` ("read", "write", ...) `path`.
    pub(crate) fn io(path: &Path, action: &str, source: &io::Error) -> Self {
        let mut error = Self::new(ErrorKind::Io, path.display(), format!("cannot {action}: {source}"));
        error.0.io = Some(source.kind());
        error
    }

    /// The caller asked to stop during `stage`.
    #[cfg(any(feature = "train", test))]
    pub(crate) fn cancelled(stage: impl Display) -> Self {
        Self::new(ErrorKind::Cancelled, stage, "stopped at the caller's wish".into())
    }

    /// Adds what the user can do about it.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.0.hint = Some(hint.to_string());
        self
    }

    /// Puts `outer` (usually the file) before the subject, for a callee that does not know it.
    pub(crate) fn within(mut self, outer: impl Display) -> Self {
        self.0.subject = format!("{outer}: {}", self.0.subject);
        self
    }

    /// Of an argument that came from the file `path`: it is the file that is wrong.
    #[cfg(feature = "decode")]
    pub(crate) fn of_file(mut self, path: impl Display) -> Self {
        if self.0.kind == ErrorKind::Argument {
            self.0.kind = ErrorKind::Format;
        }
        self.within(path)
    }

    /// Which file or argument it is about.
    #[cfg(feature = "cli")]
    pub(crate) fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The same about `subject`, for a caller that calls it by another name.
    #[cfg(feature = "cli")]
    pub(crate) fn about(mut self, subject: impl Display) -> Self {
        self.0.subject = subject.to_string();
        self
    }

    fn mismatch(kind: ErrorKind, subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        let found = shortened(found.to_string());
        Self::new(kind, subject, format!("found {found}, expected {expected}"))
    }

    fn new(kind: ErrorKind, subject: impl Display, problem: String) -> Self {
        Self(Box::new(Inner { kind, subject: subject.to_string(), problem, hint: None, io: None }))
    }
}

/// A file that says something at length does not fill the log.
fn shortened(text: String) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl std::error::Error for Error {}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { subject, problem, hint, .. } = &*self.0;
        write!(f, "{subject}: {problem}")?;
        match hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The same line as `Display`, so that `fn main() -> Result<()>` and `unwrap` read well.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_subject_found_expected_and_hint() {
        let error = Error::format("weights.pth: conv1.weight", "[64, 3, 3, 3]", "[64, 3, 7, 7]")
            .hint("is this another network?");
        assert_eq!(
            error.to_string(),
            "weights.pth: conv1.weight: found [64, 3, 3, 3], expected [64, 3, 7, 7] (is this another network?)"
        );
        assert_eq!(error.kind(), ErrorKind::Format);
    }

    #[test]
    fn how_the_operating_system_refused_is_kept() {
        let missing = Error::io(Path::new("a"), "read", &io::ErrorKind::NotFound.into());
        assert_eq!((missing.kind(), missing.io_kind()), (ErrorKind::Io, Some(io::ErrorKind::NotFound)));
        assert_eq!(Error::format("a", "b", "c").io_kind(), None);
    }

    #[test]
    fn what_was_found_is_shortened_and_what_was_expected_stays() {
        let message = Error::format("a", "é".repeat(1000), "less").to_string();
        assert_eq!(message, format!("a: found {}..., expected less", "é".repeat(300)));
    }
}
