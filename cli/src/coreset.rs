//! `patchcore coreset`

use super::output;
use super::progress::TrainingProgress;
use patchcore::Isa;
use patchcore::Pool;
use patchcore::Stage;
use patchcore::internals::coreset::{self, Projection};
use patchcore::internals::npy;
use patchcore::internals::tensor::Patches;
use patchcore::{Error, Result};
use std::path::PathBuf;

/// Choose the rows of a NumPy file that a memory bank would keep: int64 indices in the order they are chosen
#[derive(clap::Args)]
pub struct Arguments {
    /// Embeddings, as `embed` writes them: [rows, values] or [images, patches, values]
    #[arg(value_name = "FEATURES.npy")]
    features: PathBuf,
    /// Share of the rows to keep
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = super::usage::share, allow_negative_numbers = true)]
    ratio: f64,
    /// The row to begin with; a random one by default
    #[arg(long, value_name = "ROW", allow_negative_numbers = true)]
    start: Option<usize>,
    /// Compare the rows themselves, not random projections of them: slower
    #[arg(long)]
    no_projection: bool,
    /// Seed of the random start and projection: the same gives the same rows
    #[arg(long, value_name = "NUMBER", default_value_t = 42, allow_negative_numbers = true)]
    seed: u64,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = super::usage::threads, allow_negative_numbers = true)]
    threads: usize,
    /// The file to write
    #[arg(long, value_name = "INDICES.npy")]
    out: PathBuf,
}

pub fn run(arguments: Arguments) -> Result<()> {
    output::check("--out", &arguments.out, [&arguments.features])?;
    let array = npy::read(&arguments.features)?;
    let chosen = select(&array, &arguments)?;
    let indices: Vec<i64> = chosen.into_iter().map(i64::from).collect();
    npy::write(&arguments.out, &[indices.len()], &indices)?;
    super::print(format!("{}: {}", arguments.out.display(), super::counted(indices.len() as u64, "row")))
}

fn select(array: &npy::Array, arguments: &Arguments) -> Result<Vec<u32>> {
    let within = |e: Error| e.within(arguments.features.display());
    let features = rows_of(array).map_err(within)?;
    let rows = features.rows();
    let count = coreset::size(rows, arguments.ratio).map_err(|e| e.about("--ratio"))?;
    let start = arguments.start.unwrap_or_else(|| coreset::start(rows, arguments.seed));
    if start >= rows {
        return Err(Error::argument(
            "--start",
            start,
            format!("a row below {rows}, as {} has them", arguments.features.display()),
        ));
    }
    let (isa, pool) = (Isa::detect()?, Pool::new(arguments.threads)?);
    let projected;
    let compared = if arguments.no_projection {
        features
    } else {
        let projection = Projection::new(features.dim, coreset::projection_dim(rows), arguments.seed);
        projected = projection.apply(features, isa, &pool).map_err(within)?;
        Patches { dim: projection.output_dim(), data: &projected, ..features }
    };
    let mut progress = TrainingProgress::default();
    coreset::select(compared, count, start, isa, &pool, &mut |done, total| {
        progress.observe(Stage::Coreset, done, total)
    })
    .map_err(within)
}

/// The rows of an array: its last dimension.
fn rows_of(array: &npy::Array) -> Result<Patches<'_>> {
    let (dim, grid_width) = match array.shape[..] {
        [rows, dim] => (dim, rows),
        [_, patches, dim] => (dim, patches),
        _ => {
            return Err(Error::format(
                "array",
                format!("shape {:?}", array.shape),
                "[rows, values] or [images, patches, values]",
            ));
        }
    };
    let rows = array.data.len() / dim;
    if u32::try_from(rows).is_err() {
        return Err(Error::limit("array", format!("{rows} rows"), format!("at most {}", u32::MAX)));
    }
    Ok(Patches { dim, grid_width, data: &array.data })
}
