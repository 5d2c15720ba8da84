//! Huffman codes and the bits that they are read from.

use super::{Refusal, Result};
use std::sync::OnceLock;

/// Codes up to this length are looked up at once, with the value behind them if it fits too.
const LOOKUP_BITS: u32 = 10;

/// A Huffman table (T.81, annex C).
#[derive(Clone)]
pub(super) struct Table {
    /// By the next bits: see [`Entry`].
    lookup: [Entry; 1 << LOOKUP_BITS],
    /// For each length, one more than its last code, left-aligned in 16 bits.
    ends: [u32; 17],
    /// What to add to a code of each length to get its symbol's place.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// What follows from the next ten bits.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// The value behind the code, if both fit into ten bits.
    value: i16,
    symbol: u8,
    /// Bits of the code, and of the code with its value (four bits each); 0 where they are more than ten.
    lengths: u8,
}

/// A symbol of a coefficient: how many zeros it follows, and its value.
#[derive(Clone, Copy)]
pub(super) struct Coefficient {
    /// Zeros before it (upper half), bits of its value (lower half).
    pub(super) symbol: u8,
    pub(super) value: i32,
}

pub(super) const BAD_CODE: Refusal = Refusal::Borrowed("a damaged JPEG (a code that is in no Huffman table)");
pub(super) const ENDS_EARLY: Refusal = Refusal::Borrowed("a damaged JPEG (its data end early)");

impl Table {
    /// `counts` of codes of 1 to 16 bits, and their symbols.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self> {
        let bad = || Refusal::Borrowed("a damaged JPEG (Huffman table)");
        let mut table = Self {
            lookup: [Entry::default(); 1 << LOOKUP_BITS],
            ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = usize::from(counts[length as usize - 1]);
            table.offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..count {
                let &symbol = symbols.get(place).ok_or_else(bad)?;
                if code >= 1 << length {
                    return Err(bad());
                }
                if length <= LOOKUP_BITS {
                    let first = (code << (LOOKUP_BITS - length)) as usize;
                    let entries = &mut table.lookup[first..first + (1 << (LOOKUP_BITS - length))];
                    for (bits, entry) in (first as u32..).zip(entries) {
                        *entry = Entry::new(length, symbol, bits);
                    }
                }
                code += 1;
                place += 1;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        if place == symbols.len() { Ok(table) } else { Err(bad()) }
    }

    /// Whether each symbol is a size of a difference of DC coefficients.
    pub(super) fn is_for_dc(&self) -> bool {
        self.symbols.iter().all(|&symbol| symbol < 16)
    }
}

impl Entry {
    /// `bits`: the ten bits, which start with the code.
    fn new(code_length: u32, symbol: u8, bits: u32) -> Self {
        let size = u32::from(symbol & 15);
        let length = code_length + size;
        if length > LOOKUP_BITS {
            return Self { value: 0, symbol, lengths: (code_length << 4) as u8 };
        }
        let value = (bits >> (LOOKUP_BITS - length)) & ((1 << size) - 1);
        Self { value: extend(value, size) as i16, symbol, lengths: (code_length << 4 | length) as u8 }
    }

    fn code_length(self) -> u32 {
        u32::from(self.lengths >> 4)
    }

    fn length(self) -> u32 {
        u32::from(self.lengths & 15)
    }
}

/// The signed value of `size` bits (T.81, F.2.2.1).
#[inline]
pub(super) fn extend(bits: u32, size: u32) -> i32 {
    let bits = bits as i32;
    // Values whose first bit is 0 are negative.
    let negative = if size > 0 && bits < 1 << (size - 1) { (-1 << size) + 1 } else { 0 };
    bits + negative
}

/// Bits of a segment of a scan, up to the next marker.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits from the highest down, zeros behind them.
    buffer: u64,
    /// Bits in `buffer`; fewer than 0 once more were taken than there were.
    count: i32,
    /// Whether a marker or the end of the file is next.
    at_end: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, buffer: 0, count: 0, at_end: false }
    }

    /// Checks that all bits that were taken were there.
    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        if self.count < 0 { Err(ENDS_EARLY) } else { Ok(()) }
    }

    /// What is behind the segment: a marker. Fewer than eight bits may be left, which fill up the last byte.
    pub(super) fn finish(mut self) -> Result<&'a [u8]> {
        self.check()?;
        self.refill();
        if self.count >= 8 || !self.at_end {
            return Err("a damaged JPEG (more data than the picture takes)".into());
        }
        Ok(self.rest)
    }

    /// Fills the buffer with at least 32 bits if there are as many.
    #[inline]
    fn refill_if_low(&mut self) {
        if self.count < 32 {
            self.refill();
        }
    }

    #[inline]
    fn refill(&mut self) {
        if self.count < 0 {
            return;
        }
        if let Some(next) = self.rest.first_chunk::<8>() {
            let next = u64::from_be_bytes(*next);
            // A byte of `!next` is 0 where one of `next` is 0xff.
            let has_ff = (!next).wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080 != 0;
            if !has_ff {
                // Bits of the byte that fits in part are set again, to the same, by the next refill.
                self.buffer |= next >> self.count;
                let bytes = (63 - self.count as usize) / 8;
                self.rest = &self.rest[bytes..];
                self.count += 8 * bytes as i32;
                return;
            }
        }
        self.refill_bytewise();
    }

    #[cold]
    fn refill_bytewise(&mut self) {
        while self.count <= 56 && !self.at_end {
            let byte = match *self.rest {
                [0xff, 0, ref rest @ ..] => {
                    self.rest = rest;
                    0xff
                }
                // Bytes that fill, before a zero or a marker.
                [0xff, 0xff, ref rest @ ..] if !rest.is_empty() => {
                    self.rest = &self.rest[1..];
                    continue;
                }
                [] | [0xff, ..] => {
                    self.at_end = true;
                    return;
                }
                [byte, ref rest @ ..] => {
                    self.rest = rest;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline]
    fn consume(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count as i32;
    }

    /// The next `count` bits, at most 16.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        self.refill_if_low();
        let bits = (self.buffer >> 32) as u32;
        self.consume(count);
        if count == 0 { 0 } else { bits >> (32 - count) }
    }

    /// The next symbol.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8> {
        self.refill_if_low();
        let entry = table.lookup[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        if entry.code_length() == 0 {
            return self.long_symbol(table);
        }
        self.consume(entry.code_length());
        Ok(entry.symbol)
    }

    /// The next symbol with the value whose size its lower half is.
    #[inline(always)]
    pub(super) fn coefficient(&mut self, table: &Table) -> Result<Coefficient> {
        self.refill_if_low();
        let entry = table.lookup[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        if entry.length() > 0 {
            self.consume(entry.length());
            return Ok(Coefficient { symbol: entry.symbol, value: entry.value.into() });
        }
        let symbol = if entry.code_length() > 0 {
            self.consume(entry.code_length());
            entry.symbol
        } else {
            self.long_symbol(table)?
        };
        // A code and its value are at most 31 bits, which were there.
        let size = u32::from(symbol & 15);
        let bits = (self.buffer >> 1 >> (63 - size)) as u32;
        self.consume(size);
        Ok(Coefficient { symbol, value: extend(bits, size) })
    }

    #[cold]
    fn long_symbol(&mut self, table: &Table) -> Result<u8> {
        let next = (self.buffer >> 48) as u32;
        for length in LOOKUP_BITS + 1..=16 {
            if next < table.ends[length as usize] {
                let place = (next >> (16 - length)) as i32 + table.offsets[length as usize];
                self.consume(length);
                return table.symbols.get(place as usize).copied().ok_or(BAD_CODE);
            }
        }
        // Zeros behind the end may be in no table either.
        Err(if self.count < 16 { ENDS_EARLY } else { BAD_CODE })
    }
}

/// Tables for frames of Motion JPEG, which leave them out (T.81, annex K.3): for luminance and chrominance.
pub(super) struct StandardTables {
    pub(super) dc: [Table; 2],
    pub(super) ac: [Table; 2],
}

impl StandardTables {
    pub(super) fn get() -> Option<&'static Self> {
        static TABLES: OnceLock<Option<StandardTables>> = OnceLock::new();
        let make = || -> Result<StandardTables> {
            let sizes: [u8; 12] = std::array::from_fn(|i| i as u8);
            Ok(StandardTables {
                dc: [
                    Table::new(&[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &sizes)?,
                    Table::new(&[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &sizes)?,
                ],
                ac: [
                    Table::new(&[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d], &LUMINANCE_AC)?,
                    Table::new(&[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &CHROMINANCE_AC)?,
                ],
            })
        };
        TABLES.get_or_init(|| make().ok()).as_ref()
    }
}

/// T.81, table K.5.
#[rustfmt::skip]
const LUMINANCE_AC: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

/// T.81, table K.6.
#[rustfmt::skip]
const CHROMINANCE_AC: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];
