//! Which kind of file a photograph is in, by its first bytes: names and endings are often wrong.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

/// The kinds of files that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG, also with the endings .jpe, .jfif and .mpo.
    Jpeg,
    /// Windows bitmap, also with the ending .dib.
    Bmp,
    /// TIFF and BigTIFF.
    Tiff,
    /// WebP.
    WebP,
    /// Netpbm's formats: PBM, PGM, PPM and PAM.
    Pnm,
}

/// What is expected of a photograph, for errors.
#[cfg(feature = "decode")]
pub(super) const EXPECTED: &str = "a PNG, JPEG, BMP, TIFF, WebP or PNM photograph";

impl FileFormat {
    /// As many bytes of a file as [`of`](Self::of) looks at.
    pub const HEAD_BYTES: usize = 18;

    /// The kind of a file that begins with `bytes`, or nothing if it cannot be decoded.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Png,
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            // With the length of one of its headers: text may begin like that.
            [
                b'B',
                b'M',
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                12 | 40 | 52 | 56 | 64 | 108 | 124,
                0,
                0,
                0,
                ..,
            ] => Self::Bmp,
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Self::Tiff,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::WebP,
            [b'P', b'1'..=b'6', b' ' | b'\t' | b'\r' | b'\n', b'0'..=b'9' | b'#' | b'\r' | b'\n', ..] => {
                Self::Pnm
            }
            [b'P', b'7', b'\n', b'A'..=b'Z' | b'#', ..] => Self::Pnm,
            _ => return None,
        })
    }
}

/// A name for what is no photograph that can be decoded.
#[cfg(feature = "decode")]
pub(super) fn name_of_other(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [b'G', b'I', b'F', b'8', ..] => "a GIF picture",
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => "an AVIF picture",
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e' | b'v', ..] => "a HEIC picture",
        [_, _, _, _, b'f', b't', b'y', b'p', b'm', b'i' | b's', b'f', b'1', ..] => "a HEIF picture",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "a video",
        [0, 0, 0, 12, b'j', b'P', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => "a JPEG 2000 picture",
        [0, 0, 0, 12, b'J', b'X', b'L', ..] | [0xff, 0x0a, ..] => "a JPEG XL picture",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop document",
        [0x76, 0x2f, 0x31, 0x01, ..] => "an OpenEXR picture",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        _ if bytes.iter().all(|&byte| byte == 0) => "a file of zeros",
        _ => "another kind of file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        for (bytes, format) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], Some(FileFormat::Png)),
            (b"\xff\xd8\xff\xdb", Some(FileFormat::Jpeg)),
            (b"II+\0\x08\0\0\0", Some(FileFormat::Tiff)),
            (b"MM\0*\0\0\0\x08", Some(FileFormat::Tiff)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(FileFormat::WebP)),
            (b"RIFF\0\0\0\0AVI LIST", None),
            (b"P6\n2 2\n", Some(FileFormat::Pnm)),
            (b"P7\nWIDTH 2", Some(FileFormat::Pnm)),
            (b"P6x", None),
            (b"P1 of 3", None),
            (b"BM\x36\0\x03\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Some(FileFormat::Bmp)),
            (b"BMW", None),
            (b"", None),
        ] {
            assert_eq!(FileFormat::of(bytes), format, "{bytes:?}");
            assert!(bytes.len() <= FileFormat::HEAD_BYTES);
        }
    }

    #[test]
    #[cfg(feature = "decode")]
    fn other_kinds_are_named() {
        assert_eq!(name_of_other(b"\0\0\0\x18ftypheic"), "a HEIC picture");
        assert_eq!(name_of_other(b"GIF89a"), "a GIF picture");
        assert_eq!(name_of_other(b"hello"), "another kind of file");
    }
}
