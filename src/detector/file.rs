//! Models as files: sections in, detector out, and back.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::metadata::Metadata;
use super::options::MAX_NEIGHBORS;
use super::{Model, PatchCore, Roi};
use crate::error::{Error, Result, shortened};
use crate::image::check_bit_depth;
use crate::kernels::Isa;
use crate::model_file::map::{Bytes, MappedFile};
use crate::model_file::sections::{SectionWriter, Sections};
use crate::network::{Architecture, Backbone, Mode, Network};
use crate::parallel::Pool;
use crate::search::Index;
use std::borrow::Cow;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

const WEIGHTS: &str = "weights";
/// Weights of half precision, as the embedded backbones have them.
const HALF_WEIGHTS: &str = "weights.half";
/// Names a model without a file in errors.
const IN_MEMORY: &str = "model in memory";

/// How a model file is opened.
///
/// ```no_run
/// use patchcore::OpenOptions;
///
/// let model = OpenOptions::default().threads(4).open("flanges.pcore")?;
/// # Ok::<(), patchcore::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Compare every section's checksum, which reads the file once. Default: on.
    pub verify: bool,
    /// Bytes of the file. Default: 8 GiB.
    pub max_bytes: u64,
    /// Pixels of the network's input: a session takes about 500 bytes for each, see
    /// [`PatchCore::memory`]. Default: 2048 x 2048.
    pub max_pixels: usize,
    /// Convolution arithmetic. Default: `Fast`.
    pub mode: Mode,
    /// Instruction set; `None` detects the best. Default: `None`.
    pub isa: Option<Isa>,
    /// Threads that prepare the network's weights, until the model is open; 0 means one for each core.
    /// Default: 1, which starts none.
    pub threads: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            verify: true,
            max_bytes: 8 << 30,
            max_pixels: 1 << 22,
            mode: Mode::Fast,
            isa: None,
            threads: 1,
        }
    }
}

setters!(OpenOptions {
    verify: bool,
    max_bytes: u64,
    max_pixels: usize,
    mode: Mode,
    isa: Option<Isa>,
    threads: usize,
});

impl OpenOptions {
    /// Reads the model file `path` into memory: what happens to the file afterwards does not matter.
    ///
    /// # Errors
    /// The file cannot be read or is damaged ([`ErrorKind::Format`](crate::ErrorKind::Format)); it is of
    /// another format version, or needs an embedded backbone that this build does not have
    /// ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)); a limit is exceeded; or a thread cannot
    /// be started.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<PatchCore> {
        let path = path.as_ref();
        self.open_bytes(&path.display().to_string(), Bytes::read(path, self.max_bytes)?)
    }

    /// Opens the model in a mapped file, in place: the memory bank stays in the file's pages, which processes
    /// share.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_mapped(&self, file: MappedFile) -> Result<PatchCore> {
        let name = file.name().to_owned();
        self.open_bytes(&name, file.into())
    }

    /// Opens a model that lies in memory for the program's whole life, such as one linked into flash, where
    /// it lies: the memory bank is not copied. The first byte must be aligned to 64.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where the bytes are not aligned.
    pub fn open_static(&self, content: &'static [u8]) -> Result<PatchCore> {
        self.open_bytes(IN_MEMORY, Bytes::in_place(content)?)
    }

    /// Opens a copy of the model file whose bytes are `content`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_copy(&self, content: &[u8]) -> Result<PatchCore> {
        // What is too long or no model is not copied.
        self.check_length(IN_MEMORY, content.len())?;
        Sections::check(IN_MEMORY, content)?;
        self.open_bytes(IN_MEMORY, Bytes::copy_of(content))
    }

    /// Opens the model file that `reader` gives until it ends, `source` being its name in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_reader(&self, source: &str, reader: impl Read) -> Result<PatchCore> {
        // One byte more shows that there is more.
        let reader = reader.take(self.max_bytes.saturating_add(1));
        let bytes = Bytes::from_reader(reader, 0).map_err(|e| Error::io(Path::new(source), "read", &e))?;
        self.open_bytes(source, bytes)
    }

    fn check_length(&self, source: &str, bytes: usize) -> Result<()> {
        if bytes as u64 > self.max_bytes {
            return Err(Error::too_long(source, self.max_bytes));
        }
        Ok(())
    }

    fn open_bytes(&self, source: &str, bytes: Bytes) -> Result<PatchCore> {
        self.check_length(source, bytes.len())?;
        let sections = Sections::parse(source, bytes, self.verify)?;
        let metadata = Metadata::decode(&sections).map_err(|e| e.of_file(source))?;
        let isa = self.isa.map_or_else(Isa::detect, Ok)?;
        check_metadata(&metadata).map_err(|e| e.of_file(source))?;
        let size = metadata.preprocess.output_size();
        check_input(size, self.max_pixels)
            .map_err(|e| e.within(source).hint("OpenOptions::max_pixels is the limit"))?;
        let backbone = backbone(source, &sections, &metadata)?;
        check_backbone(&metadata, &backbone).map_err(|e| e.within(source))?;
        let pool = Pool::new(self.threads)?;
        let network = Network::new(&backbone, &metadata.layers, size, self.mode, isa, &pool)
            .map_err(|e| e.of_file(source))?;
        let dim = network.dim();
        let bad_bank = |found: String, expected: String| {
            Err(Error::format(format!("{source}: memory bank"), found, expected))
        };
        if metadata.dim != dim as u64 {
            return bad_bank(format!("{} values a row", metadata.dim), format!("the {dim} of its layers"));
        }
        let index = Index::open(&sections, dim, isa)?;
        let rows = index.bank().count();
        if rows as u64 != metadata.rows {
            return bad_bank(format!("{rows} rows"), metadata.rows.to_string());
        }
        if self.verify {
            index.check_finite().map_err(|e| e.within(source))?;
        }
        let roi =
            metadata.roi.as_ref().map(|bits| Roi::from_bits(bits, &metadata.preprocess, network.grid()));
        let roi = roi.transpose().map_err(|e| e.within(source))?.map(Arc::new);
        let file_bytes = Some(sections.file_len());
        Ok(PatchCore(Arc::new(Model {
            metadata,
            backbone,
            network: Arc::new(network),
            index,
            roi,
            isa,
            file_bytes,
        })))
    }
}

fn check_metadata(metadata: &Metadata) -> Result<()> {
    if !(1..=MAX_NEIGHBORS).contains(&metadata.neighbors) {
        return Err(Error::format("neighbors", metadata.neighbors, format!("1 to {MAX_NEIGHBORS}")));
    }
    metadata.preprocess.validate()?;
    check_bit_depth(metadata.bit_depth)?;
    metadata.calibration.validate()
}

/// Checks the (height, width) of the network's input, whose sides are checked, against the limit on its
/// pixels.
pub(crate) fn check_input((height, width): (usize, usize), max_pixels: usize) -> Result<()> {
    if height * width <= max_pixels {
        return Ok(());
    }
    let (found, expected) = (format!("{height}x{width}"), format!("at most {max_pixels} pixels"));
    Err(Error::limit("network input", found, expected))
}

fn backbone(source: &str, sections: &Sections, metadata: &Metadata) -> Result<Backbone> {
    let backbone = if metadata.embedded {
        Backbone::embedded(&metadata.weights)
    } else {
        let halves = sections.find(HALF_WEIGHTS)?;
        let flat = if halves.is_some() { None } else { Some(sections.get(WEIGHTS)?) };
        Architecture::named(&metadata.architecture).and_then(|network| match (halves, flat) {
            (Some(halves), _) => Backbone::from_halves(&network, halves),
            (None, flat) => Backbone::from_flat(&network, flat.unwrap_or_else(|| Vec::new().into())),
        })
    };
    backbone.map_err(|e| e.of_file(source))
}

/// Checks that `found` is the backbone that the metadata names.
fn check_backbone(metadata: &Metadata, found: &Backbone) -> Result<()> {
    check_weights(metadata, found.checksum())?;
    let network = found.architecture().name();
    if metadata.architecture != network {
        return Err(Error::format("network", format!("{:?}", metadata.architecture), network));
    }
    Ok(())
}

fn check_weights(metadata: &Metadata, found: u32) -> Result<()> {
    let Metadata { weights, weights_checksum: expected, producer, .. } = metadata;
    if found == *expected {
        return Ok(());
    }
    let what = if metadata.embedded { "embedded backbone" } else { "weights" };
    let error = Error::format(
        format!("{what} \"{}\"", shortened(weights)),
        format!("checksum {found:08x}"),
        format!("{expected:08x}"),
    );
    Err(match metadata.embedded {
        true => error.hint(format!(
            "made by {}, which brings other weights: train again, or open it with that",
            shortened(producer)
        )),
        false => error,
    })
}

impl PatchCore {
    /// Reads the model file `path` into memory; see [`OpenOptions`] for limits and other ways.
    ///
    /// # Errors
    /// See [`OpenOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::default().open(path)
    }

    /// Opens the model in a mapped file, in place.
    ///
    /// # Errors
    /// See [`OpenOptions::open`].
    pub fn open_mapped(file: MappedFile) -> Result<Self> {
        OpenOptions::default().open_mapped(file)
    }

    /// Writes the model to `path`: to a temporary file in the same folder first, synced, then renamed, so
    /// that there is always the old file or the new one, whole.
    ///
    /// # Errors
    /// The file cannot be written, or a number of the calibration is infinite; an existing file is then
    /// untouched.
    #[cfg(feature = "train")]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let parts = self.parts()?;
        crate::atomic::write(path.as_ref(), |mut out| self.sections(&parts).write_to(&mut out))
    }

    /// Writes the model file to `out`, as [`save`](Self::save) does to a file, in many small writes.
    ///
    /// # Errors
    /// `out` fails, or a number of the calibration is infinite.
    pub fn write_to(&self, mut out: impl Write) -> Result<()> {
        let parts = self.parts()?;
        let written = self.sections(&parts).write_to(&mut out).and_then(|()| out.flush());
        written.map_err(|e| Error::io(Path::new(IN_MEMORY), "write", &e))
    }

    /// The bytes of the model file.
    ///
    /// # Errors
    /// A number of the calibration is infinite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }

    /// What of the file the model does not hold as it is written.
    fn parts(&self) -> Result<Parts<'_>> {
        let Model { metadata, backbone, .. } = &*self.0;
        metadata.calibration.validate()?;
        let (weights, halves) = match backbone.halves() {
            _ if metadata.embedded => (None, None),
            Some(halves) => (None, Some(halves)),
            None => (Some(backbone.flat()), None),
        };
        Ok(Parts { metadata: metadata.encode()?, weights, halves })
    }

    fn sections<'a>(&'a self, parts: &'a Parts<'_>) -> SectionWriter<'a> {
        let mut writer = SectionWriter::default();
        writer.add(Metadata::SECTION, &parts.metadata);
        if let Some(weights) = &parts.weights {
            writer.add(WEIGHTS, weights);
        }
        if let Some(halves) = &parts.halves {
            writer.add(HALF_WEIGHTS, halves);
        }
        self.0.index.write(&mut writer);
        writer
    }
}

/// The encoded metadata, and the backbone's weights unless the file refers to them.
struct Parts<'a> {
    metadata: Vec<u8>,
    weights: Option<Cow<'a, [f32]>>,
    halves: Option<Cow<'a, [u16]>>,
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Training;
    use super::*;
    use crate::ErrorKind;
    use crate::image::{Orientation, Preprocess};
    use crate::memory_bank::MemoryBank;
    use crate::model_file::map::Slice;
    use crate::model_file::sections::SectionWriter;
    use crate::network::Layer;
    use crate::score::{Calibration, GoodScores};
    use crate::search::SearchKind;

    /// The file of a model of `small`'s shape with a bank of two rows.
    fn metadata(weights_checksum: u32, embedded: bool) -> Metadata {
        Metadata {
            producer: "patchcore 9".into(),
            architecture: "resnet18_narrow".into(),
            weights: "small".into(),
            weights_checksum,
            embedded,
            layers: vec![Layer::Layer1],
            preprocess: Preprocess { resize: (32, 32), ..Preprocess::default() },
            orientation: Orientation::Exif,
            bit_depth: None,
            rows: 2,
            dim: 32,
            neighbors: 1,
            training: Training {
                images: 1,
                patches: 64,
                sampled: None,
                coreset_ratio: 0.03,
                seed: None,
                photograph_size: None,
            },
            calibration: Calibration::NONE,
            good_scores: GoodScores::default(),
            roi: None,
        }
    }

    fn open(metadata: &Metadata, weights: Option<&[f32]>) -> Result<PatchCore> {
        let bank: Slice<f32> = (0..64).map(|i| i as f32).collect::<Vec<_>>().into();
        let index =
            Index::build(MemoryBank::single(bank, 32)?, SearchKind::Flat, Isa::best(), &Pool::new(1)?)?;
        let encoded = metadata.encode()?;
        let mut writer = SectionWriter::default();
        writer.add(Metadata::SECTION, &encoded);
        if let Some(weights) = weights {
            writer.add(WEIGHTS, weights);
        }
        index.write(&mut writer);
        let mut file = Vec::new();
        writer.write_to(&mut file).unwrap();
        OpenOptions::default().open_copy(&file)
    }

    #[test]
    fn a_model_with_a_copy_of_its_backbone_opens_in_every_build() {
        let backbone = Backbone::pseudo_random(&Architecture::named("resnet18_narrow").unwrap());
        let checksum = backbone.checksum();
        let model = open(&metadata(checksum, false), Some(&backbone.flat())).unwrap();
        assert_eq!(model.info().weights_checksum(), checksum);
        let message = open(&metadata(checksum ^ 1, false), Some(&backbone.flat())).unwrap_err().to_string();
        let expected =
            format!("weights \"small\": found checksum {checksum:08x}, expected {:08x}", checksum ^ 1);
        assert_eq!(message, format!("model in memory: {expected}"));
    }

    #[cfg(feature = "embedded-small")]
    #[test]
    fn a_model_that_refers_to_an_embedded_backbone_opens_with_that_one_alone() {
        let checksum = Backbone::embedded("small").unwrap().checksum();
        let model = open(&metadata(checksum, true), None).unwrap();
        assert!(model.info().weights_are_embedded());
        let message = open(&metadata(checksum ^ 1, true), None).unwrap_err().to_string();
        let found = format!("found checksum {checksum:08x}, expected {:08x}", checksum ^ 1);
        assert!(message.contains(&format!("embedded backbone \"small\": {found}")), "{message}");
        assert!(message.contains("patchcore 9") && message.contains("train again"), "{message}");
    }

    #[test]
    fn what_a_file_asks_for_wrongly_is_its_fault() {
        let backbone = Backbone::pseudo_random(&Architecture::named("resnet18_narrow").unwrap());
        let checksum = backbone.checksum();
        let whole = || metadata(checksum, false);
        let preprocess = |side| Preprocess { resize: (side, 32), ..Preprocess::default() };
        for (wrong, part) in [
            (
                Metadata { architecture: "resnet18_narrow\nok".into(), ..whole() },
                "network: found \"resnet18_narrow\\nok\"",
            ),
            (Metadata { architecture: "resnet18".into(), ..whole() }, "weights of resnet18"),
            (
                Metadata { embedded: true, weights: "large".into(), ..whole() },
                "embedded backbone: found \"large\"",
            ),
            (Metadata { layers: vec![Layer::Layer1; 2], ..whole() }, "layers: found 2 with repeats"),
            (Metadata { layers: Vec::new(), ..whole() }, "layers"),
            (Metadata { preprocess: preprocess(31), ..whole() }, "network input: found 31x32"),
            (Metadata { preprocess: preprocess(0), ..whole() }, "image size: found 0x32"),
            (Metadata { bit_depth: Some(17), ..whole() }, "bit depth: found 17, expected 9 to 16"),
            (Metadata { neighbors: 0, ..whole() }, "neighbors: found 0"),
            (Metadata { dim: 31, ..whole() }, "memory bank: found 31 values a row"),
            (Metadata { rows: 3, ..whole() }, "memory bank: found 2 rows, expected 3"),
        ] {
            let error = open(&wrong, Some(&backbone.flat())).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with(&format!("model in memory: {part}")), "{message}");
            assert_eq!(error.kind(), ErrorKind::Format, "{message}");
        }
        let error = open(&whole(), None).unwrap_err().to_string();
        assert_eq!(error, "model in memory: section weights: found no such section, expected one");
    }

    #[cfg(feature = "embedded-small")]
    #[test]
    fn the_network_that_is_told_is_the_backbones() {
        let checksum = Backbone::embedded("small").unwrap().checksum();
        let forged = Metadata { architecture: "resnet18\nmade by ok".into(), ..metadata(checksum, true) };
        let error = open(&forged, None).unwrap_err();
        let found = r#"found "resnet18\nmade by ok", expected resnet18_narrow"#;
        assert_eq!(error.to_string(), format!("model in memory: network: {found}"));
        assert_eq!(error.kind(), ErrorKind::Format);
    }

    #[test]
    fn a_message_is_short_however_much_the_file_says() {
        let backbone = Backbone::pseudo_random(&Architecture::named("resnet18_narrow").unwrap());
        let long = "\x1b[2J\n".repeat(5000);
        let long = || long.clone();
        for hostile in [
            Metadata { weights: long(), ..metadata(0, false) },
            Metadata { architecture: long(), ..metadata(0, false) },
            Metadata { weights: long(), ..metadata(0, true) },
            // With a backbone that this build brings, the producer is told.
            Metadata { producer: long(), ..metadata(0, true) },
        ] {
            let message = open(&hostile, Some(&backbone.flat())).unwrap_err().to_string();
            assert!(message.len() < 1000 && !message.contains(char::is_control), "{message}");
        }
    }

    #[test]
    fn what_is_too_long_is_told_before_what_it_is() {
        let options = OpenOptions { max_bytes: 99, ..OpenOptions::default() };
        let error = options.open_copy(&[0; 100]).unwrap_err();
        assert_eq!(error.to_string(), "model in memory: found a longer file, expected at most 99 bytes");
        assert_eq!(options.open_copy(&[0; 99]).unwrap_err().kind(), ErrorKind::Format);
    }

    #[cfg(not(feature = "embedded-small"))]
    #[test]
    fn a_build_without_the_embedded_backbone_names_the_feature() {
        let error = open(&metadata(0, true), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        let message = error.to_string();
        assert!(message.starts_with("model in memory: embedded backbone: found \"small\""), "{message}");
        assert!(message.contains("feature embedded-small"), "{message}");
    }
}
