//! The sections of a model file: what is between the table in its header and its end.

use super::header::{ENTRY, HEADER, MAGIC, NAME, VERSION, checksum, table};
use super::map::{ALIGNMENT, Bytes, Plain, Slice, as_bytes};
use crate::bytes::{array_at, u32_at, u64_at};
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// The sections of an opened model file.
pub struct Sections {
    source: String,
    bytes: Arc<Bytes>,
    table: Vec<(String, Range<usize>)>,
}

impl Sections {
    /// Reads the header and table of `bytes`; `source` names them in errors. With `verify` every section's
    /// checksum is compared, which reads the whole file once.
    pub fn parse(source: &str, bytes: Bytes, verify: bool) -> Result<Self> {
        parse(&bytes, verify)
            .map(|table| Self { source: source.into(), bytes: Arc::new(bytes), table })
            .map_err(|e| e.within(source))
    }

    /// Refuses what is no model file, by its header and table alone.
    pub(crate) fn check(source: &str, bytes: &[u8]) -> Result<()> {
        table(bytes).map(drop).map_err(|e| e.within(source))
    }

    /// The section `name`, in place.
    ///
    /// # Errors
    /// It is missing, or its length is not a whole number of values.
    pub fn get<T: Plain>(&self, name: &str) -> Result<Slice<T>> {
        self.find(name)?.ok_or_else(|| self.error(name, "no such section", "one"))
    }

    /// The section `name`, in place, or `None` where the file has none.
    ///
    /// # Errors
    /// Its length is not a whole number of values.
    pub fn find<T: Plain>(&self, name: &str) -> Result<Option<Slice<T>>> {
        let Some((_, range)) = self.table.iter().find(|(n, _)| n == name) else { return Ok(None) };
        match Slice::inside(&self.bytes, range.clone()) {
            Some(slice) => Ok(Some(slice)),
            None => Err(self.error(
                name,
                format!("{} bytes", range.len()),
                format!("a multiple of {}", size_of::<T>()),
            )),
        }
    }

    /// An error about the content of section `name`.
    pub fn error(
        &self,
        name: &str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Error {
        Error::format(format!("{}: section {name}", self.source), found, expected)
    }

    /// As [`error`](Self::error), about content that is whole but that this build cannot use.
    pub fn unsupported(
        &self,
        name: &str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Error {
        Error::unsupported(format!("{}: section {name}", self.source), found, expected)
    }

    /// Name and length in bytes of each section, in file order.
    pub fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        self.table.iter().map(|(name, range)| (name.as_str(), range.len()))
    }

    /// Length of the whole file in bytes.
    pub fn file_len(&self) -> usize {
        self.bytes.len()
    }
}

fn parse(bytes: &[u8], verify: bool) -> Result<Vec<(String, Range<usize>)>> {
    let table = table(bytes)?;
    let mut end = HEADER + table.len();
    let mut sections = Vec::with_capacity(table.len() / ENTRY);
    for entry in table.chunks_exact(ENTRY) {
        let (name, range) = parse_entry(entry, end, bytes)?;
        if verify {
            let (gap, content) = (bytes.get(end..range.start), bytes.get(range.clone()));
            let (gap, content) = (gap.unwrap_or_default(), content.unwrap_or_default());
            verify_section(&name, gap, content, u32_at(entry, NAME + 16))?;
        }
        end = range.end;
        sections.push((name, range));
    }
    if end != bytes.len() {
        let found = format!("{} bytes after the last section", bytes.len() - end);
        return Err(Error::format("header", found, "none"));
    }
    Ok(sections)
}

/// Sections follow one another in file order, so that none overlaps and nothing lies between them unseen.
fn parse_entry(entry: &[u8], previous_end: usize, bytes: &[u8]) -> Result<(String, Range<usize>)> {
    let name = array_at::<NAME>(entry, 0);
    let name = name.split(|&b| b == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let (offset, len) = (u64_at(entry, NAME), u64_at(entry, NAME + 8));
    let start = previous_end.next_multiple_of(ALIGNMENT);
    let end = offset.checked_add(len).and_then(|end| usize::try_from(end).ok());
    match end {
        Some(end) if offset == start as u64 && end <= bytes.len() => Ok((name, start..end)),
        _ => Err(Error::format(
            format!("section {name}"),
            format!("{len} bytes at {offset}"),
            format!("a place from {start} to {}", bytes.len()),
        )),
    }
}

fn verify_section(name: &str, gap: &[u8], content: &[u8], expected: u32) -> Result<()> {
    let found = crc32fast::hash(content);
    if found != expected {
        let subject = format!("section {name}");
        return Err(Error::format(subject, format!("checksum {found:08x}"), format!("{expected:08x}"))
            .hint("the file is damaged"));
    }
    if gap.iter().any(|&b| b != 0) {
        return Err(Error::format(
            format!("the gap before section {name}"),
            "bytes that are not zero",
            "zeros",
        )
        .hint("the file is damaged"));
    }
    Ok(())
}

/// Collects sections and writes them in the order they were added.
#[derive(Default)]
pub struct SectionWriter<'a> {
    sections: Vec<(&'a str, &'a [u8])>,
}

impl<'a> SectionWriter<'a> {
    /// Adds `values` as the section `name` (at most 16 ASCII bytes, each name once).
    pub fn add<T: Plain>(&mut self, name: &'a str, values: &'a [T]) {
        debug_assert!(name.len() <= NAME && self.sections.iter().all(|(n, _)| *n != name));
        self.sections.push((name, as_bytes(values)));
    }

    /// Writes the whole file to `out`.
    pub fn write_to(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        let mut end = HEADER + self.sections.len() * ENTRY;
        let mut table = Vec::new();
        let mut starts = Vec::new();
        for (name, content) in &self.sections {
            let start = end.next_multiple_of(ALIGNMENT);
            let padding = std::iter::repeat_n(0, NAME.saturating_sub(name.len()));
            table.extend(name.bytes().take(NAME).chain(padding));
            table.extend((start as u64).to_le_bytes());
            table.extend((content.len() as u64).to_le_bytes());
            table.extend(crc32fast::hash(content).to_le_bytes());
            table.extend([0; 4]);
            starts.push(start);
            end = start + content.len();
        }
        let mut header = Vec::from(MAGIC);
        header.extend(VERSION.to_le_bytes());
        let count = u32::try_from(self.sections.len()).map_err(std::io::Error::other)?;
        header.extend(count.to_le_bytes());
        header.extend((end as u64).to_le_bytes());
        header.extend([0; 4]);
        let checksum = checksum(&header, &table);
        header.extend(checksum.to_le_bytes());
        out.write_all(&header)?;
        out.write_all(&table)?;
        let mut written = header.len() + table.len();
        for ((_, content), start) in self.sections.iter().zip(starts) {
            out.write_all([0; ALIGNMENT].get(..start - written).unwrap_or_default())?;
            out.write_all(content)?;
            written = start + content.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = SectionWriter::default();
        writer.add("meta", &[1u8, 2, 3]);
        writer.add("empty", &[0u32; 0]);
        writer.add("bank", &[1.5f32, -2.0]);
        let mut file = Vec::new();
        writer.write_to(&mut file).unwrap();
        file
    }

    fn open(file: &[u8], verify: bool) -> Result<Sections> {
        Sections::parse("model.pcore", Bytes::copy_of(file), verify)
    }

    #[test]
    fn sections_come_back_aligned_and_equal() {
        let sections = open(&sample(), true).unwrap();
        assert_eq!(&*sections.get::<u8>("meta").unwrap(), &[1, 2, 3]);
        assert_eq!(&*sections.get::<u32>("empty").unwrap(), &[0u32; 0]);
        let bank = sections.get::<f32>("bank").unwrap();
        assert_eq!(&*bank, &[1.5, -2.0]);
        assert_eq!(bank.as_ptr().addr() % ALIGNMENT, 0);
        assert!(sections.find::<u8>("none").unwrap().is_none());
        let message = sections.get::<f32>("meta").unwrap_err().to_string();
        assert_eq!(message, "model.pcore: section meta: found 3 bytes, expected a multiple of 4");
    }

    #[test]
    fn a_name_does_not_steer_the_terminal() {
        let mut writer = SectionWriter::default();
        writer.add("a\n\u{1b}[2J", &[1u8, 2, 3]);
        let mut file = Vec::new();
        writer.write_to(&mut file).unwrap();
        let message = open(&file, true).unwrap().get::<f32>("a\n\u{1b}[2J").unwrap_err().to_string();
        assert_eq!(message, r"model.pcore: section a\n\u{1b}[2J: found 3 bytes, expected a multiple of 4");
    }

    #[test]
    fn files_of_other_versions_are_refused_by_name() {
        let (older, newer) = ("an older release of patchcore: train again", "a newer release");
        for (version, hint) in [(1, older), (VERSION - 1, older), (VERSION + 1, newer)] {
            let mut file = sample();
            file[8..12].copy_from_slice(&version.to_le_bytes());
            let message = open(&file, true).err().unwrap().to_string();
            let expected =
                format!("model.pcore: header: found version {version}, expected version {VERSION}");
            assert!(message.starts_with(&expected) && message.contains(hint), "{message}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_an_error() {
        let file = sample();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(open(&damaged, true).is_err(), "bit {bit} of byte {at}");
                let _ = open(&damaged, false);
            }
            assert!(open(&file[..at], true).is_err(), "cut to {at} bytes");
        }
    }
}
