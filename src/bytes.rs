//! Little-endian numbers in bytes, single bits, and the bytes of a file.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

#[cfg(any(feature = "train", feature = "decode"))]
use crate::error::{Error, Result};

/// The whole content of `path`.
///
/// # Errors
/// It cannot be read, or is longer than `max_bytes`. No more than that is read, even of a device without end.
#[cfg(any(feature = "train", feature = "decode"))]
pub(crate) fn read_file(path: &std::path::Path, max_bytes: u64) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|e| Error::io(path, "read", &e))?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::too_long(path.display(), max_bytes));
    }
    Ok(bytes)
}

/// The `N` bytes at `at`; zeros past the end, which no caller asks for: records are cut to their length
/// before.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// Positions of the bits that are set, lowest first.
pub(crate) fn set_bits(mut bits: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let place = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_anywhere_and_are_zero_past_the_end() {
        let bytes = [9, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u32_at(&bytes, 1), 0x0403_0201);
        assert_eq!(u64_at(&bytes, 1), 0x0807_0605_0403_0201);
        assert_eq!((u32_at(&bytes, 6), u64_at(&bytes, 100)), (0, 0));
    }

    #[cfg(feature = "train")]
    #[test]
    fn a_file_longer_than_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.pth");
        std::fs::write(&path, [0; 100]).unwrap();
        assert_eq!(read_file(&path, 100).unwrap().len(), 100);
        let message = read_file(&path, 99).unwrap_err().to_string();
        assert!(message.ends_with("w.pth: found a longer file, expected at most 99 bytes"), "{message}");
    }

    #[test]
    fn set_bits_are_the_places_of_the_bits() {
        for bits in [0, 1, 0x8000_0001, u32::MAX, 0b1010] {
            let places: Vec<u32> = set_bits(bits).collect();
            assert_eq!(places.iter().fold(0, |bits, place| bits | 1u32 << place), bits);
            assert!(places.is_sorted());
        }
    }
}
