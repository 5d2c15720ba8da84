//! The memory bank: the patch embeddings of good photographs that a model remembers.
//!
//! Training embeds every patch of the good photographs, and the coreset selects the embeddings to keep (Roth
//! et al., "Towards Total Recall in Industrial Anomaly Detection", arXiv 2106.08265, section 3.2). A
//! [`MemoryBank`] holds these, one a row, in the order of their selection. The anomaly score of a patch is
//! its distance to the nearest row, which `search` finds.
//!
//! ```text
//! [count, dim] values, row by row        Single: f32, section `bank`
//!                                        Half: binary16, sections `bank.half` and `bank.rounding`
//! ```
//!
//! Rows may lie in memory of their own or inside a model file, read or mapped; a clone shares them.

mod values;

use crate::error::{Error, Result};
#[cfg(feature = "train")]
use crate::half;
use crate::kernels::Isa;
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};
use std::borrow::Cow;
use std::ops::Range;
use values::Values;

/// The precision in which a memory bank stores its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// As computed by the network: four bytes a value.
    #[default]
    Single,
    /// Rounded to IEEE 754 binary16: two bytes a value. Searches are exact for the rounded rows.
    Half,
}

/// The rows of a memory bank. A clone shares them.
#[derive(Clone, Debug)]
pub struct MemoryBank {
    values: Values,
    dim: usize,
}

impl MemoryBank {
    /// A bank of rows of `dim` values, in single precision.
    ///
    /// # Errors
    /// `values` is empty or ends within a row, or has 2^32 rows or more.
    pub fn single(values: Slice<f32>, dim: usize) -> Result<Self> {
        Self::from_values(Values::Single(values), dim)
    }

    /// A bank of rows of `dim` values, rounded to half precision.
    ///
    /// # Errors
    /// As for [`single`](Self::single), or a value is beyond ±65,504.
    #[cfg(feature = "train")]
    pub fn half(values: &[f32], dim: usize) -> Result<Self> {
        check_shape(values.len(), dim)?;
        let halves: Vec<u16> = values.iter().map(|&value| half::from_f32(value)).collect();
        if let Some(at) = half::not_finite(&halves) {
            let subject = format!("memory bank: row {}", at / dim);
            return Err(Error::argument(subject, values[at], "values to ±65504 for half precision"));
        }
        let moved_sq = |(row, halves): (&[f32], &[u16])| -> f64 {
            let pairs = row.iter().zip(halves);
            pairs.map(|(&value, &half)| (f64::from(value) - f64::from(half::to_f32(half))).powi(2)).sum()
        };
        let largest_sq = values.chunks(dim).zip(halves.chunks(dim)).map(moved_sq).fold(0.0, f64::max);
        let rounding = vec![(largest_sq.sqrt() as f32).next_up()];
        Self::from_values(Values::Half { values: halves.into(), rounding: rounding.into() }, dim)
    }

    /// Opens the rows of a model file, in place. Their values are not validated.
    pub(super) fn open(sections: &Sections, dim: usize) -> Result<Self> {
        Self::from_values(Values::open(sections)?, dim)
    }

    fn from_values(values: Values, dim: usize) -> Result<Self> {
        check_shape(values.len(), dim)?;
        Ok(Self { values, dim })
    }

    /// Adds the sections of the rows to a model file.
    pub(super) fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        self.values.write(writer);
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Number of values of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The precision of the stored rows.
    pub fn precision(&self) -> Precision {
        self.values.precision()
    }

    /// Upper bound on the distance between a row and its rounded row, and thus on the error of any distance
    /// to the bank; 0 in single precision.
    pub fn rounding(&self) -> f32 {
        self.values.rounding()
    }

    /// Checks every value.
    pub(super) fn check_finite(&self) -> Result<()> {
        self.values.find_not_finite().map_or(Ok(()), |(at, value)| {
            Err(Error::format("memory bank", format!("{value} in row {}", at / self.dim), "finite numbers"))
        })
    }

    /// All rows, `[count, dim]`, in single precision; a copy if they are stored in half precision.
    pub fn all(&self) -> Cow<'_, [f32]> {
        self.values.widen()
    }

    /// Row `index` in single precision; `buffer` holds it if it is stored in half precision.
    pub(crate) fn get<'a>(&'a self, index: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        self.values.widen_range(self.range(index), buffer)
    }

    /// The squared distance from `query` to row `index`. Its bits are those for the row in single precision.
    pub(super) fn squared(&self, isa: Isa, query: &[f32], index: usize) -> f32 {
        self.values.squared(isa, query, self.range(index))
    }

    /// Fetches row `index` into the cache.
    pub(super) fn prefetch(&self, index: usize) {
        self.values.prefetch(self.range(index));
    }

    /// Bytes that the rows take, including their model file if it is in memory.
    pub(super) fn bytes(&self) -> usize {
        self.values.bytes()
    }

    fn range(&self, index: usize) -> Range<usize> {
        index * self.dim..(index + 1) * self.dim
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
    fn halves_are_the_nearest_ones_and_rounding_bounds_the_distance_moved() {
        let values: Vec<f32> = (0..40 * 33).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let rows = MemoryBank::half(&values, 33).unwrap();
        let wide = rows.all();
        let mut farthest = 0.0f64;
        for (row, wide) in values.chunks(33).zip(wide.chunks(33)) {
            assert!(row.iter().zip(wide).all(|(a, b)| (a - b).abs() <= a.abs() / 2048.0));
            farthest = farthest.max(row.iter().zip(wide).map(|(a, b)| f64::from(a - b).powi(2)).sum());
        }
        let bound = f64::from(rows.rounding());
        assert!(bound >= farthest.sqrt() && bound <= farthest.sqrt() * 1.001, "{bound} {farthest}");
        assert_eq!(rows.get(7, &mut Vec::new()), &wide[7 * 33..8 * 33]);
    }

    #[test]
    fn values_beyond_half_precision_are_refused() {
        let message = MemoryBank::half(&[1.0, 2.0, 3.0, -65520.0], 2).unwrap_err().to_string();
        assert_eq!(message, "memory bank: row 1: found -65520, expected values to ±65504 for half precision");
        assert!(MemoryBank::half(&[f32::NAN], 1).is_err());
        assert!(MemoryBank::half(&[65519.0], 1).is_ok());
    }
}
