//! `patchcore embed`

use super::backbone::BackboneArguments;
use super::embedding::EmbeddingArguments;
use super::output;
use super::predict::photographs;
use super::progress::Bar;
use patchcore::Isa;
use patchcore::PatchExtractor;
use patchcore::Pool;
use patchcore::Result;
use patchcore::image::Photograph;
use patchcore::internals::network::{Mode, Network};
use patchcore::internals::npy;
use std::path::PathBuf;
use std::sync::Arc;

/// Write the patch embeddings of photographs as a NumPy file: float32 [images, patches, values]
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    backbone: BackboneArguments,
    #[command(flatten)]
    embedding: EmbeddingArguments,
    /// Photographs, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FEATURES.npy")]
    out: PathBuf,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let mut paths = Vec::new();
    for path in &arguments.paths {
        paths.extend(photographs(path, &mut Err)?);
    }
    output::check("--out", &arguments.out, &paths)?;
    let decode_options = arguments.embedding.decode_options();
    let preprocess = arguments.embedding.preprocess(&paths)?;
    let (isa, pool) = (Isa::detect()?, Pool::new(arguments.embedding.threads)?);
    let backbone = arguments.backbone.load()?;
    let (layers, size) = (&arguments.embedding.layers, preprocess.output_size());
    let network = Arc::new(Network::new(&backbone, layers, size, Mode::Fast, isa, &pool)?);
    let mut extractor = PatchExtractor::new(&network, &preprocess, isa)?;
    let (rows, columns) = network.grid();
    let shape = [paths.len(), rows * columns, network.dim()];
    let mut out = npy::Writer::create(&arguments.out, &shape)?;
    let bar = Bar::new("embedding", paths.len());
    for path in &paths {
        let picture = Photograph::decode(path, &decode_options)?.picture;
        let (patches, _) =
            extractor.extract(&picture.frame(), &pool).map_err(|e| e.within(path.display()))?;
        out.write(patches.data)?;
        bar.step()?;
    }
    out.finish()?;
    let [images, patches, values] = shape;
    super::print(format!("{}: {images} x {patches} x {values}", arguments.out.display()))
}
