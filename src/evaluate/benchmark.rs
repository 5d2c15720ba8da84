//! The reference's tables over many categories, with its published figures beside ours.

use super::published::{CATEGORIES, Metric, published};
use super::report::{Evaluation, or_dash};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Results over networks and categories: tables of image AUROC, pixel AUROC and image F1.
///
/// Columns are the average, then the categories of MVTec AD in the published order, then others by name. Only
/// categories that were run have a column. The average is over those of MVTec AD among them (over all where
/// there are none) for which the network has a result, and the average of the published row is over the same.
///
/// F1 is that of the best threshold, since the reference too sets its threshold on the test set.
#[derive(Clone, Debug, Default)]
pub struct Benchmark {
    runs: Vec<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    net: String,
    category: String,
    /// In the order of [`Metric::ALL`].
    figures: [Option<f64>; 3],
}

/// One line of a table.
struct Row<'a> {
    net: &'a str,
    published: bool,
    average: Option<f64>,
    /// One for each category that was run.
    cells: Vec<Option<f64>>,
}

impl Benchmark {
    /// Adds the result of `net` (as the command line names it) on `category`; a second one replaces the
    /// first.
    pub fn add(&mut self, net: &str, category: &str, result: &Evaluation) {
        self.runs.retain(|run| (run.net.as_str(), run.category.as_str()) != (net, category));
        let figures = [result.image_auroc, result.pixel_auroc, result.image_f1_max];
        self.runs.push(Run { net: net.into(), category: category.into(), figures });
    }

    /// Three tables and what they mean, as Markdown.
    pub fn to_markdown(&self) -> String {
        let categories = self.categories();
        let mut text = String::new();
        for metric in Metric::ALL {
            let titles: String =
                categories.iter().map(|category| format!(" {} |", title(category))).collect();
            let _ = writeln!(text, "### {}\n\n| | Avg |{titles}", metric.title());
            let _ = writeln!(text, "|---|---|{}", "---|".repeat(categories.len()));
            for row in self.rows(metric, &categories) {
                let name =
                    format!("{}{}", net_title(row.net), if row.published { ", published" } else { "" });
                let cells: String =
                    row.cells.iter().map(|&cell| format!(" {} |", or_dash(cell, 3))).collect();
                let _ = writeln!(text, "| {name} | {} |{cells}", or_dash(row.average, 3));
            }
            text.push('\n');
        }
        let averaged = categories.iter().filter(|category| averaged(category, &categories)).count();
        let _ = writeln!(
            text,
            "Avg is over {averaged} of the {} categories shown, in the published rows over the same. F1 is that of the \
             best threshold. Published: anomalib, seed 42, average over all {} categories of MVTec AD.",
            categories.len(),
            CATEGORIES.len()
        );
        text
    }

    /// One line a row: metric, network, whether measured or published, average, and one column a category.
    pub fn to_csv(&self) -> String {
        let categories = self.categories();
        let names: String = categories.iter().map(|name| format!(",{}", quoted(name))).collect();
        let mut text = format!("metric,net,source,average{names}\n");
        for metric in Metric::ALL {
            for row in self.rows(metric, &categories) {
                let number =
                    |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
                let cells: String = row.cells.iter().map(|&cell| format!(",{}", number(cell))).collect();
                let (net, source) = (quoted(row.net), row.source());
                let _ = writeln!(text, "{},{net},{source},{}{cells}", metric.key(), number(row.average));
            }
        }
        text
    }

    /// `{metric: {net: {"measured" or "published": {"average": a, "categories": {name: figure}}}}}`
    #[allow(clippy::indexing_slicing)] // Of JSON objects: what is missing is added.
    pub fn to_json(&self) -> String {
        let categories = self.categories();
        let mut tables = Map::new();
        for metric in Metric::ALL {
            let mut nets = json!({});
            for row in self.rows(metric, &categories) {
                let cells: Map<String, Value> = categories
                    .iter()
                    .zip(&row.cells)
                    .map(|(&name, &cell)| (name.to_owned(), cell.into()))
                    .collect();
                nets[row.net][row.source()] = json!({ "average": row.average, "categories": cells });
            }
            tables.insert(metric.key().into(), nets);
        }
        format!("{:#}", Value::Object(tables))
    }

    /// The categories that were run, in the order of the columns.
    fn categories(&self) -> Vec<&str> {
        let place =
            |name: &str| CATEGORIES.iter().position(|&known| known == name).unwrap_or(CATEGORIES.len());
        let mut names: Vec<&str> = self.runs.iter().map(|run| run.category.as_str()).collect();
        names.sort_by_key(|&name| (place(name), name));
        names.dedup();
        names
    }

    /// The networks in the order they were first run, each followed by its published row if there is one.
    fn rows(&self, metric: Metric, categories: &[&str]) -> Vec<Row<'_>> {
        let mut rows: Vec<Row> = Vec::new();
        for run in &self.runs {
            if rows.iter().any(|row| row.net == run.net) {
                continue;
            }
            let net = run.net.as_str();
            let measured: Vec<_> =
                categories.iter().map(|category| self.figure(net, metric, category)).collect();
            let figures: Vec<_> =
                categories.iter().map(|category| published(net, metric, category)).collect();
            let counted: Vec<bool> = categories
                .iter()
                .zip(&measured)
                .map(|(c, m)| averaged(c, categories) && m.is_some())
                .collect();
            rows.push(Row { net, published: false, average: mean(&measured, &counted), cells: measured });
            if figures.iter().any(Option::is_some) {
                rows.push(Row { net, published: true, average: mean(&figures, &counted), cells: figures });
            }
        }
        rows
    }

    fn figure(&self, net: &str, metric: Metric, category: &str) -> Option<f64> {
        let run = self.runs.iter().find(|run| run.net == net && run.category == category)?;
        *run.figures.get(metric as usize)?
    }
}

impl Row<'_> {
    fn source(&self) -> &'static str {
        if self.published { "published" } else { "measured" }
    }
}

/// Whether `category` counts in the average over `all`.
fn averaged(category: &str, all: &[&str]) -> bool {
    CATEGORIES.contains(&category) || !all.iter().any(|name| CATEGORIES.contains(name))
}

/// The mean of the counted cells.
fn mean(cells: &[Option<f64>], counted: &[bool]) -> Option<f64> {
    let values: Vec<f64> =
        cells.iter().zip(counted).filter(|&(_, &counted)| counted).filter_map(|(&v, _)| v).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// `metal_nut` as "Metal Nut".
fn title(category: &str) -> String {
    let capital =
        |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
    category.split('_').map(capital).collect::<Vec<String>>().join(" ")
}

fn net_title(net: &str) -> &str {
    match net {
        "resnet18" => "ResNet-18",
        "resnet34" => "ResNet-34",
        "resnet50" => "ResNet-50",
        "wide_resnet50_2" => "Wide ResNet-50",
        other => other,
    }
}

/// `field` for CSV, in quotes where it holds what separates.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Evaluator;
    use crate::score::Calibration;

    fn result(image_auroc: Option<f64>) -> Evaluation {
        let pixel_auroc = Some(0.5);
        Evaluation {
            image_auroc,
            pixel_auroc,
            image_f1_max_threshold: None,
            image_f1_max: None,
            ..Evaluator::new((1, 1)).rank().evaluate(&Calibration::NONE)
        }
    }

    fn mixed() -> Benchmark {
        let mut benchmark = Benchmark::default();
        benchmark.add("resnet18", "zipper", &result(Some(0.9)));
        benchmark.add("resnet18", "my, own", &result(Some(0.1)));
        benchmark.add("resnet18", "grid", &result(Some(0.2)));
        benchmark.add("resnet18", "grid", &result(Some(1.0)));
        benchmark.add("small", "grid", &result(Some(0.7)));
        benchmark
    }

    #[test]
    fn markdown_averages_ours_and_theirs_over_the_same_categories() {
        let text = mixed().to_markdown();
        let expected = "\
### Image-level AUROC

| | Avg | Grid | Zipper | My, own |
|---|---|---|---|---|
| ResNet-18 | 0.950 | 1.000 | 0.900 | 0.100 |
| ResNet-18, published | 0.950 | 0.947 | 0.953 | - |
| small | 0.700 | 0.700 | - | - |
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("| ResNet-18 | - | - | - | - |"), "an undefined F1 has no average:\n{text}");
        assert!(text.contains("Avg is over 2 of the 3 categories shown"), "{text}");
    }

    #[test]
    fn an_undefined_figure_leaves_both_averages() {
        let mut benchmark = mixed();
        benchmark.add("resnet18", "zipper", &result(None));
        let text = benchmark.to_markdown();
        assert!(text.contains("| ResNet-18 | 1.000 | 1.000 | - | 0.100 |"), "{text}");
        assert!(text.contains("| ResNet-18, published | 0.947 | 0.947 | 0.953 | - |"), "{text}");
    }

    #[test]
    fn all_fifteen_show_the_published_row_in_its_order() {
        let mut benchmark = Benchmark::default();
        CATEGORIES.iter().rev().for_each(|name| benchmark.add("wide_resnet50_2", name, &result(Some(1.0))));
        let text = benchmark.to_markdown();
        assert!(text.contains("| | Avg | Carpet | Grid | Leather | Tile | Wood | Bottle | Cable | Capsule | Hazelnut | Metal Nut |"));
        assert!(text.contains("| Wide ResNet-50, published | 0.980 | 0.984 | 0.959 | 1.000 |"), "{text}");
    }

    #[test]
    fn own_categories_alone_are_averaged() {
        let mut benchmark = Benchmark::default();
        benchmark.add("default", "brick", &result(Some(0.5)));
        benchmark.add("default", "grass", &result(Some(1.0)));
        assert!(benchmark.to_markdown().contains("| default | 0.750 | 0.500 | 1.000 |"));
        assert!(!benchmark.to_markdown().contains("| default, published"));
        assert!(Benchmark::default().to_markdown().contains("| | Avg |\n"));
    }

    #[test]
    fn csv_quotes_names_and_leaves_undefined_empty() {
        let csv = mixed().to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "metric,net,source,average,grid,zipper,\"my, own\"");
        assert_eq!(lines[1], "image_auroc,resnet18,measured,0.950000,1.000000,0.900000,0.100000");
        assert_eq!(lines[2], "image_auroc,resnet18,published,0.950000,0.947000,0.953000,");
        assert_eq!(lines[3], "image_auroc,small,measured,0.700000,0.700000,,");
        assert_eq!(lines.len(), 1 + 3 * 3);
    }

    #[test]
    fn json_holds_measured_and_published() {
        let json: Value = serde_json::from_str(&mixed().to_json()).unwrap();
        let net = &json["image_auroc"]["resnet18"];
        assert_eq!(net["measured"]["categories"]["my, own"], 0.1);
        assert_eq!(net["measured"]["average"], 0.95);
        assert_eq!(
            net["published"]["categories"],
            json!({ "grid": 0.947, "zipper": 0.953, "my, own": null })
        );
        assert_eq!(json["image_auroc"]["small"].as_object().unwrap().len(), 1);
    }
}
