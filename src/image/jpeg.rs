//! Whether a JPEG file is whole, which its decoder does not tell: it gives grey for what is missing.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

const START: u8 = 0xd8;
const END: u8 = 0xd9;

/// Whether the first image of the file comes to its end. Markers are followed (ITU-T T.81, annex B): one of a thumbnail, or
/// behind the image, is none of its own.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, behind)) = next_marker(rest) {
        rest = match marker {
            END => return true,
            // Alone: no segment follows. A zero is a byte of a scan, which looks like a marker's first.
            0 | 0x01 | 0xd0..=0xd7 | START => behind,
            _ => match segment(behind) {
                Some(len) => behind.get(len..).unwrap_or_default(),
                None => return false,
            },
        };
    }
    false
}

/// The next marker and what is behind it. Bytes before it, as those of a scan, and those that fill are passed over.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let at = bytes.iter().position(|&byte| byte == 0xff)?;
    let bytes = bytes.get(at..)?;
    let at = bytes.iter().position(|&byte| byte != 0xff)?;
    Some((*bytes.get(at)?, bytes.get(at + 1..)?))
}

/// The length of the segment, which is said in its first two bytes and counts them.
fn segment(bytes: &[u8]) -> Option<usize> {
    let &[high, low, ..] = bytes else { return None };
    Some(usize::from(u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..3 * 40 * 24).map(|i| (i * i / 7) as u8).collect();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        encoder.encode(&pixels, 40, 24, image::ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    #[test]
    fn every_truncation_is_found() {
        let progressive = include_bytes!("../../tests/pictures/progressive.jpg").to_vec();
        for whole in [drawn(), progressive] {
            assert!(whole.ends_with(&[0xff, END]) && is_whole(&whole));
            assert!((0..whole.len()).all(|len| !is_whole(&whole[..len])));
            let followed = [&whole[..], b"more"].concat();
            assert!(is_whole(&followed));
        }
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_images() {
        let (inner, outer) = (drawn(), drawn());
        let len = (inner.len() as u16 + 2).to_be_bytes();
        let whole = [&[0xff, START, 0xff, 0xe1, len[0], len[1]][..], &inner, &outer[2..]].concat();
        assert!(image::load_from_memory(&whole).is_ok() && is_whole(&whole));
        assert!((0..whole.len()).all(|len| !is_whole(&whole[..len])));
    }

    #[test]
    fn bytes_that_fill_are_passed_over() {
        let plain = drawn();
        let at = plain.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let filled = [&plain[..at], &[0xff; 3], &plain[at..]].concat();
        assert!(is_whole(&filled) && !is_whole(&filled[..filled.len() - 2]));
    }
}
