//! Little-endian numbers in bytes, and single bits.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

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

    #[test]
    fn set_bits_are_the_places_of_the_bits() {
        for bits in [0, 1, 0x8000_0001, u32::MAX, 0b1010] {
            let places: Vec<u32> = set_bits(bits).collect();
            assert_eq!(places.iter().fold(0, |bits, place| bits | 1u32 << place), bits);
            assert!(places.is_sorted());
        }
    }
}
