//! Metrics and thresholds against scikit-learn, SciPy and the reference.

use crate::support::golden::{Golden, formula, shared};
use patchcore::evaluate::metrics::{FPR_LIMIT, PixelRanking, PixelScores, auroc, f1_max};
use patchcore::evaluate::{Dataset, Evaluator};
use patchcore::score::{Calibration, LabelRule, Normalization, Ranking, f1_adaptive};

trials!(
    image_metrics_are_scikit_learns, pixel_metrics_are_scikit_learns_and_scipys, compat_metrics_are_strict_at_the_threshold;
    shared: metrics_are_the_references, compat_metrics_are_those_of_the_references_run, the_small_data_set_opens
);

#[track_caller]
fn assert_near(what: &str, got: impl Into<f64>, expected: f64) {
    let got = got.into();
    assert!((got - expected).abs() < 2e-7, "{what}: {got}, expected {expected}");
}

fn check(what: &str, ranking: &Ranking, auroc: f64, f1: f64, threshold: f64) {
    assert_near(what, self::auroc(ranking).unwrap(), auroc);
    assert_near(what, f1_max(ranking).unwrap().f1, f1);
    assert_eq!(f64::from(f1_adaptive(ranking).unwrap()), threshold, "{what}: threshold");
}

fn pixels(maps: &[f32], masks: &[bool], height: usize, width: usize) -> PixelRanking {
    let mut scores = PixelScores::new(width);
    for (map, mask) in maps.chunks_exact(height * width).zip(masks.chunks_exact(height * width)) {
        let mask = mask.contains(&true).then_some(mask);
        scores.add(map, mask).unwrap();
    }
    scores.rank()
}

fn image_metrics_are_scikit_learns() {
    let golden = Golden::here("metrics.safetensors");
    for name in ["fine", "ties"] {
        let labels = golden.bool(&format!("{name}.label"));
        let ranking = Ranking::new(&golden.f32(&format!("{name}.score")), &labels).unwrap();
        let figure = |key: &str| golden.scalar(&format!("{name}.{key}"));
        check(name, &ranking, figure("auroc"), figure("f1_max"), figure("threshold"));
        let expected: Vec<bool> = formula(&format!("{name}.label"), labels.len()).map(|u| u < 0.4).collect();
        assert_eq!(labels, expected, "the formula's twin in make.py");
    }
}

fn pixel_metrics_are_scikit_learns_and_scipys() {
    let golden = Golden::here("metrics.safetensors");
    let &[_, height, width] = golden.shape("maps") else { panic!("maps are [images, height, width]") };
    let pixels = pixels(&golden.f32("maps"), &golden.bool("masks"), height, width);
    let figure = |key: &str| golden.scalar(&format!("pixel.{key}"));
    check("pixels", pixels.ranking(), figure("auroc"), figure("f1_max"), figure("threshold"));
    assert_near("AUPRO", pixels.aupro(FPR_LIMIT).unwrap(), figure("aupro"));
}

fn metrics_are_the_references() {
    let (golden, path) = (Golden::shared("metrics.safetensors"), shared("golden/golden.json"));
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for name in ["easy", "hard", "ties"] {
        let labels = golden.bool(&format!("{name}.label"));
        let ranking = Ranking::new(&golden.f32(&format!("{name}.score")), &labels).unwrap();
        let figure = |key: &str| all["metrics"][name][key].as_f64().unwrap();
        check(name, &ranking, figure("auroc"), figure("f1max"), figure("f1_adaptive_threshold"));
    }
    let pixels = pixels(&golden.f32("pixel.map"), &golden.bool("pixel.mask"), 64, 64);
    let figure = |key: &str| all["metrics"]["pixel"][key].as_f64().unwrap();
    assert_near("pixel AUROC", auroc(pixels.ranking()).unwrap(), figure("pixel_auroc"));
    assert_near("AUPRO", pixels.aupro(FPR_LIMIT).unwrap(), figure("aupro_fpr0.3"));
}

/// The reference labels strictly above its threshold, on which a sample lies.
fn compat_metrics_are_strict_at_the_threshold() {
    let golden = Golden::here("metrics.safetensors");
    let (scores, labels) = (golden.f32("ties.score"), golden.bool("ties.label"));
    let threshold = golden.scalar("ties.threshold") as f32;
    let unit = Normalization { threshold: 0.5, min: 0.0, max: 1.0, sensitivity: 0.5 };
    let imported = Calibration::imported(unit, unit, true);
    let mut evaluator = Evaluator::new((1, 1));
    for (i, (score, &label)) in scores.iter().zip(&labels).enumerate() {
        let normalized = (score - threshold) / 4.0 + 0.5;
        evaluator.add(i.to_string(), label, normalized, &[normalized], Some(&[label])).unwrap();
    }
    let ranked = evaluator.rank();
    let count = |is_counted: &dyn Fn(f32, bool) -> bool| {
        scores.iter().zip(&labels).filter(|&(&score, &label)| is_counted(score, label)).count() as f64
    };
    let hits = count(&|score, label| label && score > threshold);
    let strict = 2.0 * hits / (count(&|score, _| score > threshold) + count(&|_, label| label));
    let compat = ranked.evaluate(&imported).compat;
    assert_near("AUROC", compat.image_auroc.unwrap(), golden.scalar("ties.auroc"));
    assert_near("F1", compat.image_f1.unwrap(), strict);
    assert!(strict < golden.scalar("ties.f1_max"), "a defect lies at the threshold");
    let mut ours = imported;
    ours.rule = LabelRule::AtOrAbove;
    assert_near(
        "F1 at the threshold",
        ranked.evaluate(&ours).image_f1.unwrap(),
        golden.scalar("ties.f1_max"),
    );
}

/// anomalib's normalised scores taken as raw ones, under a calibration that leaves them as they are.
fn compat_metrics_are_those_of_the_references_run() {
    let path = shared("golden/anomalib_e2e.json");
    let run: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let unit = Normalization { threshold: 0.5, min: 0.0, max: 1.0, sensitivity: 0.5 };
    let imported = Calibration::imported(unit, unit, true);
    let mut ours = imported;
    ours.rule = LabelRule::AtOrAbove;
    for calibration in [imported, ours] {
        let mut evaluator = Evaluator::new((1, 1));
        for image in run["images"].as_array().unwrap() {
            let (name, score) = (image["image"].as_str().unwrap(), image["score"].as_f64().unwrap() as f32);
            let defective = !name.contains("/good/");
            evaluator.add(name, defective, score, &[score], Some(&[defective])).unwrap();
        }
        let result = evaluator.rank().evaluate(&calibration);
        let expected = |name: &str| run["metrics"][name].as_f64().unwrap();
        assert_near("AUROC", result.compat.image_auroc.unwrap(), expected("image_AUROC"));
        assert_near("F1", result.compat.image_f1.unwrap(), expected("image_F1Score"));
        assert_eq!(
            result.image_f1 == Some(1.0),
            calibration.rule == ours.rule,
            "the defect at the threshold"
        );
    }
}

fn the_small_data_set_opens() {
    let root = shared("data/mini");
    assert_eq!(Dataset::categories(&root).unwrap(), ["brick", "grass", "gravel"]);
    for category in Dataset::categories(&root).unwrap() {
        let data = Dataset::open(&root, Some(&category)).unwrap();
        let defective = data.test.iter().filter(|sample| sample.anomalous).count();
        assert!(!data.train.is_empty() && defective > 0 && defective < data.test.len(), "{category}");
        assert!(data.test.iter().all(|sample| sample.masks.is_empty() != sample.anomalous), "{category}");
    }
    assert!(Dataset::open(&root, None).unwrap_err().to_string().contains("brick, grass, gravel"));
}
