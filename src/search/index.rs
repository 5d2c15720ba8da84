//! The memory bank with the search that answers for it.

#[cfg(feature = "kdtree")]
use super::KdTree;
use super::cost_model::{Chosen, Estimate, choose};
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
    rows: MemoryBank,
    isa: Isa,
    chosen: Chosen,
    /// Flat, pruned, k-d tree; empty where the choice was the user's.
    estimate: Slice<f64>,
}

impl Index {
    /// Bytes a row that [`build`](Self::build) takes at most, the row itself and, of half precision, the one that it was
    /// rounded from among them.
    #[cfg(feature = "train")]
    pub(crate) fn build_bytes(dim: usize, precision: Precision) -> u64 {
        let (kept, widened) = match precision {
            Precision::Single => (4, 0),
            Precision::Half => (2, 4),
        };
        (dim * (kept + widened)) as u64 + Pruned::build_bytes(dim)
    }

    /// Makes `rows` searchable.
    ///
    /// # Errors
    /// A value is not finite.
    pub fn build(rows: MemoryBank, kind: SearchKind, isa: Isa, pool: &Pool) -> Result<Self> {
        rows.check_finite()?;
        let chosen = match kind {
            SearchKind::Auto => {
                let (chosen, Estimate { flat, pruned, kd_tree }) = choose(&rows, isa, pool);
                return Ok(Self { rows, isa, chosen, estimate: vec![flat, pruned, kd_tree].into() });
            }
            SearchKind::Flat => Chosen::Flat(Flat::new(rows.clone(), isa)),
            SearchKind::Pruned => Chosen::Pruned(Box::new(Pruned::build(rows.clone(), isa, pool))),
            #[cfg(feature = "kdtree")]
            SearchKind::KdTree => Chosen::KdTree(Box::new(KdTree::build(rows.clone(), isa, pool)?)),
        };
        Ok(Self { rows, isa, chosen, estimate: Vec::new().into() })
    }

    /// Adds the sections of the index to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        self.rows.write(writer);
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
        let rows = MemoryBank::open(sections, dim)?;
        let estimate = sections.find(ESTIMATE)?.unwrap_or_else(|| Vec::new().into());
        let chosen = open_search(sections, &rows, isa)?;
        Ok(Self { rows, isa, chosen, estimate })
    }

    /// Looks at every value of the rows.
    ///
    /// # Errors
    /// One is NaN or infinite.
    pub(crate) fn check_finite(&self) -> Result<()> {
        self.rows.check_finite()
    }

    /// The rows of the memory bank, in the order the coreset chose them.
    pub fn rows(&self) -> &MemoryBank {
        &self.rows
    }

    /// Distance from `query` to row `index`.
    pub fn distance(&self, query: &[f32], index: u32) -> f32 {
        self.rows.squared(self.isa, query, index as usize).sqrt()
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

fn open_search(sections: &Sections, rows: &MemoryBank, isa: Isa) -> Result<Chosen> {
    if let Some(pruned) = Pruned::open(sections, rows.clone(), isa)? {
        return Ok(Chosen::Pruned(Box::new(pruned)));
    }
    #[cfg(feature = "kdtree")]
    if let Some(tree) = KdTree::open(sections, rows.clone(), isa)? {
        return Ok(Chosen::KdTree(Box::new(tree)));
    }
    Ok(Chosen::Flat(Flat::new(rows.clone(), isa)))
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
        self.rows.bytes() + self.search().bytes()
    }

    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize {
        self.search().scratch_bytes(grid, k, threads)
    }
}
