//! The rows of a memory bank, of single or half precision.

use crate::error::{Error, Result};
use crate::kernels::{Isa, distance};
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};
use crate::{half, tensor};
use std::borrow::Cow;

const SINGLE: &str = "bank";
const HALF: &str = "bank.half";
const ROUNDING: &str = "bank.rounding";

/// How precisely the rows of a memory bank are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// As the network gave them: four bytes a value.
    #[default]
    Single,
    /// Rounded to IEEE 754 binary16: two bytes a value. Searches are exact for the rounded rows.
    Half,
}

/// The rows of a memory bank. Cloning shares them.
#[derive(Clone, Debug)]
pub struct MemoryBank {
    values: Values,
    dim: usize,
}

#[derive(Clone, Debug)]
enum Values {
    Single(Slice<f32>),
    Half {
        values: Slice<u16>,
        /// How far rounding moved a row at most, a single number.
        rounding: Slice<f32>,
    },
}

impl MemoryBank {
    /// Rows of `dim` values.
    ///
    /// # Errors
    /// There is no row, not whole rows, or 2^32 of them and more.
    pub fn single(values: Slice<f32>, dim: usize) -> Result<Self> {
        check_shape(values.len(), dim)?;
        Ok(Self { values: Values::Single(values), dim })
    }

    /// Rows of `dim` values, rounded.
    ///
    /// # Errors
    /// As of [`single`](Self::single), or a value is beyond ±65,504.
    #[cfg(feature = "train")]
    pub fn half(values: &[f32], dim: usize) -> Result<Self> {
        check_shape(values.len(), dim)?;
        let rounded: Vec<u16> = values.iter().map(|&value| half::from_f32(value)).collect();
        if let Some(at) = half::not_finite(&rounded) {
            let subject = format!("memory bank: row {}", at / dim);
            return Err(Error::argument(subject, values[at], "values to ±65504 for half precision"));
        }
        let moved = |(row, rounded): (&[f32], &[u16])| -> f64 {
            let pairs = row.iter().zip(rounded);
            pairs.map(|(&value, &half)| (f64::from(value) - f64::from(half::to_f32(half))).powi(2)).sum()
        };
        let squared = values.chunks(dim).zip(rounded.chunks(dim)).map(moved).fold(0.0, f64::max);
        let rounding = vec![(squared.sqrt() as f32).next_up()];
        Ok(Self { values: Values::Half { values: rounded.into(), rounding: rounding.into() }, dim })
    }

    /// The rows of a model file, in place. Their values are not looked at.
    pub(super) fn open(sections: &Sections, dim: usize) -> Result<Self> {
        let Some(values) = sections.find::<u16>(HALF)? else {
            return Self::single(sections.get(SINGLE)?, dim);
        };
        check_shape(values.len(), dim)?;
        let rounding: Slice<f32> = sections.get(ROUNDING)?;
        let &[moved] = &*rounding else {
            return Err(sections.error(ROUNDING, format!("{} values", rounding.len()), "one"));
        };
        if !(0.0..f32::INFINITY).contains(&moved) {
            return Err(sections.error(ROUNDING, moved, "a finite number, at least 0"));
        }
        Ok(Self { values: Values::Half { values, rounding }, dim })
    }

    pub(super) fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        match &self.values {
            Values::Single(values) => writer.add(SINGLE, values),
            Values::Half { values, rounding } => {
                writer.add(HALF, values);
                writer.add(ROUNDING, rounding);
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match &self.values {
            Values::Single(values) => values.len() / self.dim,
            Values::Half { values, .. } => values.len() / self.dim,
        }
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How precisely they are kept.
    pub fn precision(&self) -> Precision {
        match self.values {
            Values::Single(_) => Precision::Single,
            Values::Half { .. } => Precision::Half,
        }
    }

    /// How far rounding moved a row at most, and so any distance to the bank; 0 in single precision.
    pub fn rounding(&self) -> f32 {
        match &self.values {
            Values::Single(_) => 0.0,
            Values::Half { rounding, .. } => rounding[0],
        }
    }

    /// Looks at every value.
    pub(super) fn check_finite(&self) -> Result<()> {
        let found = match &self.values {
            Values::Single(values) => tensor::not_finite(values),
            Values::Half { values, .. } => half::not_finite(values).map(|at| (at, half::to_f32(values[at]))),
        };
        found.map_or(Ok(()), |(at, value)| {
            Err(Error::format("memory bank", format!("{value} in row {}", at / self.dim), "finite numbers"))
        })
    }

    /// All rows; a copy where they are of half precision.
    pub fn all(&self) -> Cow<'_, [f32]> {
        match &self.values {
            Values::Single(values) => Cow::Borrowed(values),
            Values::Half { values, .. } => {
                Cow::Owned(values.iter().map(|&half| half::to_f32(half)).collect())
            }
        }
    }

    /// Row `index`, widened in `buffer` where it is of half precision.
    pub(crate) fn get<'a>(&'a self, index: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        let range = index * self.dim..(index + 1) * self.dim;
        match &self.values {
            Values::Single(values) => &values[range],
            Values::Half { values, .. } => {
                buffer.clear();
                buffer.extend(values[range].iter().map(|&half| half::to_f32(half)));
                buffer
            }
        }
    }

    /// Squared distance from `query` to row `index`: the bits are those of the widened row.
    pub(super) fn squared(&self, isa: Isa, query: &[f32], index: usize) -> f32 {
        let range = index * self.dim..(index + 1) * self.dim;
        match &self.values {
            Values::Single(values) => distance::squared(isa, query, &values[range]),
            Values::Half { values, .. } => distance::squared_to_half(isa, query, &values[range]),
        }
    }

    /// Asks for row `index` to be brought near.
    pub(super) fn prefetch(&self, index: usize) {
        let range = index * self.dim..(index + 1) * self.dim;
        match &self.values {
            Values::Single(values) => distance::prefetch(&values[range]),
            Values::Half { values, .. } => distance::prefetch(&values[range]),
        }
    }

    /// Memory that the rows take, with the model file where they lie in one that was read.
    pub(super) fn bytes(&self) -> usize {
        match &self.values {
            Values::Single(values) => values.owned_bytes() + values.file_bytes(),
            Values::Half { values, .. } => values.owned_bytes() + values.file_bytes(),
        }
    }
}

fn check_shape(values: usize, dim: usize) -> Result<()> {
    let whole = dim > 0 && values > 0 && values.is_multiple_of(dim);
    if whole && u32::try_from(values / dim).is_ok() {
        return Ok(());
    }
    Err(Error::format("memory bank", format!("{values} values"), format!("1 to 2^32 - 1 rows of {dim}")))
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_nearest_ones_and_no_row_moved_further_than_said() {
        let values: Vec<f32> = (0..40 * 33).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let rows = MemoryBank::half(&values, 33).unwrap();
        let wide = rows.all();
        let mut farthest = 0.0f64;
        for (row, wide) in values.chunks(33).zip(wide.chunks(33)) {
            assert!(row.iter().zip(wide).all(|(a, b)| (a - b).abs() <= a.abs() / 2048.0));
            farthest = farthest.max(row.iter().zip(wide).map(|(a, b)| f64::from(a - b).powi(2)).sum());
        }
        let said = f64::from(rows.rounding());
        assert!(said >= farthest.sqrt() && said <= farthest.sqrt() * 1.001, "{said} {farthest}");
        assert_eq!(rows.get(7, &mut Vec::new()), &wide[7 * 33..8 * 33]);
    }

    #[test]
    fn what_half_precision_cannot_hold_is_refused() {
        let message = MemoryBank::half(&[1.0, 2.0, 3.0, -65520.0], 2).unwrap_err().to_string();
        assert_eq!(message, "memory bank: row 1: found -65520, expected values to ±65504 for half precision");
        assert!(MemoryBank::half(&[f32::NAN], 1).is_err());
        assert!(MemoryBank::half(&[65519.0], 1).is_ok());
    }
}
