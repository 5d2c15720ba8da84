//! Checkpoints of the reference implementation (anomalib) as models.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod transform;

use crate::bytes::read_file;
use crate::detector::{MAX_NEIGHBORS, Metadata, Model, OpenOptions, PatchCore, Training, check_input};
use crate::error::{Error, Result, shortened};
use crate::image::{Orientation, Preprocess};
use crate::kernels::Isa;
use crate::memory_bank::MemoryBank;
use crate::network::{Architecture, Backbone, Layer, Mode, Network};
use crate::parallel::Pool;
use crate::score::{Calibration, GoodScores, Normalization};
use crate::search::{Index, SearchKind};
use crate::weights::{self, Checkpoint, Field, NamedTensors, WeightLimits};
use std::path::Path;
use std::sync::Arc;

const BANK: &str = "model.memory_bank";
/// Normalised image scores that are no further above the threshold count as on it. The reference's threshold
/// is the score of one of its samples, which its strict rule labels good; the same sample computed here is a
/// few roundings beside it.
const ON_THRESHOLD: f32 = 1e-4;

/// A checkpoint of anomalib's PatchCore as a model, and what its user should know.
#[derive(Debug)]
pub struct Import {
    /// The model. It scores, normalises and labels as the checkpoint does under the reference's test and
    /// predict; a normalised score up to 0.0001 above the threshold counts as on it, which the reference
    /// labels good.
    pub model: PatchCore,
    /// Sentences about what the checkpoint leaves open, or what becomes different; each in one short line.
    pub notes: Vec<String>,
}

/// What a checkpoint need not say itself, and what it may ask for.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Height and width that photographs are resized to, for a checkpoint that does not say. The reference's
    /// default is 256 x 256.
    pub image_size: Option<(usize, usize)>,
    /// Height and width of the centre crop behind it, if there is one. The default of anomalib 2.0 is 224 x
    /// 224, that of later versions none.
    pub center_crop: Option<(usize, usize)>,
    /// Limits on the file.
    pub limits: WeightLimits,
}

setters!(ImportOptions {
    image_size: Option<(usize, usize)>,
    center_crop: Option<(usize, usize)>,
    limits: WeightLimits,
});

impl PatchCore {
    /// Takes the network, memory bank, thresholds and ranges out of `path`, a `.ckpt` of anomalib's
    /// PatchCore. See [`Import`] for what the user of such a model should know.
    ///
    /// # Errors
    /// See [`Import::open`].
    pub fn import(path: impl AsRef<Path>) -> Result<Self> {
        Import::open(path).map(|import| import.model)
    }
}

impl Import {
    /// Reads the checkpoint `path`. Nothing in it is executed.
    ///
    /// # Errors
    /// It cannot be read, is damaged or of another model, was not fitted, does not say how photographs are
    /// prepared, uses a network or a transform that there is none of here, or has an input of more pixels
    /// than [`OpenOptions::default`] opens.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &ImportOptions::default())
    }

    /// As [`open`](Self::open), with `options`.
    ///
    /// # Errors
    /// As `open`, or the options contradict the checkpoint.
    pub fn open_with(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_file(path, options.limits.max_bytes)?;
        let origin = path.file_name().unwrap_or_default().to_string_lossy();
        Self::parse(&path.display().to_string(), &origin, bytes, options)
    }

    /// Reads the checkpoint whose bytes are `bytes`; `source` names it in errors.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open_bytes(source: &str, bytes: Vec<u8>, options: &ImportOptions) -> Result<Self> {
        Self::parse(source, source, bytes, options)
    }

    fn parse(source: &str, origin: &str, bytes: Vec<u8>, options: &ImportOptions) -> Result<Self> {
        if !Checkpoint::recognises(&bytes) {
            let expected = "the start of a checkpoint (.ckpt) of anomalib's PatchCore";
            return Err(Error::format(source, weights::first_bytes(&bytes), expected));
        }
        let checkpoint = Checkpoint::parse(source, &bytes)?;
        let mut notes = Vec::new();
        let settings = Settings::read(&checkpoint.root(), options, &mut notes)?;
        check_input(settings.preprocess.output_size(), OpenOptions::default().max_pixels)
            .map_err(|e| e.within(source))?;
        let tensors = checkpoint.tensors(&options.limits)?;
        drop(checkpoint);
        drop(bytes);
        Ok(Self { model: settings.assemble(tensors, origin, &mut notes)?, notes })
    }
}

/// All of a checkpoint but its tensors.
struct Settings {
    architecture: Architecture,
    layers: Vec<Layer>,
    neighbors: u32,
    coreset_ratio: f64,
    preprocess: Preprocess,
    post_processing: PostProcessing,
}

/// The reference's `PostProcessor`.
struct PostProcessing {
    normalizes: bool,
    labels: bool,
    matches_thresholds: bool,
    image_sensitivity: f32,
    pixel_sensitivity: f32,
}

impl Settings {
    fn read(root: &Field<'_, '_>, options: &ImportOptions, notes: &mut Vec<String>) -> Result<Self> {
        if root.find("state_dict").is_some_and(|state| state.find("image_threshold.value").is_some()) {
            let error = root.error("a checkpoint of anomalib 1 or older", "one of anomalib 2");
            return Err(error.hint(
                "fit the model anew with anomalib 2, or on the same photographs with patchcore train",
            ));
        }
        let parameters =
            root.get("hyper_parameters").map_err(|e| e.hint("not a checkpoint of anomalib's PatchCore"))?;
        let backbone = parameters.get("backbone")?;
        // timm's names say after a dot which weights were loaded; they are in the file.
        let network = backbone.str()?.split('.').next().unwrap_or_default();
        let architecture =
            Architecture::named(network).map_err(|_| backbone.unexpected(Architecture::PUBLISHED))?;
        let layers = parameters.get("layers")?.items()?;
        let layers = layers.iter().map(|field| {
            field.str()?.parse::<Layer>().map_err(|_| field.unexpected("layer1, layer2 or layer3"))
        });
        let layers = layers.collect::<Result<_>>()?;
        let neighbors = parameters.get("num_neighbors")?;
        let count = neighbors.integer()?;
        if !(1..=MAX_NEIGHBORS).contains(&count) {
            return Err(neighbors.unexpected(format!("1 to {MAX_NEIGHBORS}")));
        }
        if let Some(precision) = parameters.find("precision")
            && precision.str()? != "float32"
        {
            notes.push(format!(
                "the reference computes this checkpoint in {}, patchcore in float32: scores differ in the third digit",
                shortened(precision.str()?)
            ));
        }
        Ok(Self {
            architecture,
            layers,
            neighbors: count,
            coreset_ratio: parameters.get("coreset_sampling_ratio")?.float()?,
            preprocess: transform::read_preprocess(root, options, notes)?,
            post_processing: PostProcessing::read(root, notes)?,
        })
    }

    fn assemble(self, mut tensors: NamedTensors, origin: &str, notes: &mut Vec<String>) -> Result<PatchCore> {
        let source = tensors.source().to_string();
        let isa = Isa::detect()?;
        let backbone = Backbone::from_tensors(&self.architecture, &tensors)?.with_origin(origin);
        let (size, pool) = (self.preprocess.output_size(), Pool::new(1)?);
        let network = Network::new(&backbone, &self.layers, size, Mode::Fast, isa, &pool)
            .map_err(|e| e.of_file(&source))?;
        let dim = network.dim();
        let bank = tensors.remove(BANK).ok_or_else(|| {
            Error::format(&source, format!("no tensor {BANK}"), "one")
                .hint("not a checkpoint of anomalib's PatchCore")
        })?;
        let calibration = self.post_processing.calibration(&tensors, notes)?;
        let misshaped = || {
            let subject = format!("{source}: tensor {BANK}");
            Error::format(subject, format!("shape {:?}", bank.shape), format!("shape [rows, {dim}]"))
        };
        if bank.data.is_empty() {
            return Err(misshaped().hint("the model was saved before it was fitted"));
        }
        if !matches!(bank.shape[..], [_, columns] if columns == dim) {
            return Err(misshaped());
        }
        if bank.shape[..] == [1, dim] && self.neighbors > 1 {
            // Its weight is that of one row among one, and one minus that is 0.
            return Err(Error::format(format!("{source}: tensor {BANK}"), "one row", "two at least").hint(
                "the reference scores every photograph 0 by it: fit with a larger coreset_sampling_ratio",
            ));
        }
        let index = MemoryBank::single(bank.data.into(), dim)
            .and_then(|rows| Index::build(rows, SearchKind::Auto, isa, &pool))
            .map_err(|e| e.of_file(&source))?;
        let metadata = Metadata {
            producer: concat!("patchcore ", env!("CARGO_PKG_VERSION"), ", imported").into(),
            architecture: self.architecture.name().into(),
            weights: origin.into(),
            weights_checksum: backbone.checksum(),
            embedded: false,
            layers: network.layers().to_vec(),
            preprocess: self.preprocess,
            orientation: Orientation::Exif,
            bit_depth: None,
            rows: index.bank().count() as u64,
            dim: dim as u64,
            neighbors: self.neighbors,
            training: Training {
                images: 0,
                patches: 0,
                coreset_ratio: self.coreset_ratio,
                seed: None,
                sampled: None,
                photograph_size: None,
            },
            calibration,
            good_scores: GoodScores::default(),
            roi: None,
        };
        let network = Arc::new(network);
        Ok(PatchCore(Arc::new(Model {
            metadata,
            backbone,
            network,
            index,
            roi: None,
            isa,
            file_bytes: None,
        })))
    }
}

impl PostProcessing {
    /// The reference's defaults.
    const DEFAULT: Self = Self {
        normalizes: true,
        labels: true,
        matches_thresholds: true,
        image_sensitivity: 0.5,
        pixel_sensitivity: 0.5,
    };

    fn read(root: &Field<'_, '_>, notes: &mut Vec<String>) -> Result<Self> {
        if !is_enabled(root, "post_processor")? {
            notes
                .push("the checkpoint has no post-processor: scores stay raw and nothing is labelled".into());
            return Ok(Self { normalizes: false, labels: false, ..Self::DEFAULT });
        }
        let Some(config) = root.find("anomalib_post_processor_config") else {
            notes.push(
                "the checkpoint does not say how scores are normalised: the reference's defaults are used"
                    .into(),
            );
            return Ok(Self::DEFAULT);
        };
        let flag = |key: &str| config.get(key)?.bool();
        #[allow(clippy::cast_possible_truncation)] // The reference keeps it in single precision.
        let sensitivity = |key: &str| {
            let field = config.get(key)?;
            let value = field.float()?;
            if !(0.0..=1.0).contains(&value) {
                return Err(field.unexpected("0 to 1"));
            }
            Ok(value as f32)
        };
        let labels = flag("enable_thresholding")?;
        if !labels {
            notes.push("the checkpoint has thresholding turned off: nothing is labelled".into());
        }
        Ok(Self {
            normalizes: flag("enable_normalization")?,
            labels,
            matches_thresholds: flag("enable_threshold_matching")?,
            image_sensitivity: sensitivity("image_sensitivity")?,
            pixel_sensitivity: sensitivity("pixel_sensitivity")?,
        })
    }

    fn calibration(&self, tensors: &NamedTensors, notes: &mut Vec<String>) -> Result<Calibration> {
        let image = self.normalization(tensors, "image", self.image_sensitivity - ON_THRESHOLD)?;
        let pixel = self.normalization(tensors, "pixel", self.pixel_sensitivity)?;
        if self.labels && image.is_raw() {
            notes.push(format!(
                "the checkpoint gives no range of scores: they stay raw and, as in the reference, all above {} are \
                 labelled anomalous",
                1.0 - self.image_sensitivity
            ));
        }
        Ok(Calibration::imported(image, pixel, self.matches_thresholds))
    }

    /// Threshold and range of `kind`; NaN where they are unset.
    fn normalization(&self, tensors: &NamedTensors, kind: &str, sensitivity: f32) -> Result<Normalization> {
        let number = |name: String| match tensors.find(&name) {
            None => Ok(f32::NAN),
            Some(tensor) => match tensor.data[..] {
                [value] if !value.is_infinite() => Ok(value),
                ref values => {
                    let found = match values {
                        [value] => value.to_string(),
                        _ => format!("{} values", values.len()),
                    };
                    let subject = format!("{}: tensor {name}", tensors.source());
                    Err(Error::format(subject, found, "one finite number or NaN"))
                }
            },
        };
        let range = |name: &str| match self.normalizes {
            true => number(format!("post_processor.{kind}_{name}")),
            false => Ok(f32::NAN),
        };
        Ok(Normalization {
            threshold: number(format!("post_processor._{kind}_threshold"))?,
            min: range("min")?,
            max: range("max")?,
            sensitivity: if self.labels { sensitivity } else { f32::NAN },
        })
    }
}

/// Whether the checkpoint's model had the component `name`.
fn is_enabled(root: &Field<'_, '_>, name: &str) -> Result<bool> {
    let components = root.find("anomalib_components_enabled");
    components.and_then(|components| components.find(name)).map_or(Ok(true), |field| field.bool())
}
