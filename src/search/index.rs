//! The memory bank with the search that answers for it.

use super::{Flat, Scratch, Search};
use crate::bank::map::Slice;
use crate::bank::sections::{SectionWriter, Sections};
use crate::error::{Error, Result};
use crate::kernels::{Isa, Pool, distance};
use crate::tensor::{Neighbor, Patches};

const BANK: &str = "bank";

/// Which search answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchKind {
    /// The one that suits the memory bank.
    #[default]
    Auto,
    /// Exhaustive.
    Flat,
}

/// A memory bank that can be searched.
#[derive(Clone, Debug)]
pub struct Index {
    bank: Slice<f32>,
    dim: usize,
    isa: Isa,
    flat: Flat,
}

impl Index {
    /// Makes `bank`, rows of `dim` values, searchable.
    ///
    /// # Errors
    /// The bank is empty, not whole rows, has more than 2^32 of them, or holds a value that is not finite.
    pub fn build(bank: Slice<f32>, dim: usize, _kind: SearchKind, isa: Isa, _pool: &Pool) -> Result<Self> {
        if dim == 0
            || bank.is_empty()
            || !bank.len().is_multiple_of(dim)
            || u32::try_from(bank.len() / dim).is_err()
        {
            return Err(Error::format(
                "memory bank",
                format!("{} values", bank.len()),
                format!("1 to 2^32 rows of {dim}"),
            ));
        }
        if let Some(at) = bank.iter().position(|v| !v.is_finite()) {
            return Err(Error::format(
                "memory bank",
                format!("{} in row {}", bank[at], at / dim),
                "finite numbers",
            ));
        }
        let flat = Flat::new(bank.clone(), dim, isa);
        Ok(Self { bank, dim, isa, flat })
    }

    /// Adds the sections of the index to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        writer.add(BANK, &self.bank);
    }

    /// The index of a model file, in place.
    ///
    /// # Errors
    /// A section is missing or damaged.
    pub fn open(sections: &Sections, dim: usize, isa: Isa) -> Result<Self> {
        Self::build(sections.get(BANK)?, dim, SearchKind::Auto, isa, &Pool::new(1)?)
    }

    /// Rows of the memory bank.
    pub fn rows(&self) -> usize {
        self.bank.len() / self.dim
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The rows, in the order the coreset chose them.
    pub fn bank(&self) -> Patches<'_> {
        Patches { dim: self.dim, grid_width: self.rows(), data: &self.bank }
    }

    /// Distance from `query` to row `index`.
    pub fn distance(&self, query: &[f32], index: u32) -> f32 {
        distance::squared(self.isa, query, self.bank().row(index as usize)).sqrt()
    }

    /// Which search answers, and why.
    pub fn describe(&self) -> String {
        "flat: exhaustive".into()
    }
}

impl Search for Index {
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        self.flat.nearest(queries, scratch, pool, out);
    }

    fn k_nearest(
        &self,
        query: &[f32],
        k: usize,
        scratch: &mut Scratch,
        pool: &Pool,
        out: &mut Vec<Neighbor>,
    ) {
        self.flat.k_nearest(query, k, scratch, pool, out);
    }
}
