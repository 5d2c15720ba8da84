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
    /// A file's content is damaged or not what it claims to be.
    Format,
    /// A file is whole, but of a version, kind or feature that this build does not have.
    Unsupported,
    /// An argument is out of its range, or arguments contradict one another.
    Argument,
    /// The work would pass a stated limit (dimensions, memory, count).
    Limit,
    /// The caller asked to stop.
    Cancelled,
}

/// Why a call failed. The message is one line that names the file or argument, what was found and what was
/// expected. Whatever a file says, it holds no control characters and fewer than 12,000 others.
pub struct Error(Box<Inner>);

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Most characters of the parts of a message. Of the place, more than the longest path that Linux opens.
const PLACE: usize = 5000;
const FOUND: usize = 300;
const EXPECTED: usize = 1000;
const HINT: usize = 1000;

struct Inner {
    kind: ErrorKind,
    subject: String,
    problem: String,
    hint: Option<String>,
    setting: Option<Setting>,
    io: Option<io::Error>,
}

/// A setting of [`TrainOptions`](crate::TrainOptions) or its parts that only the work itself can find wrong,
/// so that a program can name its own flag for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// [`Preprocess::crop`](crate::image::Preprocess#structfield.crop)
    CenterCrop,
    /// The category of a data set.
    Category,
    /// [`TrainOptions::coreset_ratio`](crate::TrainOptions#structfield.coreset_ratio)
    CoresetRatio,
    /// The size that photographs are resized to.
    ImageSize,
    /// [`TrainOptions::layers`](crate::TrainOptions#structfield.layers)
    Layers,
    /// [`TrainOptions::max_memory`](crate::TrainOptions#structfield.max_memory)
    MaxMemory,
    /// [`TrainOptions::neighbors`](crate::TrainOptions#structfield.neighbors)
    Neighbors,
    /// [`TrainOptions::roi`](crate::TrainOptions#structfield.roi)
    Roi,
}

impl Setting {
    /// The name of the setting in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::CenterCrop => "centre crop",
            Self::Category => "category",
            Self::ImageSize => "image size",
            Self::CoresetRatio => "coreset ratio",
            Self::Layers => "layers",
            Self::MaxMemory => "max memory",
            Self::Neighbors => "neighbors",
            Self::Roi => "region of interest",
        }
    }
}

impl Error {
    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How the operating system refused, for [`ErrorKind::Io`].
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.0.io.as_ref().map(io::Error::kind)
    }

    /// The setting that is wrong, where it is one.
    pub fn setting(&self) -> Option<Setting> {
        self.0.setting
    }

    /// `setting` is `found`, and must be `expected`.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    pub(crate) fn wrong_setting(setting: Setting, found: impl Display, expected: impl Display) -> Self {
        let mut error = Self::argument(setting.name(), found, expected);
        error.0.setting = Some(setting);
        error
    }

    /// `subject` (a file or a part of it) is `found`, which this build cannot use; it can use `expected`.
    #[doc(hidden)]
    pub fn unsupported(subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::mismatch(ErrorKind::Unsupported, subject, found, expected)
    }

    /// `subject` (a file or a part of it) holds `found` where `expected` belongs.
    #[doc(hidden)]
    pub fn format(subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::mismatch(ErrorKind::Format, subject, found, expected)
    }

    /// The argument `subject` is `found`, and must be `expected`.
    #[doc(hidden)]
    pub fn argument(subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::mismatch(ErrorKind::Argument, subject, found, expected)
    }

    /// `subject` would need `found`; the limit is `expected`.
    #[doc(hidden)]
    pub fn limit(subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::mismatch(ErrorKind::Limit, subject, found, expected)
    }

    /// The file `subject` is longer than `most` bytes.
    pub(crate) fn too_long(subject: impl Display, most: u64) -> Self {
        Self::limit(subject, "a longer file", format!("at most {most} bytes"))
    }

    /// The operating system failed to `action` ("read", "write", ...) `path`.
    #[doc(hidden)]
    pub fn io(path: &Path, action: &str, source: &io::Error) -> Self {
        // The source may name another path.
        let problem = one_line(format_args!("cannot {action}: {source}"), PLACE);
        let mut error = Self::new(ErrorKind::Io, path.display(), problem);
        // An error of the operating system is its number; others keep their kind and text.
        error.0.io = Some(match source.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(source.kind(), shortened(source)),
        });
        error
    }

    /// The caller asked to stop during `stage`.
    #[doc(hidden)]
    pub fn cancelled(stage: impl Display) -> Self {
        Self::new(ErrorKind::Cancelled, stage, "stopped at the caller's wish".into())
    }

    /// Adds what the user can do about it.
    #[doc(hidden)]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.0.hint = Some(one_line(hint, HINT));
        self
    }

    /// Puts `outer` (usually the file) before the subject, for a callee that does not know it.
    #[doc(hidden)]
    pub fn within(mut self, outer: impl Display) -> Self {
        self.0.subject = one_line(format_args!("{outer}: {}", self.0.subject), PLACE);
        self
    }

    /// As [`within`](Self::within), of an argument that came from the file `path`: it is the file that is
    /// wrong.
    pub(crate) fn of_file(mut self, path: impl Display) -> Self {
        if self.0.kind == ErrorKind::Argument {
            self.0.kind = ErrorKind::Format;
        }
        self.within(path)
    }

    /// Which file or argument it is about.
    #[doc(hidden)]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The same about `subject`, for a caller that calls it by another name.
    #[doc(hidden)]
    #[must_use]
    pub fn about(mut self, subject: impl Display) -> Self {
        self.0.subject = one_line(subject, PLACE);
        self.0.setting = None;
        self
    }

    fn mismatch(kind: ErrorKind, subject: impl Display, found: impl Display, expected: impl Display) -> Self {
        let (found, expected) = (shortened(found), one_line(expected, EXPECTED));
        Self::new(kind, subject, format!("found {found}, expected {expected}"))
    }

    /// `problem` is in one line already.
    fn new(kind: ErrorKind, subject: impl Display, problem: String) -> Self {
        Self(Box::new(Inner {
            kind,
            subject: one_line(subject, PLACE),
            problem,
            hint: None,
            setting: None,
            io: None,
        }))
    }
}

/// What a file says, for a message: harmless, and short however long it is.
pub(crate) fn shortened(text: impl Display) -> String {
    one_line(text, FOUND)
}

/// A path or another place, for a line of its own: harmless, and whole as far as files can be opened.
pub fn place(text: impl Display) -> String {
    one_line(text, PLACE)
}

/// `text` in one line of at most `most` characters, and dots where there are more.
fn one_line(text: impl Display, most: usize) -> String {
    let text = text.to_string();
    let mut rest = text.chars().flat_map(shown);
    let mut line: String = rest.by_ref().take(most).collect();
    if rest.next().is_some() {
        line.push_str("...");
    }
    line
}

/// `c`, or its escape where it would not show as itself.
fn shown(c: char) -> impl Iterator<Item = char> {
    let escape = steers(c).then(|| c.escape_debug());
    let plain = escape.is_none().then_some(c);
    escape.into_iter().flatten().chain(plain)
}

/// Whether `c` ends lines, steers terminals or turns the direction of what is written.
pub fn steers(c: char) -> bool {
    let marks = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}');
    c.is_control() || marks || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl std::error::Error for Error {
    /// The operating system's error, where there is one.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.io.as_ref().map(|error| error as _)
    }
}

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
        let source = std::error::Error::source(&missing).unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::NotFound);
        let full = Error::io(Path::new("a"), "write", &io::Error::from_raw_os_error(28));
        let source = std::error::Error::source(&full).unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.raw_os_error(), Some(28));
    }

    #[test]
    fn what_was_found_is_shortened_and_what_was_expected_stays() {
        let message = Error::format("a", "é".repeat(1000), "less").to_string();
        assert_eq!(message, format!("a: found {}..., expected less", "é".repeat(300)));
    }

    /// The longest message of each kind whose parts are all `text`.
    fn longest(text: &str) -> Vec<String> {
        let io = Error::io(Path::new(text), text, &io::Error::other(text.to_owned()));
        let all = [Error::format(text, text, text), Error::cancelled(text), io];
        all.map(|error| error.hint(text).within(text).of_file(text).to_string()).into()
    }

    #[test]
    fn a_message_is_one_short_line_whatever_its_parts_hold() {
        let hostile = "a\0b\r\n\tc\u{1b}[2J\u{9b}\u{7f}d\u{2028}\u{2029}e\u{202e}\u{2066}\u{200f}\u{61c}f";
        let shown = r"a\0b\r\n\tc\u{1b}[2J\u{9b}\u{7f}d\u{2028}\u{2029}e\u{202e}\u{2066}\u{200f}\u{61c}f";
        for message in longest(hostile) {
            assert!(message.starts_with(&format!("{shown}: {shown}: ")), "{message}");
            assert!(message.ends_with(&format!(" ({shown})")) && !message.contains(steers), "{message}");
        }
        for part in ["x", "\u{1b}"] {
            for message in longest(&part.repeat(4 << 20)) {
                assert!(message.chars().count() < 12_000, "{} characters", message.chars().count());
            }
        }
    }

    #[test]
    fn what_can_be_read_stays_as_it_is() {
        // A quote, a backslash, an accent of its own, and signs that are joined.
        let path = format!("{}/\"deja\u{300}\\'.png\u{1f468}\u{200d}\u{1f527}", "/long".repeat(800));
        let message = Error::format(&path, "b", "c").within("d").to_string();
        assert_eq!(message, format!("d: {path}: found b, expected c"));
    }
}
