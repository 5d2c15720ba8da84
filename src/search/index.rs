//! The memory bank with the search that answers for it.

#[cfg(feature = "kdtree")]
use super::KdTree;
use super::choice::{Chosen, Estimate, choose};
use super::{Flat, Pruned, Scratch, Search};
use crate::bank::map::Slice;
use crate::bank::sections::{SectionWriter, Sections};
use crate::error::{Error, Result};
use crate::kernels::{Isa, Pool, distance};
use crate::tensor::{Neighbor, Patches, not_finite};

const BANK: &str = "bank";
const ESTIMATE: &str = "search.estimate";

/// Which search answers. All are exact and give the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchKind {
    /// The one that suits the memory bank, by a count of work on some of its rows.
    #[default]
    Auto,
    /// Every row is compared with every query.
    Flat,
    /// Bounds first, distances where these leave a doubt.
    Pruned,
    /// A k-d tree over a few coordinates, then distances.
    #[cfg(feature = "kdtree")]
    KdTree,
}

/// A memory bank that can be searched.
#[derive(Clone, Debug)]
pub struct Index {
    bank: Slice<f32>,
    dim: usize,
    isa: Isa,
    chosen: Chosen,
    /// Flat, pruned, k-d tree; empty where the choice was the user's.
    estimate: Slice<f64>,
}

impl Index {
    /// Makes `bank`, rows of `dim` values, searchable.
    ///
    /// # Errors
    /// The bank is empty, not whole rows, has more than 2^32 of them, or holds a value that is not finite.
    pub fn build(bank: Slice<f32>, dim: usize, kind: SearchKind, isa: Isa, pool: &Pool) -> Result<Self> {
        check_shape(&bank, dim)?;
        check_finite(&bank, dim)?;
        let chosen = match kind {
            SearchKind::Auto => {
                let (chosen, Estimate { flat, pruned, kd_tree }) = choose(&bank, dim, isa, pool);
                return Ok(Self { bank, dim, isa, chosen, estimate: vec![flat, pruned, kd_tree].into() });
            }
            SearchKind::Flat => Chosen::Flat(Flat::new(bank.clone(), dim, isa)),
            SearchKind::Pruned => Chosen::Pruned(Box::new(Pruned::build(bank.clone(), dim, isa, pool))),
            #[cfg(feature = "kdtree")]
            SearchKind::KdTree => Chosen::KdTree(Box::new(KdTree::build(bank.clone(), dim, isa, pool)?)),
        };
        Ok(Self { bank, dim, isa, chosen, estimate: Vec::new().into() })
    }

    /// Adds the sections of the index to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        writer.add(BANK, &self.bank);
        match &self.chosen {
            Chosen::Flat(_) => {}
            Chosen::Pruned(pruned) => pruned.write(writer),
            #[cfg(feature = "kdtree")]
            Chosen::KdTree(tree) => tree.write(writer),
        }
        writer.add(ESTIMATE, &self.estimate);
    }

    /// The index of a model file, in place. Of the values of the rows only the checksum is looked at, if at all: whatever
    /// they are, a search ends and answers with rows of the bank. A search that this build does not know is replaced by the
    /// exhaustive one.
    ///
    /// # Errors
    /// A section is missing or of the wrong shape.
    pub fn open(sections: &Sections, dim: usize, isa: Isa) -> Result<Self> {
        let bank: Slice<f32> = sections.get(BANK)?;
        check_shape(&bank, dim)?;
        let estimate = sections.find(ESTIMATE)?.unwrap_or_else(|| Vec::new().into());
        let chosen = open_search(sections, &bank, dim, isa)?;
        Ok(Self { bank, dim, isa, chosen, estimate })
    }

    /// The search without the rows that are `absent`; `None` where none is left. Rows may be
    /// counted anew.
    #[cfg(feature = "train")]
    pub(crate) fn without(&self, absent: impl Fn(usize) -> bool) -> Option<Self> {
        let mut left = (0..self.rows()).filter(|&row| !absent(row)).peekable();
        left.peek()?;
        if let Chosen::Pruned(pruned) = &self.chosen {
            let chosen = Chosen::Pruned(Box::new(pruned.without(&absent)));
            return Some(Self { chosen, ..self.clone() });
        }
        let rows: Vec<f32> = left.flat_map(|row| self.bank().row(row)).copied().collect();
        let bank = Slice::from(rows);
        let chosen = Chosen::Flat(Flat::new(bank.clone(), self.dim, self.isa));
        Some(Self { bank, chosen, ..self.clone() })
    }

    /// Looks at every value of the rows.
    ///
    /// # Errors
    /// One is NaN or infinite.
    pub(crate) fn check_finite(&self) -> Result<()> {
        check_finite(&self.bank, self.dim)
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
        let name = match &self.chosen {
            Chosen::Flat(_) => "flat",
            Chosen::Pruned(_) => "pruned",
            #[cfg(feature = "kdtree")]
            Chosen::KdTree(_) => "k-d tree",
        };
        match *self.estimate {
            [flat, pruned, kd_tree] => {
                let [flat, pruned, kd_tree] = [flat, pruned, kd_tree].map(|ns| ns / 1000.0);
                format!(
                    "{name} (estimated us a query: flat {flat:.1}, pruned {pruned:.1}, k-d tree {kd_tree:.1})"
                )
            }
            _ => format!("{name} (as told)"),
        }
    }

    fn search(&self) -> &dyn Search {
        match &self.chosen {
            Chosen::Flat(flat) => flat,
            Chosen::Pruned(pruned) => &**pruned,
            #[cfg(feature = "kdtree")]
            Chosen::KdTree(tree) => &**tree,
        }
    }
}

fn check_shape(bank: &[f32], dim: usize) -> Result<()> {
    let whole = dim > 0 && !bank.is_empty() && bank.len().is_multiple_of(dim);
    if whole && u32::try_from(bank.len() / dim).is_ok() {
        return Ok(());
    }
    let found = format!("{} values", bank.len());
    Err(Error::format("memory bank", found, format!("1 to 2^32 rows of {dim}")))
}

fn check_finite(bank: &[f32], dim: usize) -> Result<()> {
    match not_finite(bank) {
        None => Ok(()),
        Some((at, value)) => {
            Err(Error::format("memory bank", format!("{value} in row {}", at / dim), "finite numbers"))
        }
    }
}

fn open_search(sections: &Sections, bank: &Slice<f32>, dim: usize, isa: Isa) -> Result<Chosen> {
    if let Some(pruned) = Pruned::open(sections, bank.clone(), dim, isa)? {
        return Ok(Chosen::Pruned(Box::new(pruned)));
    }
    #[cfg(feature = "kdtree")]
    if let Some(tree) = KdTree::open(sections, bank.clone(), dim, isa)? {
        return Ok(Chosen::KdTree(Box::new(tree)));
    }
    Ok(Chosen::Flat(Flat::new(bank.clone(), dim, isa)))
}

impl Search for Index {
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        self.search().nearest(queries, scratch, pool, out);
    }

    fn farthest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        self.search().farthest(queries, scratch, pool, out);
    }

    fn k_nearest(
        &self,
        query: &[f32],
        k: usize,
        scratch: &mut Scratch,
        pool: &Pool,
        out: &mut Vec<Neighbor>,
    ) {
        self.search().k_nearest(query, k, scratch, pool, out);
    }

    /// The memory bank and, where it lies in a model file that was read, that file included.
    fn bytes(&self) -> usize {
        self.bank.owned_bytes() + self.bank.file_bytes() + self.search().bytes()
    }

    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize {
        self.search().scratch_bytes(grid, k, threads)
    }
}
