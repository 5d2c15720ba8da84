//! NumPy's `.npy` files: one array of one to three dimensions, little-endian, in C order.
//!
//! The format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use crate::atomic::AtomicFile;
use crate::error::{Error, Result};
use crate::half;
use header::Header;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

mod header;

/// Values converted at a time.
const BLOCK: usize = 16_384;

/// An array read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Length of each of the one to three dimensions; none is 0.
    pub shape: Vec<usize>,
    /// The values in C order: those of the last dimension side by side.
    pub data: Vec<f32>,
}

/// Reads an array of float32, float64 (rounded) or float16. Takes memory for the file's values, once.
///
/// # Errors
/// The file cannot be read, holds another kind of array, or its length is not that of the array.
pub fn read(path: &Path) -> Result<Array> {
    let io = |e| Error::io(path, "read", &e);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(io(ErrorKind::IsADirectory.into()));
    }
    let length = metadata.len();
    parse(&mut BufReader::new(file), length).map_err(|e| e.within(path.display()))
}

/// As [`read`], from the file's bytes.
///
/// # Errors
/// As `read`.
pub fn read_bytes(bytes: &[u8]) -> Result<Array> {
    parse(&mut &bytes[..], bytes.len() as u64)
}

fn parse(input: &mut impl Read, length: u64) -> Result<Array> {
    let Header { kind, shape, bytes } = Header::read(input)?;
    let count = shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
    let size = count.and_then(|count| count.checked_mul(kind.size()));
    // The length is compared before anything is allocated, so that no header can ask for more than the file
    // holds.
    let (Some(count), Some(size)) = (count, size.filter(|&size| size as u64 == length.saturating_sub(bytes)))
    else {
        let expected = size.map_or("less".into(), |size| (size as u64).saturating_add(bytes).to_string());
        return Err(Error::format(format!("array {shape:?}"), format!("a file of {length} bytes"), expected));
    };
    let mut data = Vec::new();
    data.try_reserve_exact(count)
        .map_err(|_| Error::limit("array", format!("{size} bytes"), "what memory holds"))?;
    let mut block = vec![0; BLOCK * kind.size()];
    while data.len() < count {
        block.truncate((count - data.len()).min(BLOCK) * kind.size());
        input
            .read_exact(&mut block)
            .map_err(|e| Error::format("array", e, format!("{size} bytes of values")))?;
        kind.convert(&block, &mut data);
    }
    Ok(Array { shape, data })
}

/// The number types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    F16,
    F32,
    F64,
}

impl Kind {
    fn named(descr: &str) -> Option<Self> {
        match descr {
            "<f2" => Some(Self::F16),
            "<f4" => Some(Self::F32),
            "<f8" => Some(Self::F64),
            _ => None,
        }
    }

    fn size(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Numbers too large for f32 become infinite.
    #[allow(clippy::cast_possible_truncation)]
    fn convert(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F16 => values.extend(half::all_to_f32(bytes)),
            Self::F32 => values.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            Self::F64 => values.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
        }
    }
}

/// The number types that are written.
pub trait Element: Copy {
    /// NumPy's name of the type.
    const DESCR: &'static str;
    /// Appends the value's little-endian bytes.
    fn append(self, bytes: &mut Vec<u8>);
}

macro_rules! element {
    ($type:ty, $descr:literal) => {
        impl Element for $type {
            const DESCR: &'static str = $descr;
            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}

element!(f32, "<f4");
element!(i64, "<i8");
element!(u32, "<u4");

/// Writes an array piece by piece. The file appears at its path, whole, with [`finish`](Self::finish), and
/// not at all where the writer is dropped before.
pub struct Writer<T> {
    path: PathBuf,
    file: AtomicFile,
    /// Values that are still to come; `None` once a write has failed.
    left: Option<usize>,
    bytes: Vec<u8>,
    element: PhantomData<T>,
}

impl<T: Element> Writer<T> {
    /// Starts an array of `shape`.
    ///
    /// # Errors
    /// `shape` has not one to three dimensions, has no value or more than memory addresses, or the file
    /// cannot be created.
    pub fn create(path: &Path, shape: &[usize]) -> Result<Self> {
        let count = shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
        let left = count.filter(|&count| count > 0 && (1..=header::MAX_RANK).contains(&shape.len()));
        if left.is_none() {
            let expected = "one to three dimensions, none of them 0";
            return Err(Error::argument("array shape", format!("{shape:?}"), expected));
        }
        let mut file = AtomicFile::create(path)?;
        file.write_all(&header::encode(T::DESCR, shape)).map_err(|e| Error::io(path, "write", &e))?;
        Ok(Self { path: path.into(), file, left, bytes: Vec::new(), element: PhantomData })
    }

    /// Appends `values`.
    ///
    /// # Errors
    /// The array is full, or the file cannot be written; it then does not [`finish`](Self::finish) either.
    pub fn write(&mut self, values: &[T]) -> Result<()> {
        let before = self.left.unwrap_or(0);
        let Some(left) = before.checked_sub(values.len()) else {
            let found = format!("{} more", values.len());
            return Err(Error::argument("array values", found, format!("at most {before}")));
        };
        self.left = None;
        for block in values.chunks(BLOCK) {
            self.bytes.clear();
            block.iter().for_each(|value| value.append(&mut self.bytes));
            self.file.write_all(&self.bytes).map_err(|e| Error::io(&self.path, "write", &e))?;
        }
        self.left = Some(left);
        Ok(())
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// Values are missing, or the file cannot be written.
    pub fn finish(self) -> Result<()> {
        match self.left {
            Some(0) => self.file.commit(),
            Some(left) => Err(Error::argument("array values", format!("{left} missing"), "all of them")),
            None => Err(Error::argument("array values", "those of a write that failed", "all of them")),
        }
    }
}

/// Writes an array of `shape` with `values` in C order.
///
/// # Errors
/// As those of [`Writer`].
pub fn write<T: Element>(path: &Path, shape: &[usize], values: &[T]) -> Result<()> {
    let mut writer = Writer::create(path, shape)?;
    writer.write(values)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An array of `[2, 3]` as NumPy 2 writes it.
    fn file(version: u8, descr: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3), }}");
        let before = if version == 1 { 10 } else { 12 };
        let length = (before + text.len() + 1).next_multiple_of(64) - before;
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((length as u16).to_le_bytes()),
            _ => bytes.extend((length as u32).to_le_bytes()),
        }
        bytes.extend(format!("{text:<width$}\n", width = length - 1).as_bytes());
        bytes.extend(data);
        bytes
    }

    fn floats() -> Vec<u8> {
        [1.0f32, -2.5, 0.0, 3.25, f32::MAX, 1e-40].iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn reads_what_numpy_writes() {
        let expected = [1.0f32, -2.5, 0.0, 3.25, f32::MAX, 1e-40];
        for version in [1, 2] {
            let array = read_bytes(&file(version, "<f4", &floats())).unwrap();
            assert_eq!(array, Array { shape: vec![2, 3], data: expected.to_vec() });
        }
        let doubles: Vec<u8> = expected.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        assert_eq!(read_bytes(&file(1, "<f8", &doubles)).unwrap().data, expected);
        let halves: Vec<u8> = [0x3c00u16, 0xc100, 0x0001, 0x7bff, 0xfc00, 0x0400]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let halves = read_bytes(&file(1, "<f2", &halves)).unwrap().data;
        assert_eq!(halves, [1.0, -2.5, 2f32.powi(-24), 65504.0, f32::NEG_INFINITY, 2f32.powi(-14)]);
    }

    #[test]
    fn what_is_written_is_what_numpy_writes_and_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("array.npy");
        let values = [1.0f32, -2.5, 0.0, 3.25, f32::MAX, 1e-40];
        write(&path, &[2, 3], &values).unwrap();
        assert!(std::fs::read(&path).unwrap() == file(1, "<f4", &floats()));
        for shape in [&[6usize][..], &[3, 2], &[1, 2, 3]] {
            write(&path, shape, &values).unwrap();
            assert_eq!(read(&path).unwrap(), Array { shape: shape.to_vec(), data: values.to_vec() });
        }
        write(&path, &[3], &[1i64, -1, 1 << 40]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }"
        ));
        assert_eq!(bytes[128..136], 1i64.to_le_bytes());
        assert!(
            read(&path).unwrap_err().to_string().contains("array.npy: descr: found '<i8', expected '<f4'")
        );
        write(&path, &[1], &[u32::MAX]).unwrap();
        assert!(std::fs::read(&path).unwrap().ends_with(&[255; 4]));
    }

    #[test]
    fn an_array_with_too_few_or_too_many_values_does_not_appear() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("array.npy");
        let mut writer = Writer::create(&path, &[2, 2]).unwrap();
        writer.write(&[1.0f32; 3]).unwrap();
        assert!(writer.write(&[1.0; 2]).is_err());
        assert!(writer.finish().is_err());
        assert!(write(&path, &[], &[1.0f32]).is_err());
        assert!(write(&path, &[usize::MAX, 2], &[1.0f32]).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_truncation_and_every_longer_file_is_refused() {
        for version in [1, 2] {
            let whole = file(version, "<f4", &floats());
            for length in 0..whole.len() {
                assert!(read_bytes(&whole[..length]).is_err(), "{length}");
                // A length that lies about a file that shrinks while it is read.
                assert!(parse(&mut &whole[..length], whole.len() as u64).is_err(), "{length}");
            }
            assert!(read_bytes(&[&whole[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn every_changed_header_byte_is_refused_or_gives_an_array_of_the_same_values() {
        for version in [1, 2] {
            let whole = file(version, "<f4", &floats());
            for at in 0..whole.len() - 24 {
                for value in 0..=255 {
                    let mut bytes = whole.clone();
                    bytes[at] = value;
                    if let Ok(array) = read_bytes(&bytes) {
                        assert_eq!(array.data.len(), 6, "byte {at} = {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn other_arrays_are_named() {
        let with = |from: &str, to: &str| {
            let bytes = file(1, "<f4", &floats());
            let text = String::from_utf8_lossy(&bytes[10..128]).replace(from, to);
            let length = text.len() as u16;
            let all = [&bytes[..8], &length.to_le_bytes(), text.as_bytes(), &bytes[128..]].concat();
            read_bytes(&all).unwrap_err().to_string()
        };
        assert!(with("<f4", ">f4").contains("'>f4'"));
        assert!(with("False", "True").contains("fortran_order: found True, expected False"));
        assert!(with("(2, 3)", "()").contains("one to three"));
        assert!(with("(2, 3)", "(1, 1, 2, 3)").contains("one to three"));
        assert!(with("(2, 3)", "(0, 3)").contains("above 0"));
        assert!(with("(2, 3)", "(2, 99999999999999999999)").contains("shape"));
        let too_many = format!("({}, 16)", usize::MAX / 4 + 1);
        assert!(with("(2, 3)", &too_many).contains("bytes, expected less"));
        assert!(with("(2, 3)", "(2, 4)").contains("[2, 4]: found a file of 152 bytes, expected 160"));
        assert!(with("'shape'", "'descr'").contains("header"));
        assert!(with(", }", ", 'x': 1}").contains("header"));
        assert!(with("(2, 3)", "2").contains("header"));
        let hostile = with("<f4", &"\u{1b}[2J\n".repeat(1000));
        assert!(hostile.starts_with(r"descr: found '\u{1b}[2J\n") && hostile.len() < 1000, "{hostile}");
        assert!(!hostile.contains(char::is_control), "{hostile}");
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(text in "[{}()', :<f4a-z0-9FT]{0,80}") {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16 + 1).to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend(b"\n1234");
            let _ = read_bytes(&bytes);
        }
    }
}
