//! Training: photographs of good parts become a memory bank.

use super::options::{FitOptions, Stage};
use super::record::{Record, Training};
use super::session::{Scorer, Timings};
use super::{Model, PatchCore, PatchExtractor};
use crate::coreset::{self, Projection};
use crate::error::{Error, Result};
use crate::image::{Frame, Picture};
use crate::kernels::{Isa, Pool};
use crate::network::{Backbone, Mode, Network};
use crate::score::{Calibration, GOOD_QUANTILE};
use crate::search::{Index, SearchKind};
use crate::tensor::Patches;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Leaving out more photographs than this sharpens the quantile no further, and each takes an exhaustive search.
const MAX_LEFT_OUT: usize = 50;

/// Called with the stage, what is done of it and its whole; `Break` stops the training.
pub type Observer<'a> = dyn FnMut(Stage, usize, usize) -> ControlFlow<()> + 'a;

/// Takes photographs of good parts one by one, as a camera delivers them, and trains a [`PatchCore`] of them.
pub struct Trainer {
    backbone: Backbone,
    options: FitOptions,
    isa: Isa,
    pool: Pool,
    network: Network,
    extractor: PatchExtractor,
    features: Vec<f32>,
    images: usize,
}

impl Trainer {
    /// A trainer that embeds with `backbone`.
    ///
    /// # Errors
    /// An option is out of its range, or a thread cannot be started.
    pub fn new(backbone: &Backbone, options: &FitOptions) -> Result<Self> {
        options.validate()?;
        let isa = Isa::detect()?;
        let pool = Pool::new(options.threads)?;
        let network =
            Network::new(backbone, &options.layers, options.preprocess.output_size(), Mode::Fast, isa)?;
        let extractor = PatchExtractor::new(&network, &options.preprocess, isa)?;
        Ok(Self {
            backbone: backbone.clone(),
            options: options.clone(),
            isa,
            pool,
            network,
            extractor,
            features: Vec::new(),
            images: 0,
        })
    }

    /// Adds the photograph of a good part.
    ///
    /// # Errors
    /// The frame is too small or too large, or memory runs out.
    pub fn add(&mut self, frame: &Frame<'_>) -> Result<()> {
        let Self { extractor, network, pool, features, .. } = self;
        let patches = pool.run(|| extractor.extract(network, frame, pool, &mut Timings::default()))?;
        features.try_reserve(patches.data.len()).map_err(|_| {
            Error::limit(
                "training features",
                format!("{} images", self.images + 1),
                "as many as memory holds",
            )
            .hint("train on fewer photographs or smaller ones")
        })?;
        features.extend_from_slice(patches.data);
        self.images += 1;
        Ok(())
    }

    /// Number of photographs added.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Number of patches of the photographs added.
    pub fn rows(&self) -> usize {
        self.features.len() / self.network.dim()
    }

    /// Chooses the memory bank and, if so asked, sets the thresholds.
    ///
    /// # Errors
    /// No photograph was added, the coreset ratio leaves no row, or `observer` stopped the training.
    pub fn finish(self, observer: &mut Observer<'_>) -> Result<PatchCore> {
        if self.images == 0 {
            return Err(Error::argument("training images", "none", "at least one photograph of a good part"));
        }
        let chosen = self.choose(observer)?;
        let calibration = match self.options.leave_one_out {
            true => self.leave_one_out(&chosen, observer)?,
            false => Calibration::NONE,
        };
        let all = self.patches();
        let bank = chosen.iter().flat_map(|&row| all.row(row as usize)).copied().collect();
        self.assemble(bank, calibration)
    }

    /// A model whose memory bank is the first `rows` patches, without a coreset and a calibration.
    #[cfg(feature = "cli")]
    pub(crate) fn keep_first(self, rows: usize) -> Result<PatchCore> {
        let bank = self.features.iter().take(rows * self.network.dim()).copied().collect();
        self.assemble(bank, Calibration::NONE)
    }

    fn patches(&self) -> Patches<'_> {
        Patches { dim: self.network.dim(), grid_width: self.network.grid().1, data: &self.features }
    }

    /// Rows that the memory bank keeps, in the order the greedy selection finds them.
    fn choose(&self, observer: &mut Observer<'_>) -> Result<Vec<u32>> {
        let Self { options, isa, pool, .. } = self;
        let all = self.patches();
        let count = coreset::size(all.rows(), options.coreset_ratio)?;
        let projection = Projection::new(all.dim, coreset::projection_dim(all.rows()), options.seed);
        let projected = projection.apply(all, *isa, pool)?;
        let start = coreset::start(all.rows(), options.seed);
        let projected =
            Patches { dim: projection.output_dim(), grid_width: all.grid_width, data: &projected };
        coreset::select(projected, count, start, *isa, pool, &mut |done, total| {
            observer(Stage::Coreset, done, total)
        })
    }

    /// Scores photographs against the rows of `chosen` that come from others, and sets the thresholds by that. With
    /// one photograph, or where one holds the whole bank, there is nothing to compare with and the model stays
    /// uncalibrated.
    fn leave_one_out(&self, chosen: &[u32], observer: &mut Observer<'_>) -> Result<Calibration> {
        let Self { options, isa, pool, network, .. } = self;
        let all = self.patches();
        let rows = all.rows() / self.images;
        let left_out: Vec<usize> = spread(self.images, MAX_LEFT_OUT).collect();
        let mut scorer = Scorer::new(network.grid(), options.preprocess.output_size(), options.neighbors)?;
        let mut scores = Vec::new();
        let mut maps = Vec::new();
        for (done, &image) in left_out.iter().enumerate() {
            if observer(Stage::Calibration, done, left_out.len()).is_break() {
                return Err(Error::cancelled("calibration"));
            }
            let own = image * rows..(image + 1) * rows;
            let others = chosen.iter().map(|&row| row as usize).filter(|row| !own.contains(row));
            let bank: Vec<f32> = others.flat_map(|row| all.row(row)).copied().collect();
            if bank.is_empty() {
                continue;
            }
            let index = Index::build(bank.into(), all.dim, SearchKind::Flat, *isa, pool)?;
            let queries = Patches { data: &all.data[own.start * all.dim..own.end * all.dim], ..all };
            scores.push(pool.run(|| scorer.run(&index, queries, *isa, pool, &mut Timings::default()))?);
            maps.push(range(&scorer.map));
        }
        let peaks: Vec<f32> = maps.iter().map(|range| range.1).collect();
        let lowest = maps.iter().map(|range| range.0).fold(f32::INFINITY, f32::min);
        Ok(Calibration::from_good(&scores, &peaks, lowest, GOOD_QUANTILE).unwrap_or_default())
    }

    fn assemble(self, bank: Vec<f32>, calibration: Calibration) -> Result<PatchCore> {
        let Self { backbone, options, isa, pool, network, features, images, .. } = self;
        let dim = network.dim();
        let patches = (features.len() / dim) as u64;
        drop(features);
        let index = Index::build(bank.into(), dim, options.search, isa, &pool)?;
        let record = Record {
            producer: concat!("patchcore ", env!("CARGO_PKG_VERSION")).into(),
            architecture: backbone.architecture().name().into(),
            weights: backbone.origin().into(),
            weights_checksum: backbone.checksum(),
            embedded: backbone.is_embedded(),
            layers: network.layers().to_vec(),
            preprocess: options.preprocess,
            rows: index.rows() as u64,
            dim: dim as u64,
            neighbors: options.neighbors,
            training: Training {
                images: images as u64,
                patches,
                coreset_ratio: options.coreset_ratio,
                seed: Some(options.seed),
            },
            calibration,
        };
        Ok(PatchCore(Arc::new(Model { record, backbone, network, index, isa, file_bytes: None })))
    }
}

/// `count` of `0..total`, evenly spread, or all.
fn spread(total: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(total);
    (0..count).map(move |i| i * total / count)
}

fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

impl PatchCore {
    /// Trains on photographs of good parts. See [`Trainer`] for photographs that arrive one by one, and for
    /// progress.
    ///
    /// # Errors
    /// Any error that an image of the iterator is, an option out of its range, no image at all.
    pub fn fit(
        backbone: &Backbone,
        options: &FitOptions,
        images: impl IntoIterator<Item = Result<Picture>>,
    ) -> Result<Self> {
        let mut trainer = Trainer::new(backbone, options)?;
        for image in images {
            trainer.add(&image?.frame())?;
        }
        trainer.finish(&mut |_, _, _| ControlFlow::Continue(()))
    }

    /// The same model with other thresholds and ranges, such as those found on defective photographs.
    #[must_use]
    pub fn with_calibration(self, calibration: Calibration) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(model) => Self(Arc::new(Model { record: Record { calibration, ..model.record }, ..model })),
            Err(shared) => Self(Arc::new(Model {
                record: Record { calibration, ..shared.record.clone() },
                backbone: shared.backbone.clone(),
                network: shared.network.clone(),
                index: shared.index.clone(),
                isa: shared.isa,
                file_bytes: shared.file_bytes,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_takes_all_or_evenly_many() {
        assert_eq!(spread(3, 50).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(100, 4).collect::<Vec<_>>(), [0, 25, 50, 75]);
    }
}
