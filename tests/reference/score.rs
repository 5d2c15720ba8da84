//! Image scores, anomaly maps and labels against reference outputs.

use crate::support::golden::{Golden, assert_close, formula, shared};
use patchcore::Isa;
use patchcore::internals::score::{Calibration, DEFAULT_SIGMA, MapPlan, Normalization, reweight, strongest};
use patchcore::internals::tensor::Neighbor;

trials!(
    scores_and_maps_are_the_references;
    shared: scores_and_maps_are_those_of_the_reference_itself, an_imported_calibration_labels_as_the_reference
);

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt() as f32
}

/// All rows of `bank` by their distance to `query`.
fn rows_by_distance(query: &[f32], bank: &[f32]) -> Vec<Neighbor> {
    let neighbor = |(index, row)| Neighbor { index: index as u32, distance: distance(query, row) };
    let mut rows: Vec<Neighbor> = bank.chunks_exact(query.len()).enumerate().map(neighbor).collect();
    rows.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    rows
}

/// The image score as the library's pieces make it, with a naive search.
fn image_score(nearest: &[Neighbor], queries: &[f32], bank: &[f32], dim: usize, neighbors: usize) -> f32 {
    let row = |of: &[f32], index: usize| of[index * dim..][..dim].to_vec();
    let (patch, neighbor) = strongest(nearest).unwrap();
    let around = rows_by_distance(&row(bank, neighbor.index as usize), bank);
    let query = row(queries, patch);
    let distances: Vec<f32> =
        around[..neighbors].iter().map(|n| distance(&query, &row(bank, n.index as usize))).collect();
    reweight(&distances, neighbor.distance)
}

/// Compares maps of 6 x 8 patches on every instruction set.
fn assert_map(what: &str, distances: &[f32], size: (usize, usize), expected: &[f64], tolerance: f64) {
    for isa in Isa::available() {
        let mut map = vec![f32::NAN; size.0 * size.1];
        MapPlan::new((6, 8), size, DEFAULT_SIGMA).unwrap().run(distances, isa, &mut map).unwrap();
        assert_close(&format!("{what} with {isa:?}"), &map, expected, 0.0, tolerance);
    }
}

fn scores_and_maps_are_the_references() {
    let golden = Golden::here("score.safetensors");
    let mut bank: Vec<f32> = formula("bank", 60 * 16).collect();
    bank.copy_within(20 * 16..21 * 16, 21 * 16);
    let mut queries: Vec<f32> = formula("queries", 96 * 16).collect();
    for i in 0..16 {
        queries[50 * 16 + i] = bank[21 * 16 + i] + 0.01;
    }
    let nearest: Vec<Neighbor> = queries.chunks_exact(16).map(|q| rows_by_distance(q, &bank)[0]).collect();
    for image in 0..2 {
        let (nearest, queries) = (&nearest[image * 48..][..48], &queries[image * 48 * 16..][..48 * 16]);
        for neighbors in [1, 2, 9] {
            let expected = &golden.f64(&format!("score{neighbors}"))[image..=image];
            let score = image_score(nearest, queries, &bank, 16, neighbors);
            assert_close(&format!("score of {neighbors}"), &[score], expected, 0.0, 1e-6);
        }
        let distances: Vec<f32> = nearest.iter().map(|n| n.distance).collect();
        for size in [(48, 64), (45, 50)] {
            let name = format!("map{}x{}", size.0, size.1);
            let pixels = size.0 * size.1;
            assert_map(&name, &distances, size, &golden.f64(&name)[image * pixels..][..pixels], 1e-6);
        }
    }
}

fn scores_and_maps_are_those_of_the_reference_itself() {
    let golden = Golden::shared("score.safetensors");
    let (bank, queries) = (golden.f32("bank"), golden.f32("queries"));
    let neighbor = |(&index, &distance): (&usize, &f32)| Neighbor { index: index as u32, distance };
    let distances = golden.f32("nn_distance");
    let nearest: Vec<Neighbor> = golden.usize("nn_index").iter().zip(&distances).map(neighbor).collect();
    for image in 0..3 {
        let patches = image * 48..image * 48 + 48;
        let score =
            image_score(&nearest[patches.clone()], &queries[image * 48 * 64..][..48 * 64], &bank, 64, 9);
        assert_close("score", &[score], &golden.f64("pred_score")[image..=image], 0.0, 1e-5);
        for size in [(96, 128), (90, 100)] {
            let name = format!("anomaly_map_{}x{}", size.0, size.1);
            let pixels = size.0 * size.1;
            // The reference adds 1089 taps in f32.
            let expected = &golden.f64(&name)[image * pixels..][..pixels];
            assert_map(&name, &distances[patches.clone()], size, expected, 1e-5);
        }
    }
}

/// anomalib's labels and normalised scores for a test set, from its own raw ones: undone, then done again by
/// us.
fn an_imported_calibration_labels_as_the_reference() {
    let path = shared("golden/anomalib_e2e.json");
    let run: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let number =
        |name: &str| run["post_processor"][format!("post_processor.{name}")].as_f64().unwrap() as f32;
    let of = |kind: &str| Normalization {
        threshold: number(&format!("_{kind}_threshold")),
        min: number(&format!("{kind}_min")),
        max: number(&format!("{kind}_max")),
        sensitivity: 0.5,
    };
    let calibration = Calibration::imported(of("image"), of("pixel"), true);
    assert_eq!(calibration.normalize_score(calibration.image.threshold), Some(0.5));
    assert_eq!(calibration.is_anomalous(calibration.image.threshold), Some(false), "the reference is strict");
    for image in run["images"].as_array().unwrap() {
        let normalized = image["score"].as_f64().unwrap();
        let (range, threshold) = (calibration.image.max - calibration.image.min, calibration.image.threshold);
        let raw = (normalized - 0.5) * f64::from(range) + f64::from(threshold);
        let again = calibration.normalize_score(raw as f32).unwrap();
        assert_close("normalised score", &[again], &[normalized], 1e-6, 0.0);
        assert_eq!(calibration.is_anomalous(raw as f32), image["label"].as_bool(), "{image}");
    }
}
