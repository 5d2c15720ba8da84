//! How a photograph is to be turned, and turning it.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::tiff::Tiff;

/// The tag of EXIF and TIFF.
const TAG: u16 = 274;

/// What a file says of the orientation, as EXIF counts: 1 (as stored) to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

impl Tag {
    pub(super) const UPRIGHT: Self = Self(1);

    pub(super) fn new(value: u64) -> Option<Self> {
        u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).map(Self)
    }

    /// That of a block of EXIF, which is a TIFF file without pixels.
    pub(super) fn of_exif(exif: &[u8]) -> Option<Self> {
        let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        let directory = Tiff::new(exif).ok()?.first_directory().ok()?;
        directory.number(TAG).ok().flatten().and_then(Self::new)
    }

    /// That of a packet of XMP: `tiff:Orientation="6"` or `<tiff:Orientation>6<`.
    pub(super) fn of_xmp(xmp: &[u8]) -> Option<Self> {
        const NAME: &[u8] = b"tiff:Orientation";
        let at = xmp.windows(NAME.len()).position(|window| window == NAME)?;
        let text = xmp.get(at + NAME.len()..)?;
        let value = text.iter().find(|&&byte| !matches!(byte, b'=' | b'"' | b'\'' | b'>' | b' ' | b'\n'))?;
        Self::new(u64::from(value.checked_sub(b'0')?))
    }

    pub(super) fn value(self) -> u8 {
        self.0
    }

    /// Whether width and height change places.
    pub(super) fn swaps_sides(self) -> bool {
        self.0 > 4
    }

    /// Turns `width` x `height` pixels of `N` bytes.
    fn turn_pixels<const N: usize>(self, pixels: &[[u8; N]], width: usize, height: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(pixels.len() * N);
        let (out_width, out_height) = if self.swaps_sides() { (height, width) } else { (width, height) };
        for y in 0..out_height {
            for x in 0..out_width {
                let (from_x, from_y) = match self.0 {
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (y, height - 1 - x),
                    7 => (width - 1 - y, height - 1 - x),
                    8 => (width - 1 - y, x),
                    _ => (x, y),
                };
                out.extend_from_slice(pixels.get(from_y * width + from_x).unwrap_or(&[0; N]));
            }
        }
        out
    }

    /// Turns `width` x `height` pixels of `bytes` bytes each.
    pub(super) fn turn(self, data: Vec<u8>, width: usize, height: usize, bytes: usize) -> Vec<u8> {
        if self == Self::UPRIGHT {
            return data;
        }
        match bytes {
            1 => self.turn_pixels::<1>(data.as_chunks().0, width, height),
            2 => self.turn_pixels::<2>(data.as_chunks().0, width, height),
            3 => self.turn_pixels::<3>(data.as_chunks().0, width, height),
            _ => self.turn_pixels::<6>(data.as_chunks().0, width, height),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_states_it_as_attribute_or_element() {
        for (xmp, tag) in [
            (&b"<rdf:Description tiff:Orientation=\"6\"/>"[..], Some(6)),
            (b"<tiff:Orientation>8</tiff:Orientation>", Some(8)),
            (b"<tiff:Orientation>9</tiff:Orientation>", None),
            (b"tiff:Orientation", None),
            (b"<x/>", None),
        ] {
            assert_eq!(Tag::of_xmp(xmp).map(Tag::value), tag);
        }
    }

    #[test]
    fn exif_is_read_in_both_byte_orders() {
        let little = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        assert_eq!(Tag::of_exif(little).map(Tag::value), Some(6));
        assert_eq!(Tag::of_exif(big).map(Tag::value), Some(6));
        assert_eq!(Tag::of_exif(&big[..20]), None);
    }

    #[test]
    fn turning_twice_by_the_inverse_gives_the_picture_back() {
        let data: Vec<u8> = (0..3 * 4 * 2).collect();
        for (tag, inverse) in [(2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)] {
            let tag = Tag(tag);
            let turned = tag.turn(data.clone(), 4, 3, 2);
            let (width, height) = if tag.swaps_sides() { (3, 4) } else { (4, 3) };
            assert_ne!(turned, data);
            assert_eq!(Tag(inverse).turn(turned, width, height, 2), data);
        }
    }
}
