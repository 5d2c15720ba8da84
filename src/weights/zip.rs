//! Zip archives whose entries are stored as they are, which is how torch writes them.

use crate::bytes::{array_at, u16_at, u32_at, u64_at};
use crate::error::{Error, Result, shortened};
use std::collections::BTreeMap;

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const END_64_LOCATOR: &[u8; 4] = b"PK\x06\x07";
const END_64: &[u8; 4] = b"PK\x06\x06";
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
const END_64_LOCATOR_LEN: usize = 20;
const END_64_LEN: usize = 56;
/// Header id of the extra field that holds what four bytes cannot.
const EXTRA_64: u16 = 1;
/// Stands for "see the 64-bit field".
const SATURATED: u64 = u32::MAX as u64;

/// The entries of an archive, whole and with the right checksum.
pub(super) struct Archive<'a> {
    entries: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Archive<'a> {
    pub(super) fn recognises(bytes: &[u8]) -> bool {
        bytes.starts_with(LOCAL)
    }

    /// Reads the directory of `bytes` and compares every entry's checksum.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut directory = directory(bytes)?;
        let before = directory.before;
        let mut entries = BTreeMap::new();
        // Entries that overlap could make a small file ask for much work.
        let mut room = before.len();
        for _ in 0..directory.count {
            let header = Header::parse(&mut directory.rest)?;
            let content = header.content(before).map_err(|e| e.within(entry(header.name)))?;
            room = room
                .checked_sub(content.len())
                .ok_or_else(|| Error::format("zip directory", "entries that overlap", "none"))?;
            header.verify(content)?;
            if entries.insert(header.name, content).is_some() {
                return Err(Error::format(entry(header.name), "it twice", "each name once"));
            }
        }
        Ok(Self { entries })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.entries.get(name).copied()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.entries.iter().map(|(&name, &content)| (name, content))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }
}

struct Directory<'a> {
    count: u64,
    /// What lies before it: the entries.
    before: &'a [u8],
    rest: &'a [u8],
}

fn directory(bytes: &[u8]) -> Result<Directory<'_>> {
    let parts = bytes.len().checked_sub(END_LEN).and_then(|at| bytes.split_at_checked(at));
    let Some((body, end)) = parts.filter(|(_, end)| end.starts_with(END)) else {
        return Err(Error::format("zip directory", "none at the end", "one").hint("the file is cut short"));
    };
    let end_at = body.len();
    let (mut count, mut len, mut start) =
        (u16_at(end, 10).into(), u32_at(end, 12).into(), u32_at(end, 16).into());
    if count == u64::from(u16::MAX) || len == SATURATED || start == SATURATED {
        let Some(end) = end_64(bytes, end_at) else {
            return Err(Error::format("zip directory", "no 64-bit end record", "one"));
        };
        (count, len, start) = (u64_at(end, 32), u64_at(end, 40), u64_at(end, 48));
    }
    let (Some(before), Some(rest)) = (part(body, 0, start), part(body, start, len)) else {
        return Err(Error::format(
            "zip directory",
            format!("{len} bytes at {start}"),
            format!("a place before {end_at}"),
        ));
    };
    Ok(Directory { count, before, rest })
}

fn end_64(bytes: &[u8], end_at: usize) -> Option<&[u8]> {
    let locator = bytes.get(end_at.checked_sub(END_64_LOCATOR_LEN)?..end_at)?;
    let end = part(bytes, u64_at(locator, 8), END_64_LEN as u64)?;
    (locator.starts_with(END_64_LOCATOR) && end.starts_with(END_64)).then_some(end)
}

/// One entry of the directory.
struct Header<'a> {
    name: &'a str,
    method: u16,
    encrypted: bool,
    checksum: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

impl<'a> Header<'a> {
    /// Takes the next entry off `rest`.
    fn parse(rest: &mut &'a [u8]) -> Result<Self> {
        let cut = || Error::format("zip directory", format!("{} bytes left", rest.len()), "another entry");
        let (fixed, tail) = rest.split_at_checked(CENTRAL_LEN).ok_or_else(cut)?;
        if !fixed.starts_with(CENTRAL) {
            return Err(Error::format(
                "zip directory",
                array_at::<4>(fixed, 0).escape_ascii(),
                "another entry",
            ));
        }
        let length = |at: usize| usize::from(u16_at(fixed, at));
        let (name, tail) = tail.split_at_checked(length(28)).ok_or_else(cut)?;
        let (extra, tail) = tail.split_at_checked(length(30)).ok_or_else(cut)?;
        let (_comment, tail) = tail.split_at_checked(length(32)).ok_or_else(cut)?;
        let name = std::str::from_utf8(name)
            .map_err(|_| Error::format("zip directory", name.escape_ascii(), "a name in UTF-8"))?;
        let mut header = Self {
            name,
            method: u16_at(fixed, 10),
            encrypted: u16_at(fixed, 8) & 1 != 0,
            checksum: u32_at(fixed, 16),
            packed: u32_at(fixed, 20).into(),
            size: u32_at(fixed, 24).into(),
            offset: u32_at(fixed, 42).into(),
        };
        header.widen(extra)?;
        *rest = tail;
        Ok(header)
    }

    /// Replaces saturated fields by those of the 64-bit extra field, which holds them in this order.
    fn widen(&mut self, mut extra: &[u8]) -> Result<()> {
        let mut wide: &[u8] = &[];
        while let Some((fixed, rest)) = extra.split_at_checked(4) {
            let (id, length) = (u16_at(fixed, 0), usize::from(u16_at(fixed, 2)));
            let Some((content, rest)) = rest.split_at_checked(length) else { break };
            if id == EXTRA_64 {
                wide = content;
            }
            extra = rest;
        }
        for field in [&mut self.size, &mut self.packed, &mut self.offset] {
            if *field == SATURATED {
                let Some((value, rest)) = wide.split_first_chunk() else {
                    return Err(Error::format(entry(self.name), "no 64-bit field", "one"));
                };
                (*field, wide) = (u64::from_le_bytes(*value), rest);
            }
        }
        Ok(())
    }

    /// The bytes of the entry; `archive` ends where the directory begins.
    fn content(&self, archive: &'a [u8]) -> Result<&'a [u8]> {
        if self.method != 0 || self.encrypted || self.packed != self.size {
            let how = if self.encrypted {
                "encryption".into()
            } else {
                format!("compression method {}", self.method)
            };
            return Err(Error::format("content", how, "bytes stored as they are")
                .hint("save it anew with torch.save"));
        }
        let outside = || {
            let found = format!("{} bytes at {}", self.size, self.offset);
            Error::format("content", found, format!("a place before {}", archive.len()))
        };
        let local = part(archive, self.offset, LOCAL_LEN as u64).ok_or_else(outside)?;
        let name_len = u64::from(u16_at(local, 26));
        let name_at = self.offset + LOCAL_LEN as u64;
        if !local.starts_with(LOCAL) || part(archive, name_at, name_len) != Some(self.name.as_bytes()) {
            return Err(Error::format("local header", "another", "one of that name"));
        }
        part(archive, name_at + name_len + u64::from(u16_at(local, 28)), self.size).ok_or_else(outside)
    }

    fn verify(&self, content: &[u8]) -> Result<()> {
        let found = crc32fast::hash(content);
        if found == self.checksum {
            return Ok(());
        }
        let expected = format!("{:08x}", self.checksum);
        Err(Error::format(entry(self.name), format!("checksum {found:08x}"), expected)
            .hint("the file is damaged"))
    }
}

/// What an error calls the entry `name`.
fn entry(name: &str) -> String {
    format!("entry \"{}\"", shortened(name))
}

fn part(bytes: &[u8], start: u64, len: u64) -> Option<&[u8]> {
    let end = start.checked_add(len)?;
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::torch_writer::{Entry, zip, zip_64};
    use super::*;

    fn entries() -> [Entry<'static>; 3] {
        [("a/data.pkl", b"first".as_slice()), ("a/empty", b""), ("a/data/0", &[7; 100])].map(Entry::from)
    }

    fn message(bytes: &[u8]) -> String {
        Archive::parse(bytes).err().expect("an error").to_string()
    }

    #[test]
    fn entries_come_back_equal_with_narrow_and_wide_records() {
        for bytes in [zip(&entries()), zip_64(&entries())] {
            let archive = Archive::parse(&bytes).unwrap();
            assert_eq!(archive.names().collect::<Vec<_>>(), ["a/data.pkl", "a/data/0", "a/empty"]);
            for entry in entries() {
                assert_eq!(archive.get(entry.name), Some(entry.content));
            }
            assert_eq!(archive.get("b"), None);
        }
    }

    #[test]
    fn every_truncation_is_an_error_and_no_flipped_bit_a_panic() {
        for bytes in [zip(&entries()), zip_64(&entries())] {
            for cut in 0..bytes.len() {
                assert!(message(&bytes[..cut]).contains("cut short"), "{cut}");
            }
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    // What passes may lack an entry or have another name, but no other content.
                    if let Ok(archive) = Archive::parse(&damaged) {
                        let contents = entries().map(|entry| entry.content);
                        assert!(
                            archive.entries.values().all(|c| contents.contains(c)),
                            "bit {bit} of byte {at}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn compressed_and_encrypted_entries_are_refused() {
        let mut entry = Entry { method: 8, ..Entry::from(("a/data.pkl", b"x".as_slice())) };
        assert_eq!(
            message(&zip(&[entry])),
            "entry \"a/data.pkl\": content: found compression method 8, expected bytes stored as they are \
             (save it anew with torch.save)"
        );
        entry = Entry { flags: 1, method: 0, ..entry };
        assert!(message(&zip(&[entry])).contains("encryption"));
    }

    #[test]
    fn entries_that_overlap_or_repeat_are_refused() {
        let entry = Entry::from(("a", [0u8; 1000].as_slice()));
        let mut bytes = zip(&[entry]);
        let directory = bytes[bytes.len() - END_LEN - CENTRAL_LEN - 1..bytes.len() - END_LEN].to_vec();
        let end = bytes.split_off(bytes.len() - END_LEN);
        bytes.extend(&directory);
        bytes.extend(&end);
        let at = bytes.len() - END_LEN;
        bytes[at + 10..at + 12].copy_from_slice(&2u16.to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&(2 * directory.len() as u32).to_le_bytes());
        assert!(message(&bytes).contains("overlap"), "{}", message(&bytes));
        assert!(message(&zip(&[entry, entry])).contains("twice"));
    }

    #[test]
    fn a_changed_byte_of_an_entry_is_named() {
        let mut bytes = zip(&entries());
        let at = bytes.windows(5).position(|w| w == b"first").unwrap();
        bytes[at] ^= 1;
        assert!(message(&bytes).starts_with("entry \"a/data.pkl\": found checksum"), "{}", message(&bytes));
    }
}
