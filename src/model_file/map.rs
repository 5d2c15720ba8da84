//! Bytes of a model file, mapped or in memory, and typed slices of them that keep them alive.

#![allow(unsafe_code)]

use super::header::length_said;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// Sections and the start of the file's bytes lie on this boundary: a cache line, and enough for every vector
/// type.
pub const ALIGNMENT: usize = 64;

/// Numbers that any bit pattern is a valid value of, stored little-endian.
///
/// # Safety
/// The type has no padding and no invalid bit patterns, and its alignment divides [`ALIGNMENT`].
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($type:ty)*) => {$(
        // SAFETY: a primitive number: no padding, every bit pattern valid, alignment at most eight.
        unsafe impl Plain for $type {}
    )*};
}
plain!(u8 i8 u16 i16 u32 i32 u64 f32 f64);

/// The bytes of `values` as they lie in memory.
pub fn as_bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` types have no padding, so all bytes are initialised; u8 has no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; ALIGNMENT]);

fn as_bytes_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: a `Line` is 64 bytes without padding, of which every value is valid.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

/// Reads until `out` is full or `reader` ends; says how many bytes came.
fn fill(reader: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match reader.read(out.get_mut(len..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

/// The file `path`, which is no folder.
fn open(path: &Path) -> Result<File> {
    let fail = |e| Error::io(path, "open", &e);
    let file = File::open(path).map_err(fail)?;
    match file.metadata().map_err(fail)?.is_dir() {
        true => Err(fail(io::ErrorKind::IsADirectory.into())),
        false => Ok(file),
    }
}

/// A model file that is mapped into memory: processes share its pages, and opening a model reads little of
/// it.
///
/// ```no_run
/// use patchcore::{MappedFile, PatchCore};
///
/// // SAFETY: models are replaced by renaming a new file over the old one; nobody writes into or truncates this one.
/// let file = unsafe { MappedFile::open("flanges.pcore")? };
/// let model = PatchCore::open_mapped(file)?;
/// # Ok::<(), patchcore::Error>(())
/// ```
#[derive(Debug)]
pub struct MappedFile {
    map: memmap2::Mmap,
    name: String,
}

impl MappedFile {
    /// Maps the file `path`.
    ///
    /// # Errors
    /// The file cannot be opened or mapped, or is a folder.
    ///
    /// # Safety
    /// As long as this, or a model or session opened from it, lives, nobody changes the bytes of the file or
    /// truncates it: a truncated file ends the process with a signal (`SIGBUS`), a changed one is undefined
    /// behaviour. A file that is *replaced*, by renaming another over it as
    /// [`PatchCore::save`](crate::PatchCore::save) does, stays mapped as it was.
    pub unsafe fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = open(path)?;
        // SAFETY: the mapping is read-only, and the caller grants that the file stays as it is.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io(path, "map", &e))?;
        Ok(Self { map, name: path.display().to_string() })
    }

    /// The name of the file, for errors.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl From<MappedFile> for Bytes {
    fn from(file: MappedFile) -> Self {
        Self(Source::Mapped(file.map))
    }
}

/// A whole model file: mapped, read into aligned memory, or lent by the program for its whole life.
pub struct Bytes(Source);

enum Source {
    Mapped(memmap2::Mmap),
    Owned { lines: Vec<Line>, len: usize },
    Static(&'static [u8]),
}

impl Bytes {
    /// Reads `path` into aligned memory: nothing that happens to the file afterwards matters.
    ///
    /// # Errors
    /// It cannot be read, or is longer than `max_bytes`.
    pub fn read(path: &Path, max_bytes: u64) -> Result<Self> {
        let file = open(path)?;
        let len = file.metadata().map_err(|e| Error::io(path, "read", &e))?.len();
        if len > max_bytes {
            return Err(Error::too_long(path.display(), max_bytes));
        }
        // A device has no length; one byte more than is allowed shows that there is more.
        Self::from_reader(file.take(max_bytes.saturating_add(1)), len)
            .map_err(|e| Error::io(path, "read", &e))
    }

    /// Reads what `reader` gives, into aligned memory: to its end, or as far as it takes to see that it is no
    /// model file or longer than its header says. `expected` is its length, 0 where nobody knows. Room for
    /// the whole is made once, and taken from the system as bytes come, so that a header can ask for no more
    /// memory than what follows it.
    pub fn from_reader(mut reader: io::Take<impl Read>, expected: u64) -> io::Result<Self> {
        const STEP: usize = 1 << 20;
        let mut lines = vec![Line([0; ALIGNMENT])];
        let mut len = fill(&mut reader, as_bytes_mut(&mut lines))?;
        let said = length_said(as_bytes_mut(&mut lines).get(..len).unwrap_or_default());
        // One byte more shows that there is more.
        let end = said.saturating_add(1).min(reader.limit().saturating_add(len as u64));
        let room = if expected == 0 { end } else { end.min(expected.saturating_add(1)) };
        let [end, room] = [end, room].map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        lines.try_reserve_exact(room.div_ceil(ALIGNMENT).saturating_sub(lines.len()))?;
        while len < end {
            let next = end.min(len.saturating_add(STEP));
            lines.resize(next.div_ceil(ALIGNMENT), Line([0; ALIGNMENT]));
            let read = fill(&mut reader, as_bytes_mut(&mut lines).get_mut(len..next).unwrap_or_default())?;
            len += read;
            if len < next {
                break;
            }
        }
        lines.truncate(len.div_ceil(ALIGNMENT));
        Ok(Self(Source::Owned { lines, len }))
    }

    /// Copies `content` into aligned memory.
    pub fn copy_of(content: &[u8]) -> Self {
        let mut lines = vec![Line([0; ALIGNMENT]); content.len().div_ceil(ALIGNMENT)];
        for (line, part) in lines.iter_mut().zip(content.chunks(ALIGNMENT)) {
            line.0.iter_mut().zip(part).for_each(|(to, &byte)| *to = byte);
        }
        Self(Source::Owned { lines, len: content.len() })
    }

    /// Uses `content` where it lies, without a copy, if it is aligned to [`ALIGNMENT`].
    pub fn in_place(content: &'static [u8]) -> Result<Self> {
        let offset = content.as_ptr().addr() % ALIGNMENT;
        if offset != 0 {
            return Err(Error::argument(
                "model bytes",
                format!("an address {offset} past a multiple of {ALIGNMENT}"),
                "an aligned address",
            )
            .hint("place the array with #[repr(align(64))], or open a copy"));
        }
        Ok(Self(Source::Static(content)))
    }
}

impl Bytes {
    /// Memory that this holds; 0 where the file is mapped or lent.
    fn owned_bytes(&self) -> usize {
        match &self.0 {
            Source::Owned { lines, .. } => size_of_val(&lines[..]),
            Source::Mapped(_) | Source::Static(_) => 0,
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Mapped(map) => map,
            // SAFETY: `lines` holds at least `len` initialised bytes, contiguous because Line is 64 bytes
            // with alignment 64.
            Source::Owned { lines, len } => unsafe {
                std::slice::from_raw_parts(lines.as_ptr().cast(), *len)
            },
            Source::Static(bytes) => bytes,
        }
    }
}

/// Numbers that are owned, or lie inside a model file that they keep open.
#[derive(Clone)]
pub struct Slice<T: Plain>(Place<T>);

#[derive(Clone)]
enum Place<T> {
    Owned(Arc<Vec<T>>),
    Inside { bytes: Arc<Bytes>, offset: usize, len: usize },
}

impl<T: Plain> Slice<T> {
    /// The numbers at `range` of `bytes`, or `None` where the range is outside, misaligned or not whole
    /// numbers.
    pub fn inside(bytes: &Arc<Bytes>, range: std::ops::Range<usize>) -> Option<Self> {
        let part = bytes.get(range.clone())?;
        let whole = part.len() % size_of::<T>() == 0 && part.as_ptr().addr() % align_of::<T>() == 0;
        let len = part.len() / size_of::<T>();
        whole.then(|| Self(Place::Inside { bytes: bytes.clone(), offset: range.start, len }))
    }
}

impl<T: Plain> Slice<T> {
    /// Memory that the numbers take; 0 where they lie inside a model file.
    pub(crate) fn owned_bytes(&self) -> usize {
        match &self.0 {
            Place::Owned(values) => size_of_val(&values[..]),
            Place::Inside { .. } => 0,
        }
    }

    /// Memory that the model file around the numbers takes; 0 where there is none, or it is mapped or lent.
    pub(crate) fn file_bytes(&self) -> usize {
        match &self.0 {
            Place::Owned(_) => 0,
            Place::Inside { bytes, .. } => bytes.owned_bytes(),
        }
    }
}

impl<T: Plain> From<Vec<T>> for Slice<T> {
    fn from(mut values: Vec<T>) -> Self {
        values.shrink_to_fit();
        Self(Place::Owned(Arc::new(values)))
    }
}

impl<T: Plain> Deref for Slice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Place::Owned(values) => values,
            Place::Inside { bytes, offset, len } => {
                // SAFETY: `inside` checked that `len` whole values lie at `offset`, aligned for T; `bytes`
                // never moves nor changes while it is shared, and every bit pattern is a valid T.
                unsafe { std::slice::from_raw_parts(bytes.as_ptr().add(*offset).cast(), *len) }
            }
        }
    }
}

impl<T: Plain> std::fmt::Debug for Slice<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slice of {} {}", self.len(), std::any::type_name::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sections::SectionWriter;
    use super::*;

    #[test]
    fn copies_are_aligned_and_equal() {
        for len in [0usize, 1, 63, 64, 65, 1000] {
            let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let bytes = Bytes::copy_of(&content);
            assert_eq!(&*bytes, &content[..]);
            assert_eq!(bytes.as_ptr().addr() % ALIGNMENT, 0);
            assert_eq!(bytes.owned_bytes(), len.next_multiple_of(ALIGNMENT));
        }
    }

    /// Gives at most `step` bytes at once.
    struct Slow<'a> {
        content: &'a [u8],
        step: usize,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let step = self.step.min(out.len());
            self.content.read(&mut out[..step])
        }
    }

    /// A file of `len` bytes whose header says that it has `said`.
    fn file(len: usize, said: u64) -> Vec<u8> {
        let mut file = Vec::new();
        SectionWriter::default().write_to(&mut file).unwrap();
        file[16..24].copy_from_slice(&said.to_le_bytes());
        file.extend((file.len()..len).map(|i| i as u8));
        file.truncate(len);
        file
    }

    fn read(content: &[u8], step: usize, expected: u64) -> io::Result<Bytes> {
        Bytes::from_reader(Slow { content, step }.take(1 << 40), expected)
    }

    #[test]
    fn what_is_read_is_aligned_equal_and_held_once() {
        for len in [0, 1, 31, 32, 63, 64, 65, 1000, (1 << 20) + 63, (1 << 20) + 64, 3 << 20] {
            let content = file(len, len as u64);
            for (expected, step) in [(0, 100), (0, 1 << 30), (len, 777), (len, 1 << 30), (len / 2, 4096)] {
                let bytes = read(&content, step, expected as u64).unwrap();
                assert_eq!(&*bytes, &content[..], "{len} bytes, {expected} expected, {step} at once");
                assert_eq!(bytes.as_ptr().addr() % ALIGNMENT, 0);
                let Source::Owned { lines, .. } = &bytes.0 else { panic!("it was read") };
                let most = len.max(1).next_multiple_of(ALIGNMENT) + ALIGNMENT;
                assert!(expected == len / 2 || lines.capacity() * ALIGNMENT <= most, "{len} bytes");
            }
        }
    }

    #[test]
    fn what_does_not_end_is_read_no_further_than_its_header_says() {
        let endless = |start: Vec<u8>| {
            Bytes::from_reader(io::Cursor::new(start).chain(io::repeat(7)).take(1 << 40), 0).unwrap().len()
        };
        assert_eq!(endless(Vec::new()), ALIGNMENT);
        assert_eq!(endless(file(32, 40)), ALIGNMENT);
        assert_eq!(endless(file(32, 5000)), 5001);
        let mut newer = file(32, 5000);
        newer[8] += 1;
        assert_eq!(endless(newer), ALIGNMENT);
        assert_eq!(Bytes::from_reader(io::Cursor::new(file(99, 5000)).take(70), 0).unwrap().len(), 70);
    }

    #[test]
    fn a_header_that_says_too_much_is_an_error_or_what_there_is() {
        let content = file(100, u64::MAX);
        assert!(Bytes::from_reader(content.as_slice().take(u64::MAX), 0).is_err());
        assert_eq!(&*read(&content, 100, 100).unwrap(), &content[..]);
    }

    #[test]
    fn slices_outside_misaligned_or_uneven_are_refused() {
        let bytes = Arc::new(Bytes::copy_of(&[0; 64]));
        assert_eq!(Slice::<f32>::inside(&bytes, 0..64).unwrap().len(), 16);
        assert_eq!(Slice::<f32>::inside(&bytes, 64..64).unwrap().len(), 0);
        assert!(Slice::<f32>::inside(&bytes, 0..68).is_none());
        assert!(Slice::<f32>::inside(&bytes, 2..6).is_none());
        assert!(Slice::<f32>::inside(&bytes, 0..6).is_none());
    }

    #[test]
    fn a_slice_outlives_the_handle_it_came_from() {
        let bytes = Arc::new(Bytes::copy_of(as_bytes(&[1.0f32, 2.0, 3.0])));
        let slice = Slice::<f32>::inside(&bytes, 4..12).unwrap();
        drop(bytes);
        assert_eq!(&*slice, &[2.0, 3.0]);
    }

    #[test]
    fn in_place_wants_an_aligned_address() {
        static LINES: [Line; 2] = [Line([7; ALIGNMENT]); 2];
        let bytes = as_bytes(&LINES[0].0);
        assert_eq!(&*Bytes::in_place(bytes).unwrap(), bytes);
        assert!(Bytes::in_place(&bytes[1..]).is_err());
    }
}
