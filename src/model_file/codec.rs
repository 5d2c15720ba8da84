//! Metadata as tagged fields.
//!
//! ```text
//! field    tag u16, flags u16, length u32, then `length` bytes: a small record
//! flags    1: a reader that does not know the tag must refuse the file, since it would score differently
//! ```
//!
//! A reader skips a field that it does not know, unless the flag forbids it, so that a later release can add
//! fields without breaking older programs, and opens older files, which lack them. A tag never changes its
//! meaning or the layout of its record; 0 is no tag.
//!
//! This is the only module that calls `bincode` (fixed-width little-endian integers), so that it can be
//! exchanged. The section's checksum guards the bytes.

use super::sections::Sections;
use crate::bytes::{u16_at, u32_at};
use crate::error::{Error, Result};
use bincode::config::{Configuration, Fixint, Limit, LittleEndian, standard};
use bincode::{Decode, Encode};
use std::collections::HashSet;

/// The most bytes that the metadata of a file may take, and that decoding a record may allocate.
const MAX_BYTES: usize = 1 << 20;
const FIELD_HEADER: usize = 8;
const REQUIRED: u16 = 1;

/// What a field holds. The number stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The number in the file.
    pub number: u16,
    /// The name in errors.
    pub name: &'static str,
    /// Whether a reader that does not know the field must refuse the file.
    pub required: bool,
}

fn config() -> Configuration<LittleEndian, Fixint, Limit<MAX_BYTES>> {
    standard().with_fixed_int_encoding().with_limit::<MAX_BYTES>()
}

/// Collects fields.
#[derive(Default)]
pub struct FieldWriter(Vec<u8>);

impl FieldWriter {
    /// Appends `record` as the field `tag`.
    ///
    /// # Errors
    /// The fields are larger than 1 MiB together.
    pub fn add<T: Encode>(&mut self, tag: Tag, record: &T) -> Result<()> {
        let bytes = bincode::encode_to_vec(record, standard().with_fixed_int_encoding()).map_err(|e| {
            Error::argument(format!("metadata: {}", tag.name), e, "a record that can be encoded")
        })?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if self.0.len().saturating_add(bytes.len()) > MAX_BYTES {
            let found = format!("{} bytes", self.0.len().saturating_add(bytes.len()));
            return Err(Error::limit("metadata", found, format!("at most {MAX_BYTES}")));
        }
        self.0.extend(tag.number.to_le_bytes());
        self.0.extend(if tag.required { REQUIRED } else { 0 }.to_le_bytes());
        self.0.extend(length.to_le_bytes());
        self.0.extend(bytes);
        Ok(())
    }

    /// The bytes of all fields.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// The fields of an opened file.
pub struct Fields<'a> {
    sections: &'a Sections,
    section: &'a str,
    /// Tag numbers, and where their records lie in the section.
    places: Vec<(u16, std::ops::Range<usize>)>,
    bytes: crate::model_file::map::Slice<u8>,
}

impl<'a> Fields<'a> {
    /// The fields in the section `section`, of which `known` are understood.
    ///
    /// # Errors
    /// The section is missing or damaged, a tag occurs twice, or a field that is not known must be.
    pub fn open(sections: &'a Sections, section: &'a str, known: &[Tag]) -> Result<Self> {
        let bytes = sections.get::<u8>(section)?;
        if bytes.len() > MAX_BYTES {
            return Err(sections.error(
                section,
                format!("{} bytes", bytes.len()),
                format!("at most {MAX_BYTES}"),
            ));
        }
        let mut places: Vec<(u16, std::ops::Range<usize>)> = Vec::new();
        let mut seen = HashSet::new();
        let mut at = 0;
        while at < bytes.len() {
            let header = bytes.get(at..).unwrap_or_default();
            let (number, flags) = (u16_at(header, 0), u16_at(header, 2));
            let start = at + FIELD_HEADER;
            let end = start.saturating_add(u32_at(header, 4) as usize);
            if end > bytes.len() {
                let left = bytes.len() - at;
                return Err(sections.error(
                    section,
                    format!("{left} bytes at its end"),
                    format!("{}", end - at),
                ));
            }
            if number == 0 || !seen.insert(number) {
                return Err(sections.error(section, format!("field {number} twice or 0"), "each field once"));
            }
            match known.iter().any(|tag| tag.number == number) {
                true => places.push((number, start..end)),
                false if flags & REQUIRED != 0 => {
                    let found = format!("field {number}, which this release does not know");
                    let expected = "a model whose scores this release can reproduce";
                    return Err(sections
                        .unsupported(section, found, expected)
                        .hint("written by a newer release of patchcore: use that or a later one"));
                }
                false => {}
            }
            at = end;
        }
        Ok(Self { sections, section, places, bytes })
    }

    /// The record of the field `tag`, all of whose bytes it must take; `None` where the file has no such
    /// field.
    ///
    /// # Errors
    /// The field holds something else.
    pub fn find<T: Decode<()>>(&self, tag: Tag) -> Result<Option<T>> {
        let Some((_, range)) = self.places.iter().find(|(number, _)| *number == tag.number) else {
            return Ok(None);
        };
        let bytes = self.bytes.get(range.clone()).unwrap_or_default();
        let wrong = |found: String, expected: String| {
            Err(self.sections.error(self.section, format!("{}: {found}", tag.name), expected))
        };
        match bincode::decode_from_slice(bytes, config()) {
            Ok((record, used)) if used == bytes.len() => Ok(Some(record)),
            Ok((_, used)) => wrong(format!("{} bytes", bytes.len()), used.to_string()),
            Err(e) => wrong(e.to_string(), "a record of this field".into()),
        }
    }

    /// As [`find`](Self::find), of a field that every file has.
    ///
    /// # Errors
    /// The field is missing or holds something else.
    pub fn get<T: Decode<()>>(&self, tag: Tag) -> Result<T> {
        self.find(tag)?.ok_or_else(|| self.sections.error(self.section, format!("no {}", tag.name), "one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::model_file::map::Bytes;
    use crate::model_file::sections::SectionWriter;

    const NAME: Tag = Tag { number: 1, name: "name", required: false };
    const SIZE: Tag = Tag { number: 2, name: "size", required: false };
    const RULE: Tag = Tag { number: 900, name: "rule", required: true };

    fn sections(fields: &[u8]) -> Sections {
        let mut writer = SectionWriter::default();
        writer.add("metadata", fields);
        let mut file = Vec::new();
        writer.write_to(&mut file).unwrap();
        Sections::parse("m.pcore", Bytes::copy_of(&file), true).unwrap()
    }

    fn fields() -> Vec<u8> {
        let mut writer = FieldWriter::default();
        writer.add(NAME, &String::from("resnet18")).unwrap();
        writer.add(SIZE, &(7u64, Some(1.5f32))).unwrap();
        writer.finish()
    }

    #[test]
    fn records_come_back_equal_and_must_fill_their_field() {
        let sections = sections(&fields());
        let fields = Fields::open(&sections, "metadata", &[NAME, SIZE]).unwrap();
        assert_eq!(fields.get::<String>(NAME).unwrap(), "resnet18");
        assert_eq!(fields.get::<(u64, Option<f32>)>(SIZE).unwrap(), (7, Some(1.5)));
        assert!(fields.get::<u64>(SIZE).is_err());
        assert_eq!(fields.find::<u64>(RULE).unwrap(), None);
        assert!(fields.get::<u64>(RULE).unwrap_err().to_string().contains("no rule"));
    }

    #[test]
    fn every_truncation_and_every_repetition_is_an_error() {
        let whole = fields();
        let first = FIELD_HEADER + 16;
        for cut in (1..whole.len()).filter(|&cut| cut != first) {
            assert!(Fields::open(&sections(&whole[..cut]), "metadata", &[NAME, SIZE]).is_err(), "{cut}");
        }
        let twice = [&whole[..], &whole[..first]].concat();
        let message = Fields::open(&sections(&twice), "metadata", &[NAME, SIZE]).err().unwrap().to_string();
        assert!(message.contains("field 1 twice or 0"), "{message}");
    }

    #[test]
    fn unknown_fields_are_skipped_unless_they_change_scores() {
        let mut writer = FieldWriter::default();
        writer.add(SIZE, &3u64).unwrap();
        writer.add(NAME, &String::from("a")).unwrap();
        let file = sections(&writer.finish());
        let known = Fields::open(&file, "metadata", &[NAME]).unwrap();
        assert_eq!(known.get::<String>(NAME).unwrap(), "a");

        let mut writer = FieldWriter::default();
        writer.add(RULE, &3u64).unwrap();
        let file = sections(&writer.finish());
        let error = Fields::open(&file, "metadata", &[NAME]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("field 900"), "{error}");
        assert!(Fields::open(&file, "metadata", &[RULE]).is_ok());
    }

    #[test]
    fn a_length_that_the_bytes_do_not_back_is_refused() {
        let mut writer = FieldWriter::default();
        writer.add(NAME, &u64::MAX).unwrap();
        let file = sections(&writer.finish());
        let fields = Fields::open(&file, "metadata", &[NAME]).unwrap();
        assert!(fields.get::<Vec<u64>>(NAME).is_err());
        assert!(FieldWriter::default().add(NAME, &vec![0u64; MAX_BYTES / 8]).is_err());
    }
}
