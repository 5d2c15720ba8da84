//! A memory bank and its search.

#[cfg(feature = "kdtree")]
use super::KdTree;
use super::cost_model::{AnySearch, CostEstimate, select_search};
use super::{Flat, Pruned, Scratch, Search};
use crate::error::Result;
use crate::kernels::Isa;
use crate::memory_bank::MemoryBank;
#[cfg(feature = "train")]
use crate::memory_bank::Precision;
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};
use crate::parallel::Pool;
use crate::tensor::{Neighbor, Patches};

const ESTIMATE: &str = "search.estimate";

/// The search to use. All are exact and give the same results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchKind {
    /// The one with the lowest estimated cost for this memory bank.
    #[default]
    Auto,
    /// Compares every query with every row.
    Flat,
    /// Excludes rows by lower bounds on their distances, and compares the others.
    Pruned,
    /// Finds candidates in a k-d tree over a few coordinates, and compares them.
    #[cfg(feature = "kdtree")]
    KdTree,
}

/// A memory bank that can be searched.
#[derive(Clone, Debug)]
pub struct Index {
    bank: MemoryBank,
    isa: Isa,
    search: AnySearch,
    /// Estimated cost of flat, pruned and k-d tree, in nanoseconds a query; empty if the user chose the
    /// search.
    estimate: Slice<f64>,
}

impl Index {
    /// Upper bound on the bytes a row that [`build`](Self::build) takes. It includes the row and, in half
    /// precision, the single-precision row that it was rounded from.
    #[cfg(feature = "train")]
    pub(crate) fn build_bytes(dim: usize, precision: Precision) -> u64 {
        let (kept, widened) = match precision {
            Precision::Single => (4, 0),
            Precision::Half => (2, 4),
        };
        (dim * (kept + widened)) as u64 + Pruned::build_bytes(dim)
    }

    /// Builds the search over `bank`.
    ///
    /// # Errors
    /// A value is not finite.
    pub fn build(bank: MemoryBank, kind: SearchKind, isa: Isa, pool: &Pool) -> Result<Self> {
        bank.check_finite()?;
        let search = match kind {
            SearchKind::Auto => {
                let (search, CostEstimate { flat, pruned, kd_tree }) = select_search(&bank, isa, pool);
                return Ok(Self { bank, isa, search, estimate: vec![flat, pruned, kd_tree].into() });
            }
            SearchKind::Flat => AnySearch::Flat(Flat::new(bank.clone(), isa)),
            SearchKind::Pruned => AnySearch::Pruned(Box::new(Pruned::build(bank.clone(), isa, pool))),
            #[cfg(feature = "kdtree")]
            SearchKind::KdTree => AnySearch::KdTree(Box::new(KdTree::build(bank.clone(), isa, pool)?)),
        };
        Ok(Self { bank, isa, search, estimate: Vec::new().into() })
    }

    /// Adds the sections of the index to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        self.bank.write(writer);
        match &self.search {
            AnySearch::Flat(_) => {}
            AnySearch::Pruned(pruned) => pruned.write(writer),
            #[cfg(feature = "kdtree")]
            AnySearch::KdTree(tree) => tree.write(writer),
        }
        writer.add(ESTIMATE, &self.estimate);
    }

    /// Opens the index of a model file, in place. The values of the rows are not validated: with any values,
    /// a search ends and returns rows of the bank. If this build lacks the file's search, the exhaustive one
    /// replaces it.
    ///
    /// # Errors
    /// A section is missing or of the wrong shape.
    pub fn open(sections: &Sections, dim: usize, isa: Isa) -> Result<Self> {
        let bank = MemoryBank::open(sections, dim)?;
        let estimate = sections.find(ESTIMATE)?.unwrap_or_else(|| Vec::new().into());
        let search = open_search(sections, &bank, isa)?;
        Ok(Self { bank, isa, search, estimate })
    }

    /// Checks every value of the bank.
    ///
    /// # Errors
    /// One is NaN or infinite.
    pub(crate) fn check_finite(&self) -> Result<()> {
        self.bank.check_finite()
    }

    /// The memory bank. Its rows are in the order in which the coreset chose them.
    pub fn bank(&self) -> &MemoryBank {
        &self.bank
    }

    /// Distance from `query` to row `index`.
    pub fn distance(&self, query: &[f32], index: u32) -> f32 {
        self.bank.squared(self.isa, query, index as usize).sqrt()
    }

    /// The name of the search, with the estimated costs if it was selected automatically.
    pub fn describe(&self) -> String {
        let name = match &self.search {
            AnySearch::Flat(_) => "flat",
            AnySearch::Pruned(_) => "pruned",
            #[cfg(feature = "kdtree")]
            AnySearch::KdTree(_) => "k-d tree",
        };
        match *self.estimate {
            [flat, pruned, kd_tree] => {
                let [flat, pruned, kd_tree] = [flat, pruned, kd_tree].map(|ns| ns / 1000.0);
                format!(
                    "{name} (estimated us a query: flat {flat:.1}, pruned {pruned:.1}, k-d tree {kd_tree:.1})"
                )
            }
            _ => format!("{name} (as requested)"),
        }
    }

    fn as_search(&self) -> &dyn Search {
        match &self.search {
            AnySearch::Flat(flat) => flat,
            AnySearch::Pruned(pruned) => &**pruned,
            #[cfg(feature = "kdtree")]
            AnySearch::KdTree(tree) => &**tree,
        }
    }
}

fn open_search(sections: &Sections, bank: &MemoryBank, isa: Isa) -> Result<AnySearch> {
    if let Some(pruned) = Pruned::open(sections, bank.clone(), isa)? {
        return Ok(AnySearch::Pruned(Box::new(pruned)));
    }
    #[cfg(feature = "kdtree")]
    if let Some(tree) = KdTree::open(sections, bank.clone(), isa)? {
        return Ok(AnySearch::KdTree(Box::new(tree)));
    }
    Ok(AnySearch::Flat(Flat::new(bank.clone(), isa)))
}

impl Search for Index {
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        self.as_search().nearest(queries, scratch, pool, out);
    }

    fn farthest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        self.as_search().farthest(queries, scratch, pool, out);
    }

    fn k_nearest(
        &self,
        query: &[f32],
        k: usize,
        scratch: &mut Scratch,
        pool: &Pool,
        out: &mut Vec<Neighbor>,
    ) {
        self.as_search().k_nearest(query, k, scratch, pool, out);
    }

    /// Includes the memory bank and, if the index is part of a model file in memory, that file.
    fn bytes(&self) -> usize {
        self.bank.bytes() + self.as_search().bytes()
    }

    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize {
        self.as_search().scratch_bytes(grid, k, threads)
    }
}
