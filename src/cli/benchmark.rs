//! `patchcore benchmark`

use super::backbone;
use super::fit::{self, FitArguments};
use crate::error::{Error, Result};
use crate::evaluate::{Benchmark, Dataset};
use std::path::{Path, PathBuf};

/// Train and evaluate on every category, and print the reference's tables with the published values beside ours
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of the categories, in the MVTec AD layout
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Only these categories
    #[arg(long, value_name = "NAME", num_args = 1..)]
    category: Vec<String>,
    /// Networks to compare
    #[arg(long, value_name = "NET", num_args = 1.., default_value = "default")]
    backbone: Vec<String>,
    /// Weight files, one for each network that is not embedded, in the same order
    #[arg(long, value_name = "FILE", num_args = 1..)]
    weights: Vec<PathBuf>,
    #[command(flatten)]
    fit: FitArguments,
    /// Write benchmark.md, benchmark.csv and benchmark.json to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let categories = match &arguments.category[..] {
        [] => Dataset::categories(&arguments.data)?,
        some => some.to_vec(),
    };
    let mut benchmark = Benchmark::default();
    for (net, weights) in pair(&arguments.backbone, &arguments.weights)? {
        let network = backbone::load(net, weights)?;
        for category in &categories {
            let dataset = Dataset::open(&arguments.data, Some(category))?;
            if !dataset.has_both_classes() {
                return Err(Error::argument(
                    format!("{}/{category}/test", arguments.data.display()),
                    "not both kinds",
                    "good and defective photographs",
                ));
            }
            eprintln!("{net}: {category}");
            let trained = fit::train(&dataset, &network, &arguments.fit)?;
            if let Some(scored) = trained.scored {
                benchmark.add(net, category, &scored.evaluate(trained.model.calibration()));
            }
        }
    }
    if let Some(folder) = &arguments.out {
        save(&benchmark, folder)?;
    }
    super::print(benchmark.to_markdown())
}

/// Each network with its weight file: the embedded ones take none.
fn pair<'a>(networks: &'a [String], weights: &'a [PathBuf]) -> Result<Vec<(&'a str, Option<&'a Path>)>> {
    let mut files = weights.iter();
    let pairs = networks.iter().map(|net| match net.as_str() {
        "default" | "small" => (net.as_str(), None),
        _ => (net.as_str(), files.next().map(PathBuf::as_path)),
    });
    let pairs = pairs.collect();
    match files.next() {
        Some(file) => Err(Error::argument(
            "--weights",
            format!("{} for no network", file.display()),
            "one file for each --backbone that is not embedded",
        )),
        None => Ok(pairs),
    }
}

fn save(benchmark: &Benchmark, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", &e))?;
    let files = [
        ("benchmark.md", benchmark.to_markdown()),
        ("benchmark.csv", benchmark.to_csv()),
        ("benchmark.json", benchmark.to_json()),
    ];
    for (name, content) in files {
        crate::atomic::write(&folder.join(name), |out| out.write_all(content.as_bytes()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_files_go_to_the_networks_that_need_them() {
        let networks = ["default", "resnet18", "small", "resnet50"].map(String::from);
        let weights = ["a.pth", "b.pth"].map(PathBuf::from);
        let pairs = pair(&networks, &weights).unwrap();
        let files: Vec<_> = pairs.iter().map(|(_, file)| file.map(|f| f.display().to_string())).collect();
        assert_eq!(files, [None, Some("a.pth".into()), None, Some("b.pth".into())]);
        assert!(pair(&networks[..1], &weights).is_err());
    }
}
