//! The header of a model file: magic, version, a table of named sections, each aligned and with its checksum.
//!
//! ```text
//! 0   magic        8 bytes "PCORE\r\n\x1a"
//! 8   version      u32
//! 12  sections     u32
//! 16  file length  u64
//! 24  reserved     u32, zero
//! 28  checksum     u32, CRC-32 of the header (with this field zero) and the table
//! 32  table        one entry a section: name 16 bytes zero-padded, offset u64, length u64, CRC-32 u32, zero u32
//! ..  sections     each at a multiple of 64; the gaps are zero
//! ```
//! All numbers are little-endian.

use crate::bytes::{array_at, u32_at, u64_at};
use crate::error::{Error, Result};

#[cfg(target_endian = "big")]
compile_error!("model files are used in place and are little-endian");

pub(super) const MAGIC: &[u8; 8] = b"PCORE\r\n\x1a";
/// The version of the container. Versions before 4 had no tagged metadata and were never released; from 4 on
/// every later release opens every earlier model.
pub(super) const VERSION: u32 = 4;
pub(super) const HEADER: usize = 32;
pub(super) const ENTRY: usize = 40;
pub(super) const NAME: usize = 16;
/// More than any version writes; bounds what a damaged header can ask for.
const MAX_SECTIONS: usize = 64;

/// The length of the model file that begins with `start`, as its header says; 0 where that is of no model
/// file, or of one of another version.
pub(super) fn length_said(start: &[u8]) -> u64 {
    let known = start.len() >= HEADER && array_at(start, 0) == *MAGIC && u32_at(start, 8) == VERSION;
    if known { u64_at(start, 16) } else { 0 }
}

/// The table of `bytes`, whose header and checksum are right.
pub(super) fn table(bytes: &[u8]) -> Result<&[u8]> {
    let bad = |found: String, expected: String| Error::format("header", found, expected);
    let Some(header) = bytes.get(..HEADER) else {
        return Err(bad(format!("{} bytes", bytes.len()), format!("at least {HEADER}"))
            .hint("not a .pcore file, or cut short"));
    };
    let magic: [u8; 8] = array_at(header, 0);
    if magic != *MAGIC {
        let error = bad(format!("magic \"{}\"", magic.escape_ascii()), "a .pcore file".into());
        return Err(match magic.starts_with(b"PK") {
            true => error.hint("if it is a checkpoint, import makes a model of it"),
            false => error,
        });
    }
    let version = u32_at(header, 8);
    if version != VERSION {
        let hint = match version < VERSION {
            true => "written by an older release of patchcore: train again",
            false => "written by a newer release of patchcore, which can open it",
        };
        let (found, expected) = (format!("version {version}"), format!("version {VERSION}"));
        return Err(Error::unsupported("header", found, expected).hint(hint));
    }
    if u64_at(header, 16) != bytes.len() as u64 {
        return Err(bad(
            format!("{} bytes", bytes.len()),
            format!("the {} that it says", u64_at(header, 16)),
        )
        .hint("the file was cut short or appended to"));
    }
    let count = u32_at(header, 12) as usize;
    if count > MAX_SECTIONS {
        return Err(bad(format!("{count} sections"), format!("at most {MAX_SECTIONS}")));
    }
    let Some(table) = bytes.get(HEADER..HEADER + count * ENTRY) else {
        return Err(bad(format!("{} bytes", bytes.len()), format!("room for {count} sections")));
    };
    let found = checksum(header, table);
    if found != u32_at(header, 28) {
        return Err(bad(format!("checksum {found:08x}"), format!("{:08x}", u32_at(header, 28)))
            .hint("the file is damaged"));
    }
    Ok(table)
}

/// The CRC-32 that the header holds of itself, with this field zero, and of the table.
pub(super) fn checksum(header: &[u8], table: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(..28).unwrap_or_default());
    hasher.update(&[0; 4]);
    hasher.update(table);
    hasher.finalize()
}
