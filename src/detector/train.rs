//! Training: photographs of good parts become a memory bank.

use super::bank_builder;
use super::cross_validation::{CrossValidation, HeldOut};
use super::metadata::{Metadata, Training};
use super::options::{Observer, TrainOptions};
use super::outliers::{Outlier, Screening, kept_scores, screen};
use super::patch_store::PatchStore;
use super::report::{Look, TrainingReport};
use super::resize_map::place_in_image;
use super::roi::check_aspect;
use super::{Model, PatchCore, PatchExtractor, Roi};
use crate::error::{Error, Result};
use crate::image::{Frame, Picture};
use crate::kernels::Isa;
use crate::network::{Backbone, Mode, Network};
use crate::parallel::Pool;
use crate::score::{Calibration, GoodScores};
use crate::search::Index;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Takes photographs of good parts one by one, as a camera delivers them, and trains a [`PatchCore`] of them.
pub struct Trainer {
    backbone: Backbone,
    options: TrainOptions,
    isa: Isa,
    pool: Pool,
    network: Arc<Network>,
    roi: Option<Arc<Roi>>,
    extractor: PatchExtractor,
    store: PatchStore,
    looks: Vec<Look>,
}

impl Trainer {
    /// A trainer that embeds with `backbone`.
    ///
    /// # Errors
    /// An option is out of its range, [`TrainOptions::max_memory`] leaves no room for the patches of one
    /// photograph, or a thread cannot be started.
    pub fn new(backbone: &Backbone, options: &TrainOptions) -> Result<Self> {
        options.validate()?;
        let isa = Isa::detect()?;
        let pool = Pool::new(options.threads)?;
        let size = options.preprocess.output_size();
        let network = Arc::new(Network::new(backbone, &options.layers, size, Mode::Fast, isa, &pool)?);
        let roi = options.roi.as_ref().map(|mask| Roi::new(mask, &options.preprocess, network.grid(), &pool));
        let roi = roi.transpose()?.map(Arc::new);
        let extractor = PatchExtractor::new(&network, &options.preprocess, isa)?.with_roi(roi.clone());
        let (height, width) = network.grid();
        let patches = roi.as_ref().map_or(height * width, |roi| roi.patches());
        bank_builder::check_bound(patches, network.dim(), options)?;
        let store = PatchStore::new(patches, network.dim());
        Ok(Self {
            backbone: backbone.clone(),
            options: options.clone(),
            isa,
            pool,
            network,
            roi,
            extractor,
            store,
            looks: Vec::new(),
        })
    }

    /// Adds the photograph of a good part.
    ///
    /// # Errors
    /// Memory or the disk is full; the photograph then does not count, and others may follow.
    pub fn add(&mut self, frame: &Frame<'_>) -> Result<()> {
        if let Some(mask) = &self.options.roi {
            check_aspect(mask, frame)?;
        }
        let Self { extractor, pool, .. } = self;
        let (patches, _) = pool.install(|| extractor.extract(frame, pool))?;
        let (rows, dim) = (self.store.rows() + self.store.image_rows(), self.store.dim());
        let needed = 4 * rows as u64 * dim as u64 + bank_builder::bytes(rows, dim, &self.options);
        if self.options.max_memory.is_some_and(|bound| needed > bound) {
            let folder = self.options.spool_folder.clone().unwrap_or_else(std::env::temp_dir);
            self.store.spool(&folder)?;
        }
        self.store.add(patches.data)?;
        self.looks.push(Look::of(frame));
        Ok(())
    }

    /// Number of photographs added.
    pub fn images(&self) -> usize {
        self.store.images()
    }

    /// Number of photographs that are copies of one before, up to what is lost when they are resized.
    pub fn copies(&self) -> usize {
        self.store.images() - self.store.distinct().len()
    }

    /// Number of patches of the photographs added.
    pub fn rows(&self) -> usize {
        self.store.rows()
    }

    /// Chooses the memory bank and, if so asked, sets the thresholds.
    ///
    /// # Errors
    /// No photograph was added, the coreset ratio leaves no row, or `observer` stopped the training.
    pub fn finish(self, observer: &mut Observer<'_>) -> Result<PatchCore> {
        self.finish_with_report(observer).map(|(model, _)| model)
    }

    /// As [`finish`](Self::finish), with what the training noticed about its photographs.
    ///
    /// # Errors
    /// As `finish`.
    pub fn finish_with_report(mut self, observer: &mut Observer<'_>) -> Result<(PatchCore, TrainingReport)> {
        if self.images() == 0 {
            return Err(Error::argument("training images", "none", "at least one photograph of a good part"));
        }
        // The choice takes as much memory again.
        self.extractor.release_memory();
        let Self { store, options, isa, pool, network, roi, looks, .. } = &self;
        let distinct = store.distinct();
        let screening = match options.cross_validate {
            true => {
                let (grid, roi) = (network.grid(), roi.as_ref());
                screen(&CrossValidation { store, grid, roi, options, isa: *isa, pool }, &distinct, observer)?
            }
            false => Screening::default(),
        };
        let outliers =
            screening.outliers.iter().map(|&(held_out, limit)| self.outlier(held_out, limit)).collect();
        let report = TrainingReport::new(looks, &distinct, outliers);
        let left_out = |image: &usize| report.outliers.iter().any(|o| o.is_left_out && o.image == *image);
        let learned: Vec<usize> =
            distinct.iter().filter(|copies| !left_out(&copies[0])).flatten().copied().collect();
        let learned = sorted(learned);
        let mut good = screening.good;
        if options.keep_outliers {
            good.extend(screening.outliers.iter().map(|(held_out, _)| held_out));
        }
        let scores = kept_scores(&good, |image| looks[image].checksum())?;
        let calibration = scores.calibrate(options.false_alarm_rate)?;
        let selection = bank_builder::select(store, &learned, options, *isa, pool, observer)?;
        let bank = store.gather(&selection.rows)?;
        let index =
            bank_builder::index(bank, store.dim(), options.bank_precision, options.search, *isa, pool)?;
        let training = Training {
            images: learned.len() as u64,
            patches: (learned.len() * store.image_rows()) as u64,
            sampled: selection.sampled.map(|rows| rows as u64),
            coreset_ratio: bank_builder::ratio(
                selection.rows.len(),
                selection.sampled.unwrap_or(learned.len() * store.image_rows()),
                options,
            ),
            seed: Some(options.seed),
            photograph_size: Some(report.size),
        };
        Ok((self.assemble(index, training, calibration, scores), report))
    }

    fn outlier(&self, held_out: HeldOut, limit: f32) -> Outlier {
        let (width, height) = self.looks[held_out.image].size();
        let at = place_in_image(held_out.map.peak_at, &self.options.preprocess, width, height);
        let is_left_out = !self.options.keep_outliers;
        Outlier { image: held_out.image, score: held_out.score, limit, at, is_left_out }
    }

    /// A model whose memory bank is the first `rows` patches, without a coreset and a calibration.
    #[doc(hidden)]
    pub fn keep_first(self, rows: usize) -> Result<PatchCore> {
        let rows: Vec<usize> = (0..rows.min(self.rows())).collect();
        let bank = self.store.gather(&rows)?;
        let Self { options, isa, pool, .. } = &self;
        let index =
            bank_builder::index(bank, self.store.dim(), options.bank_precision, options.search, *isa, pool)?;
        let training = Training {
            images: self.images() as u64,
            patches: self.rows() as u64,
            sampled: None,
            coreset_ratio: self.options.coreset_ratio,
            seed: Some(self.options.seed),
            photograph_size: None,
        };
        Ok(self.assemble(index, training, Calibration::NONE, GoodScores::default()))
    }

    fn assemble(
        self,
        index: Index,
        training: Training,
        calibration: Calibration,
        good_scores: GoodScores,
    ) -> PatchCore {
        let Self { backbone, options, isa, network, roi, store, .. } = self;
        let metadata = Metadata {
            producer: concat!("patchcore ", env!("CARGO_PKG_VERSION")).into(),
            architecture: backbone.architecture().name().into(),
            weights: backbone.origin().into(),
            weights_checksum: backbone.checksum(),
            embedded: backbone.is_embedded() && options.refer_to_backbone,
            layers: network.layers().to_vec(),
            preprocess: options.preprocess,
            orientation: options.orientation,
            bit_depth: options.bit_depth,
            rows: index.bank().count() as u64,
            dim: store.dim() as u64,
            neighbors: options.neighbors,
            training,
            calibration,
            good_scores,
            roi: roi.as_ref().map(|roi| roi.to_bits()),
        };
        PatchCore(Arc::new(Model { metadata, backbone, network, index, roi, isa, file_bytes: None }))
    }
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers
}

impl PatchCore {
    /// Trains on photographs of good parts. See [`Trainer`] for photographs that arrive one by one, and for
    /// progress.
    ///
    /// # Errors
    /// Any error that an image of the iterator is, an option out of its range, no image at all.
    pub fn train(
        backbone: &Backbone,
        options: &TrainOptions,
        images: impl IntoIterator<Item = Result<Picture>>,
    ) -> Result<Self> {
        let mut trainer = Trainer::new(backbone, options)?;
        for image in images {
            trainer.add(&image?.frame())?;
        }
        trainer.finish(&mut |_, _, _| ControlFlow::Continue(()))
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut trainer = f.debug_struct("Trainer");
        trainer.field("options", &self.options).field("images", &self.images()).finish_non_exhaustive()
    }
}
