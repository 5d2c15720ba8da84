//! `patchcore benchmark`

use super::backbone;
use super::pictures::create_folder;
use super::training::{self, TrainingArguments};
use patchcore::Backbone;
use patchcore::evaluate::{Benchmark, Dataset};
use patchcore::{Error, ErrorKind, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const TABLES: [&str; 3] = ["benchmark.md", "benchmark.csv", "benchmark.json"];

/// Train and evaluate on every category, and print the reference's tables with the published values beside
/// ours
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of the categories, in the MVTec AD layout
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Only these categories
    #[arg(long, value_name = "NAME", num_args = 1..)]
    category: Vec<String>,
    /// Networks to compare
    #[arg(long, value_name = "NET", num_args = 1.., default_value = "default", value_parser = backbone::networks())]
    backbone: Vec<String>,
    /// Weight files, one for each network that is not embedded, in the same order
    #[arg(long, value_name = "FILE", num_args = 1..)]
    weights: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArguments,
    /// Write benchmark.md, benchmark.csv and benchmark.json to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command. A category that fails, or a signal to stop, does not cost the results that there are,
/// but the exit status tells.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let networks = networks(&arguments)?;
    let datasets = datasets(&arguments)?;
    if let Some(folder) = &arguments.out {
        check_output(folder)?;
    }
    let mut benchmark = Benchmark::default();
    let mut status = ExitCode::SUCCESS;
    let mut finished = 0;
    let runs = networks.iter().flat_map(|network| datasets.iter().map(move |dataset| (network, dataset)));
    for ((net, network), (category, dataset)) in runs {
        super::tell(format!("{net}: {category}"));
        match training::train(dataset, network, &arguments.training) {
            Ok(trained) => {
                if let Some(scored) = trained.scored {
                    benchmark.add(net, category, &scored.evaluate(trained.model.calibration()));
                    finished += 1;
                }
            }
            Err(error) => {
                let stop = error.kind() == ErrorKind::Cancelled;
                status = super::report(error);
                if stop {
                    break;
                }
            }
        }
    }
    if finished > 0 {
        // Where the one cannot be written the other may be.
        let printed = super::print(benchmark.to_markdown());
        if let Some(folder) = &arguments.out {
            save(&benchmark, folder)?;
        }
        printed?;
    }
    Ok(status)
}

/// The networks with their names: all are loaded, and fit the options, before the first is trained with.
fn networks(arguments: &Arguments) -> Result<Vec<(&str, Backbone)>> {
    each_once("--backbone", &arguments.backbone)?;
    let load = |(net, weights)| {
        let network = backbone::load(net, weights)?;
        training::check(&network, &arguments.training)?;
        Ok((net, network))
    };
    pair(&arguments.backbone, &arguments.weights)?.into_iter().map(load).collect()
}

/// The categories with their photographs.
fn datasets(arguments: &Arguments) -> Result<Vec<(String, Dataset)>> {
    each_once("--category", &arguments.category)?;
    let root = &arguments.data;
    let categories = match &arguments.category[..] {
        [] => Dataset::categories(root)?,
        some => some.to_vec(),
    };
    if categories.is_empty() {
        return Err(Error::format(root.display(), "no category", "folders with train/good in them")
            .hint("the layout is CATEGORY/train/good, CATEGORY/test/good and CATEGORY/test/DEFECT"));
    }
    let open = |category: String| {
        let dataset = Dataset::open(root, Some(&category))?;
        training::report_notes(&dataset.notes);
        if !dataset.has_both_classes() {
            let tests = root.join(&category).join("test");
            return Err(Error::format(tests.display(), "not both kinds", "good and defective photographs"));
        }
        Ok((category, dataset))
    };
    categories.into_iter().map(open).collect()
}

fn each_once(flag: &str, names: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(Error::argument(flag, format!("{twice} twice"), "each name once")),
        None => Ok(()),
    }
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

/// Makes the folder, and fails where a table could not be written to it.
fn check_output(folder: &Path) -> Result<()> {
    create_folder(folder)?;
    TABLES.iter().try_for_each(|name| patchcore::internals::atomic::check(&folder.join(name)))
}

fn save(benchmark: &Benchmark, folder: &Path) -> Result<()> {
    let contents = [benchmark.to_markdown(), benchmark.to_csv(), benchmark.to_json()];
    let mut tables = TABLES.iter().zip(contents);
    tables.try_for_each(|(name, content)| {
        patchcore::internals::atomic::write(&folder.join(name), |out| out.write_all(content.as_bytes()))
    })
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
