//! Row codes in the layout of `kernels::int8`: blocks of interleaved rows.

use crate::error::Result;
use crate::kernels::int8::{self, BLOCK_ROWS, Blocks};
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};

/// The bias of a row that fills up the last block: no sum reaches a threshold.
const ABSENT: i32 = -(1 << 29);

/// Rows as codes of `dims` bytes, in whole blocks.
#[derive(Clone, Debug)]
pub(super) struct InterleavedRows {
    dims: usize,
    codes: Slice<u8>,
    /// Added to the products of each row.
    bias: Slice<i32>,
}

/// Collects [`InterleavedRows`].
pub(super) struct InterleavedRowsBuilder {
    dims: usize,
    codes: Vec<u8>,
    bias: Vec<i32>,
}

impl InterleavedRows {
    /// Reads `rows` rows, filled up to whole blocks, from a model file; `None` if the sections have other
    /// lengths.
    pub fn open(
        sections: &Sections,
        [codes, bias]: [&str; 2],
        rows: usize,
        dims: usize,
    ) -> Result<Option<Self>> {
        let all = Self { dims, codes: sections.get(codes)?, bias: sections.get(bias)? };
        let fits = all.bias.len() == rows.next_multiple_of(BLOCK_ROWS)
            && Some(all.codes.len()) == all.bias.len().checked_mul(dims);
        Ok(fits.then_some(all))
    }

    pub fn write<'a>(&'a self, [codes, bias]: [&'static str; 2], writer: &mut SectionWriter<'a>) {
        writer.add(codes, &self.codes);
        writer.add(bias, &self.bias);
    }

    pub fn owned_bytes(&self) -> usize {
        self.codes.owned_bytes() + self.bias.owned_bytes()
    }

    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { codes: &self.codes, bias: &self.bias, dims: self.dims }
    }
}

impl InterleavedRowsBuilder {
    /// Room for `rows` rows.
    pub fn new(rows: usize, dims: usize) -> Self {
        let rows = rows.next_multiple_of(BLOCK_ROWS);
        Self { dims, codes: vec![0; rows * dims], bias: vec![ABSENT; rows] }
    }

    pub fn set(&mut self, row: usize, codes: impl Iterator<Item = u8>, bias: i32) {
        let size = BLOCK_ROWS * self.dims;
        let block = &mut self.codes[row / BLOCK_ROWS * size..][..size];
        for (dim, code) in codes.enumerate() {
            block[int8::interleaved(row % BLOCK_ROWS, dim, BLOCK_ROWS)] = code;
        }
        self.bias[row] = bias;
    }

    pub fn finish(self) -> InterleavedRows {
        InterleavedRows { dims: self.dims, codes: self.codes.into(), bias: self.bias.into() }
    }
}
