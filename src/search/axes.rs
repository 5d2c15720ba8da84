//! The leading principal axes of the memory bank, and coordinates along them.

use super::sketch::Coordinates;
use crate::error::Result;
use crate::kernels::gemm::PackedMatrix;
use crate::kernels::{Isa, distance};
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};
use crate::parallel::Pool;
use crate::principal::{self, Iteration};
use crate::tensor::Patches;

const MEAN: &str = "search.mean";
const AXES: &str = "search.axes";
const DEVIATION: &str = "search.axes.off";

/// The axes need not have converged, only be orthonormal: any such axes give valid bounds.
const ITERATION: Iteration = Iteration { rounds: 10, purpose: 0x4178_6573 };
/// Rows of the bank that a task projects.
const TASK_ROWS: usize = 256;

/// Orthonormal axes through the mean of a memory bank.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    mean: Slice<f32>,
    axes: Slice<f32>,
    /// A single number, see `principal::deviation`.
    deviation: Slice<f64>,
    packed: PackedMatrix,
    isa: Isa,
}

/// The coordinates of some vectors along the axes. The memory is reused.
#[derive(Debug, Default)]
pub(super) struct AxisCoordinates {
    centred: Vec<f32>,
    along: Vec<f32>,
    squared: Vec<f32>,
}

impl Axes {
    /// Approximately the first `count` principal axes of the rows, in descending order of variance.
    pub(super) fn fit(bank: Patches<'_>, count: usize, isa: Isa, pool: &Pool) -> Self {
        let mean = principal::mean(bank.data.chunks_exact(bank.dim), bank.dim);
        let axes = principal::principal_axes(bank, &mean, count, ITERATION, isa, pool);
        let deviation = vec![principal::deviation(&axes, bank.dim)];
        Self::assemble(mean.into(), axes.into(), deviation.into(), isa)
    }

    /// The axes of a model file.
    ///
    /// # Errors
    /// A section is missing or is not `count` axes of `dim` values.
    pub(super) fn open(sections: &Sections, dim: usize, count: usize, isa: Isa) -> Result<Self> {
        let (mean, axes, deviation) =
            (sections.get::<f32>(MEAN)?, sections.get::<f32>(AXES)?, sections.get(DEVIATION)?);
        // The product may overflow where addresses have 32 bits.
        let values = count.saturating_mul(dim);
        for (name, found, expected) in
            [(MEAN, mean.len(), dim), (AXES, axes.len(), values), (DEVIATION, deviation.len(), 1)]
        {
            if found != expected {
                return Err(sections.error(name, format!("{found} values"), expected));
            }
        }
        Ok(Self::assemble(mean, axes, deviation, isa))
    }

    fn assemble(mean: Slice<f32>, axes: Slice<f32>, deviation: Slice<f64>, isa: Isa) -> Self {
        let (dim, count) = (mean.len(), axes.len() / mean.len());
        let packed = PackedMatrix::new(dim, count, isa, &Pool::SERIAL, |i, j| axes[j * dim + i]);
        Self { mean, axes, deviation, packed, isa }
    }

    /// Adds the sections of the axes to a model file.
    pub(super) fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        writer.add(MEAN, &self.mean);
        writer.add(AXES, &self.axes);
        writer.add(DEVIATION, &self.deviation);
    }

    /// Bytes of the axes, without those in a model file.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.mean.owned_bytes() + self.axes.owned_bytes() + self.deviation.owned_bytes();
        parts + self.packed.bytes()
    }

    /// Bytes that projecting `count` vectors takes.
    pub(super) fn projected_bytes(&self, count: usize) -> usize {
        count * (self.mean.len() + self.count() + 1) * size_of::<f32>()
    }

    /// Number of axes.
    pub(super) fn count(&self) -> usize {
        self.packed.n()
    }

    /// Centres `vectors` and projects them to the axes.
    pub(super) fn project<'a>(
        &self,
        vectors: impl ExactSizeIterator<Item = &'a [f32]>,
        out: &mut AxisCoordinates,
    ) {
        let (count, dim) = (vectors.len(), self.mean.len());
        out.centred.resize(count * dim, 0.0);
        out.along.resize(count * self.count(), 0.0);
        out.squared.resize(count, 0.0);
        let each = out.centred.chunks_exact_mut(dim).zip(&mut out.squared);
        for (vector, (centred, squared)) in vectors.zip(each) {
            *squared = self.centre(vector, centred);
        }
        self.packed.multiply(&out.centred, &mut out.along);
    }

    /// Writes the centred `vector` to `out`. Returns its squared length, as computed.
    pub(super) fn centre(&self, vector: &[f32], out: &mut [f32]) -> f32 {
        let both = vector.iter().zip(&*self.mean);
        out.iter_mut().zip(both).for_each(|(out, (value, mean))| *out = value - mean);
        distance::squared(self.isa, vector, &self.mean)
    }

    /// Projects all rows of `bank`.
    pub(super) fn project_all(&self, bank: Patches<'_>, pool: &Pool) -> AxisCoordinates {
        let count = self.count();
        let mut all = AxisCoordinates::default();
        all.along.resize(bank.rows() * count, 0.0);
        all.squared.resize(bank.rows(), 0.0);
        let outputs = ((&mut all.along[..], TASK_ROWS * count), (&mut all.squared[..], TASK_ROWS));
        pool.for_each_chunk_pair(outputs.0, outputs.1, |batch, along, squared| {
            let mut part = AxisCoordinates::default();
            self.project((0..squared.len()).map(|i| bank.row(batch * TASK_ROWS + i)), &mut part);
            along.copy_from_slice(&part.along);
            squared.copy_from_slice(&part.squared);
        });
        all
    }

    /// The coordinates of vector `i`.
    pub(super) fn coordinates<'a>(&self, projected: &'a AxisCoordinates, i: usize) -> Coordinates<'a> {
        Coordinates {
            dim: self.mean.len(),
            squared: projected.squared[i],
            along: &projected.along[i * self.count()..][..self.count()],
            deviation: self.deviation[0],
        }
    }
}

impl AxisCoordinates {
    /// Vector `i`, centred, and its squared length, as computed. Not for [`Axes::project_all`].
    pub(super) fn centred(&self, i: usize) -> (&[f32], f32) {
        let dim = self.centred.len() / self.squared.len();
        (&self.centred[i * dim..][..dim], self.squared[i])
    }

    /// The coordinates of all vectors: `[vectors, axes]`.
    pub(super) fn along(&self) -> &[f32] {
        &self.along
    }
}
