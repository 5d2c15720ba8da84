//! The result of an evaluation, as JSON and as a table.

use super::insert_path;
use crate::error::place;
use serde_json::{Value, json};
use std::fmt;
use std::path::PathBuf;

/// How a model did on a test set. Metrics are of raw scores; `None` where one class is missing, for those of
/// pixels where there are no masks, and for those at a threshold where the model has none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// Area under the ROC curve of the image scores.
    pub image_auroc: Option<f64>,
    /// F1 of the image labels, at the model's threshold.
    pub image_f1: Option<f64>,
    /// The highest F1 that a threshold on image scores can reach.
    pub image_f1_max: Option<f64>,
    /// The threshold that reaches it.
    pub image_f1_max_threshold: Option<f32>,
    /// The model's threshold on raw image scores.
    pub image_threshold: Option<f32>,
    /// Area under the ROC curve of all pixels of all images.
    pub pixel_auroc: Option<f64>,
    /// F1 of all pixels' labels, at the model's threshold: of the masks that the model gives.
    pub pixel_f1: Option<f64>,
    /// The highest F1 that a threshold on pixels can reach.
    pub pixel_f1_max: Option<f64>,
    /// The threshold that reaches it.
    pub pixel_f1_max_threshold: Option<f32>,
    /// The model's threshold on raw map values.
    pub pixel_threshold: Option<f32>,
    /// Area under the per-region overlap curve up to a false positive rate of 0.3.
    pub aupro: Option<f64>,
    /// The metrics as the reference computes them.
    pub compat: Compat,
    /// What the model's thresholds come from, in words.
    pub calibration: String,
    /// One result an image, in the order they were added.
    pub images: Vec<ImageResult>,
}

/// The reference's four test metrics: of normalised scores clamped to `[0, 1]`, which can tie where raw
/// scores do not, with a score at the threshold counted as good.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Compat {
    /// `image_AUROC`
    pub image_auroc: Option<f64>,
    /// `image_F1Score`
    pub image_f1: Option<f64>,
    /// `pixel_AUROC`
    pub pixel_auroc: Option<f64>,
    /// `pixel_F1Score`
    pub pixel_f1: Option<f64>,
}

/// One image of a test set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImageResult {
    /// The image.
    pub path: PathBuf,
    /// The truth: whether it has a defect.
    pub label: bool,
    /// Raw score.
    pub score: f32,
    /// Score in `[0, 1]`, the threshold at 0.5; `None` where the model knows no range.
    pub normalized_score: Option<f32>,
    /// The model's verdict; `None` where it labels nothing.
    pub is_anomalous: Option<bool>,
}

impl Evaluation {
    /// The evaluation as one JSON object, with the names of the fields; what is undefined is `null`.
    pub fn to_json(&self) -> String {
        let json = json!({
            "image_auroc": self.image_auroc,
            "image_f1": self.image_f1,
            "image_f1_max": self.image_f1_max,
            "image_f1_max_threshold": self.image_f1_max_threshold,
            "image_threshold": self.image_threshold,
            "pixel_auroc": self.pixel_auroc,
            "pixel_f1": self.pixel_f1,
            "pixel_f1_max": self.pixel_f1_max,
            "pixel_f1_max_threshold": self.pixel_f1_max_threshold,
            "pixel_threshold": self.pixel_threshold,
            "aupro": self.aupro,
            "compat": {
                "image_auroc": self.compat.image_auroc,
                "image_f1": self.compat.image_f1,
                "pixel_auroc": self.compat.pixel_auroc,
                "pixel_f1": self.compat.pixel_f1,
            },
            "calibration": self.calibration,
            "images": self.images.iter().map(ImageResult::to_json).collect::<Vec<_>>(),
        });
        format!("{json:#}")
    }
}

impl ImageResult {
    fn is_wrong(&self) -> bool {
        self.is_anomalous == Some(!self.label)
    }

    fn to_json(&self) -> Value {
        let mut json = json!({
            "label": self.label,
            "score": self.score,
            "normalized_score": self.normalized_score,
            "is_anomalous": self.is_anomalous,
        });
        insert_path(&mut json, "path", &self.path);
        json
    }
}

/// A table for the terminal.
impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |test: fn(&ImageResult) -> bool| self.images.iter().filter(|&image| test(image)).count();
        let defective = count(|image| image.label);
        writeln!(f, "{} good and {defective} defective images", self.images.len() - defective)?;
        writeln!(f, "        AUROC  AUPRO  F1     threshold  best F1  at")?;
        let image = [self.image_auroc, None, self.image_f1, self.image_f1_max];
        let pixel = [self.pixel_auroc, self.aupro, self.pixel_f1, self.pixel_f1_max];
        let image_thresholds = [self.image_threshold, self.image_f1_max_threshold];
        let pixel_thresholds = [self.pixel_threshold, self.pixel_f1_max_threshold];
        for (name, metrics, thresholds) in
            [("image", image, image_thresholds), ("pixel", pixel, pixel_thresholds)]
        {
            let [auroc, aupro, f1, f1_max] = metrics.map(|value| or_dash(value, 3));
            let [threshold, best] = thresholds.map(|value| or_dash(value.map(f64::from), 4));
            writeln!(f, "{name}   {auroc:<5}  {aupro:<5}  {f1:<5}  {threshold:<9}  {f1_max:<7}  {best}")?;
        }
        writeln!(f, "{}", self.calibration)?;
        if self.image_threshold.is_none() {
            return Ok(());
        }
        let missed = count(|image| image.label && image.is_wrong());
        let alarms = count(|image| !image.label && image.is_wrong());
        writeln!(f, "{missed} missed, {alarms} false alarms")?;
        for image in self.images.iter().filter(|image| image.is_wrong()) {
            let verdict = if image.label { "missed" } else { "false alarm" };
            let path = place(image.path.display());
            writeln!(f, "  {verdict:<11}  {:.4}  {path}", image.score)?;
        }
        Ok(())
    }
}

/// `value` with `digits` digits after the point; a dash for undefined.
pub(super) fn or_dash(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        let image = |path: &str, label, score, is_anomalous| ImageResult {
            path: path.into(),
            label,
            score,
            normalized_score: Some(score / 4.0),
            is_anomalous: Some(is_anomalous),
        };
        Evaluation {
            image_auroc: Some(0.75),
            image_f1: Some(0.5),
            image_f1_max: Some(0.8),
            image_f1_max_threshold: Some(2.0),
            image_threshold: Some(2.5),
            pixel_auroc: None,
            pixel_f1: None,
            pixel_f1_max: None,
            pixel_f1_max_threshold: None,
            pixel_threshold: Some(1.5),
            aupro: None,
            compat: Compat { image_auroc: Some(0.7), image_f1: Some(0.5), pixel_auroc: None, pixel_f1: None },
            calibration: "threshold of the imported checkpoint".into(),
            images: vec![
                image("test/good/\"a\".png", false, 3.0, true),
                image("test/bent/b.png", true, 2.0, false),
                image("test/bent/c.png", true, 4.0, true),
            ],
        }
    }

    #[test]
    fn json_has_the_documented_names_and_null_for_undefined() {
        let json: Value = serde_json::from_str(&evaluation().to_json()).unwrap();
        assert_eq!(json["image_auroc"], 0.75);
        assert_eq!(json["image_f1"], 0.5);
        assert_eq!(json["image_threshold"], 2.5);
        for undefined in ["pixel_auroc", "pixel_f1", "aupro"] {
            assert_eq!(json.get(undefined), Some(&Value::Null), "{undefined}");
        }
        assert_eq!(json["compat"]["image_auroc"], 0.7);
        let first = json!({
            "path": "test/good/\"a\".png", "label": false, "score": 3.0, "normalized_score": 0.75, "is_anomalous": true,
        });
        assert_eq!(json["images"][0], first);
    }

    #[test]
    fn table_shows_metrics_and_mistakes() {
        let expected = "\
1 good and 2 defective images
        AUROC  AUPRO  F1     threshold  best F1  at
image   0.750  -      0.500  2.5000     0.800    2.0000
pixel   -      -      -      1.5000     -        -
threshold of the imported checkpoint
1 missed, 1 false alarms
  false alarm  3.0000  test/good/\"a\".png
  missed       2.0000  test/bent/b.png
";
        assert_eq!(evaluation().to_string(), expected);
        let mut named = evaluation();
        named.images[1].path = "test/bent/b\n\u{1b}.png".into();
        assert!(named.to_string().ends_with("test/bent/b\\n\\u{1b}.png\n"), "{named}");
        let unlabelled = Evaluation { image_threshold: None, ..evaluation() };
        assert!(!unlabelled.to_string().contains("missed"));
    }
}
