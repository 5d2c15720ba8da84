//! What the chunks of a PNG file say besides the pixels. They may stand behind the pixels, where the decoder
//! stops.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::orientation::Tag;
use std::io::Read;

/// Most bytes of a text that is unpacked.
const MAX_TEXT: u64 = 1 << 20;
/// Most texts that are unpacked.
const MAX_TEXTS: usize = 8;

pub(super) struct Metadata {
    exif: Option<Tag>,
    /// EXIF as a text of hexadecimal digits, as ImageMagick writes it.
    raw_profile: Option<Tag>,
    xmp: Option<Tag>,
    texts: usize,
    /// Frames of an animation, or 1.
    pub(super) pages: usize,
}

impl Metadata {
    /// Reads all chunks up to the end, or to the first that is cut off.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut metadata = Self { exif: None, raw_profile: None, xmp: None, texts: 0, pages: 1 };
        let mut rest = bytes.get(8..).unwrap_or_default();
        while let Some(([l0, l1, l2, l3, kind @ ..], behind)) = rest.split_first_chunk::<8>() {
            let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
            let Some((content, behind)) = behind.split_at_checked(length) else { break };
            metadata.take_chunk(kind, content);
            rest = behind.get(4..).unwrap_or_default();
        }
        metadata
    }

    /// EXIF before XMP, as other programs have it.
    pub(super) fn orientation(&self) -> Tag {
        self.exif.or(self.raw_profile).or(self.xmp).unwrap_or(Tag::UPRIGHT)
    }

    fn take_chunk(&mut self, kind: &[u8], content: &[u8]) {
        match (kind, content) {
            (b"eXIf", _) => self.exif = self.exif.or_else(|| Tag::of_exif(content)),
            (b"acTL", &[f0, f1, f2, f3, ..]) => {
                self.pages = (u32::from_be_bytes([f0, f1, f2, f3]) as usize).max(1);
            }
            (b"tEXt" | b"zTXt" | b"iTXt", _) if self.texts < MAX_TEXTS => self.take_text(kind, content),
            _ => {}
        }
    }

    fn take_text(&mut self, kind: &[u8], content: &[u8]) {
        let Some((key, rest)) = split_at_zero(content) else { return };
        let is_xmp = key == b"XML:com.adobe.xmp";
        if !is_xmp && key != b"Raw profile type exif" && key != b"Raw profile type APP1" {
            return;
        }
        self.texts += 1;
        let text = match kind {
            b"tEXt" => Some(rest.to_vec()),
            b"zTXt" => rest.get(1..).and_then(inflate),
            _ => international_text(rest),
        };
        let Some(text) = text else { return };
        if is_xmp {
            self.xmp = self.xmp.or_else(|| Tag::of_xmp(&text));
        } else {
            let tag = hexadecimal(&text).and_then(|exif| Tag::of_exif(&exif));
            self.raw_profile = self.raw_profile.or(tag);
        }
    }
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == 0)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    flate2::bufread::ZlibDecoder::new(bytes).take(MAX_TEXT).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The text of an iTXt chunk, whose keyword is followed by: compressed, method, language, 0, translation, 0,
/// text.
fn international_text(content: &[u8]) -> Option<Vec<u8>> {
    let ([compressed, _method], rest) = content.split_first_chunk::<2>()?;
    let (_language, rest) = split_at_zero(rest)?;
    let (_translation, text) = split_at_zero(rest)?;
    if *compressed == 1 { inflate(text) } else { Some(text.to_vec()) }
}

/// The bytes of a raw profile: a name, a length and hexadecimal digits, a line each or more.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    words.next()?;
    let length: usize = words.next()?.parse().ok()?;
    let digits: Vec<u32> = words.flat_map(str::chars).map_while(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32; 2]| u8::try_from(pair[0] << 4 | pair[1]).ok();
    digits.as_chunks().0.iter().take(length).map(byte).collect()
}
