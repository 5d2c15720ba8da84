//! Directories of TIFF and BigTIFF files: the tags of a page.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::{Refusal, Result};

const CUT_OFF: Refusal = Refusal::Borrowed("a damaged TIFF (it refers to what is beyond its end)");

/// The bytes of a file, and how they are written.
#[derive(Clone, Copy)]
pub(in crate::image) struct Tiff<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) big_endian: bool,
    /// Whether offsets have 64 bits (BigTIFF).
    wide: bool,
    first: u64,
}

/// The tags of one page.
pub(in crate::image) struct Directory<'a> {
    tiff: Tiff<'a>,
    entries: Vec<Entry<'a>>,
    /// Where the next page's directory is; 0 if there is none.
    pub(super) next: u64,
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    count: u64,
    /// The values, or where they are.
    field: &'a [u8],
}

impl<'a> Tiff<'a> {
    pub(in crate::image) fn new(bytes: &'a [u8]) -> Result<Self> {
        let big_endian = bytes.starts_with(b"MM");
        let mut tiff = Self { bytes, big_endian, wide: false, first: 0 };
        tiff.wide = tiff.number(2, 2)? == 43;
        tiff.first = if tiff.wide { tiff.number(8, 8)? } else { tiff.number(4, 4)? };
        Ok(tiff)
    }

    /// The directory of the file's first page.
    pub(in crate::image) fn first_directory(&self) -> Result<Directory<'a>> {
        self.directory(self.first)
    }

    /// The directory at `offset`.
    pub(super) fn directory(&self, offset: u64) -> Result<Directory<'a>> {
        let (head, entry, field) = if self.wide { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(offset, head)?;
        let table = self.slice(offset.saturating_add(head), count.checked_mul(entry).ok_or(CUT_OFF)?)?;
        let parse = |bytes: &'a [u8]| {
            let number =
                |at: usize, len: usize| bytes.get(at..at + len).map(|bytes| self.parse(bytes)).ok_or(CUT_OFF);
            let short = |at| number(at, 2).and_then(|n| u16::try_from(n).map_err(|_| CUT_OFF));
            let count_len = if self.wide { 8 } else { 4 };
            let (count, field) = (number(4, count_len)?, bytes.get(4 + count_len..).ok_or(CUT_OFF)?);
            Ok(Entry { tag: short(0)?, kind: short(2)?, count, field })
        };
        let entry_len = if self.wide { 20 } else { 12 };
        let entries = table.chunks_exact(entry_len).map(parse).collect::<Result<_>>()?;
        let end = offset.saturating_add(head).saturating_add(count.saturating_mul(entry));
        // Some writers end the file here.
        let next = self.number(end, field).unwrap_or(0);
        Ok(Directory { tiff: *self, entries, next })
    }

    /// The bytes at `offset`.
    pub(super) fn slice(&self, offset: u64, len: u64) -> Result<&'a [u8]> {
        let range = usize::try_from(offset).ok().zip(usize::try_from(len).ok());
        range.and_then(|(start, len)| self.bytes.get(start..start.checked_add(len)?)).ok_or(CUT_OFF)
    }

    fn number(&self, offset: u64, len: u64) -> Result<u64> {
        Ok(self.parse(self.slice(offset, len)?))
    }

    fn parse(&self, bytes: &[u8]) -> u64 {
        let join = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }
}

impl<'a> Directory<'a> {
    /// Bytes that the directory takes in the file.
    pub(super) fn bytes_in_file(&self) -> usize {
        if self.tiff.wide { 16 + 20 * self.entries.len() } else { 6 + 12 * self.entries.len() }
    }

    /// The bytes of a tag's values, and the length of each.
    fn content(&self, tag: u16) -> Result<Option<(&'a [u8], usize)>> {
        let Some(entry) = self.entries.iter().find(|entry| entry.tag == tag) else { return Ok(None) };
        let len: u16 = match entry.kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            kind => return Err(format!("a TIFF whose tag {tag} is of the unknown type {kind}").into()),
        };
        let total = entry.count.checked_mul(len.into()).ok_or(CUT_OFF)?;
        let content = match usize::try_from(total).ok().and_then(|total| entry.field.get(..total)) {
            Some(inline) => inline,
            None => self.tiff.slice(self.tiff.parse(entry.field), total)?,
        };
        Ok(Some((content, len.into())))
    }

    /// The unsigned numbers of a tag.
    pub(super) fn numbers(&self, tag: u16) -> Result<Option<Vec<u64>>> {
        let content = self.content(tag)?;
        Ok(content.map(|(bytes, len)| bytes.chunks_exact(len).map(|bytes| self.tiff.parse(bytes)).collect()))
    }

    /// The first number of a tag.
    pub(in crate::image) fn number(&self, tag: u16) -> Result<Option<u64>> {
        let content = self.content(tag)?;
        Ok(content.and_then(|(bytes, len)| bytes.get(..len)).map(|bytes| self.tiff.parse(bytes)))
    }

    /// The bytes of a tag.
    pub(super) fn bytes(&self, tag: u16) -> Result<Option<&'a [u8]>> {
        Ok(self.content(tag)?.map(|(bytes, _)| bytes))
    }
}
