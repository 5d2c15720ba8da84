//! Photographs of many encodings with what independent decoders make of them (`pictures/grid.py`).

#![allow(dead_code)] // each test file uses its part

use flate2::read::ZlibDecoder;
use std::io::Read;

/// A file, and the binary PGM or PPM that the other decoder made of it: empty if it failed or warned.
pub struct Record {
    pub name: String,
    pub file: Vec<u8>,
    pub expected: Vec<u8>,
}

/// All records.
pub fn read() -> Vec<Record> {
    let mut stream = Vec::new();
    ZlibDecoder::new(&include_bytes!("../pictures/grid.z")[..]).read_to_end(&mut stream).unwrap();
    let mut rest = &stream[..];
    let mut take = |length: usize| {
        let (bytes, behind) = rest.split_at(length);
        rest = behind;
        bytes.to_vec()
    };
    let mut records = Vec::new();
    let number = |bytes: Vec<u8>| bytes.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
    let total = stream.len();
    let mut read = 0;
    while read < total {
        let name_length = number(take(2));
        let name = String::from_utf8(take(name_length)).unwrap();
        let file_length = number(take(4));
        let file = take(file_length);
        let expected_length = number(take(4));
        let expected = take(expected_length);
        read += 10 + name_length + file_length + expected_length;
        records.push(Record { name, file, expected });
    }
    records
}
