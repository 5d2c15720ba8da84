//! The values of a memory bank in either precision, and their sections of a model file.

use super::Precision;
use crate::error::Result;
use crate::half;
use crate::kernels::{Isa, distance};
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};
use crate::tensor;
use std::borrow::Cow;
use std::ops::Range;

const SINGLE: &str = "bank";
const HALF: &str = "bank.half";
const ROUNDING: &str = "bank.rounding";

/// The values of all rows, row by row.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Single(Slice<f32>),
    Half {
        values: Slice<u16>,
        /// The largest distance between a row and its rounded row: a single number.
        rounding: Slice<f32>,
    },
}

impl Values {
    /// Opens the values of a model file, in place, without validating them.
    pub fn open(sections: &Sections) -> Result<Self> {
        let Some(values) = sections.find::<u16>(HALF)? else {
            return Ok(Self::Single(sections.get(SINGLE)?));
        };
        let rounding: Slice<f32> = sections.get(ROUNDING)?;
        let &[largest] = &*rounding else {
            return Err(sections.error(ROUNDING, format!("{} values", rounding.len()), "one"));
        };
        if !(0.0..f32::INFINITY).contains(&largest) {
            return Err(sections.error(ROUNDING, largest, "a finite number, at least 0"));
        }
        Ok(Self::Half { values, rounding })
    }

    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        match self {
            Self::Single(values) => writer.add(SINGLE, values),
            Self::Half { values, rounding } => {
                writer.add(HALF, values);
                writer.add(ROUNDING, rounding);
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Half { values, .. } => values.len(),
        }
    }

    pub fn precision(&self) -> Precision {
        match self {
            Self::Single(_) => Precision::Single,
            Self::Half { .. } => Precision::Half,
        }
    }

    /// The largest distance between a row and its rounded row; 0 in single precision.
    pub fn rounding(&self) -> f32 {
        match self {
            Self::Single(_) => 0.0,
            Self::Half { rounding, .. } => rounding[0],
        }
    }

    /// The index and value of the first NaN or infinity.
    pub fn find_not_finite(&self) -> Option<(usize, f32)> {
        match self {
            Self::Single(values) => tensor::not_finite(values),
            Self::Half { values, .. } => half::not_finite(values).map(|at| (at, half::to_f32(values[at]))),
        }
    }

    /// All values in single precision.
    pub fn widen(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Single(values) => Cow::Borrowed(values),
            Self::Half { values, .. } => Cow::Owned(values.iter().map(|&half| half::to_f32(half)).collect()),
        }
    }

    /// The values of `range` in single precision; `buffer` holds them if they are stored in half precision.
    pub fn widen_range<'a>(&'a self, range: Range<usize>, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Self::Single(values) => &values[range],
            Self::Half { values, .. } => {
                buffer.clear();
                buffer.extend(values[range].iter().map(|&half| half::to_f32(half)));
                buffer
            }
        }
    }

    /// The squared distance from `query` to the values of `range`.
    pub fn squared(&self, isa: Isa, query: &[f32], range: Range<usize>) -> f32 {
        match self {
            Self::Single(values) => distance::squared(isa, query, &values[range]),
            Self::Half { values, .. } => distance::squared_to_half(isa, query, &values[range]),
        }
    }

    /// Fetches the values of `range` into the cache.
    pub fn prefetch(&self, range: Range<usize>) {
        match self {
            Self::Single(values) => distance::prefetch(&values[range]),
            Self::Half { values, .. } => distance::prefetch(&values[range]),
        }
    }

    /// Bytes that the values take, including their model file if it is in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Single(values) => values.owned_bytes() + values.file_bytes(),
            Self::Half { values, .. } => values.owned_bytes() + values.file_bytes(),
        }
    }
}
