//! Embeddings and coresets as NumPy files.

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use patchcore::PatchCore;
use patchcore::image::Picture;
use patchcore::internals::npy;
use patchcore::internals::tensor::Patches;
use program::{patchcore_fails, patchcore_ok, patchcore_refuses};
use std::path::Path;
use support::golden::{Golden, formula};
use support::text;

/// The integers of a file that the program wrote, whose header is 128 bytes long.
fn indices(path: &Path) -> Vec<usize> {
    let bytes = std::fs::read(path).unwrap();
    let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
    let values: Vec<usize> =
        bytes[128..].as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as usize).collect();
    assert!(
        header.contains(&format!("'descr': '<i8', 'fortran_order': False, 'shape': ({},)", values.len()))
    );
    values
}

/// Three photographs of 64x64 in `folder`.
fn photographs(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for seed in 0..3usize {
        let pixels = (0..64 * 64 * 3).map(|i| (i * (seed + 3) / 7 + (i / 192) * 5) as u8).collect();
        let picture = Picture::from_rgb(64, 64, pixels).unwrap();
        picture.save_png(&folder.join(format!("{seed}.png"))).unwrap();
    }
}

#[test]
fn the_program_selects_as_the_reference_from_files_of_rows_and_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let (features, out) = (folder.path().join("features.npy"), folder.path().join("indices.npy"));
    let (rows, dim) = (400, 12);
    let values: Vec<f32> = formula("features", rows * dim).collect();
    let order = Golden::here("coreset.safetensors").usize("order");
    // Half a row more, so that rounding cannot take one away.
    let ratio = ((order.len() as f64 + 0.5) / rows as f64).to_string();
    let start = order[0].to_string();
    for shape in [&[rows, dim][..], &[rows / 50, 50, dim]] {
        npy::write(&features, shape, &values).unwrap();
        let options = ["--no-projection", "--ratio", &ratio, "--start", &start, "--out", text(&out)];
        patchcore_ok([&["coreset", text(&features)], &options[..]].concat());
        assert_eq!(indices(&out), order);
    }
}

#[test]
fn embed_and_coreset_find_the_memory_bank_that_train_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    photographs(&at("good"));
    let network = ["--backbone", "small", "--image-size", "64", "--layers", "layer1,layer2"];
    let train = ["train", "--data", text(folder.path()), "--coreset-ratio", "0.2", "--seed", "7", "--out"];
    patchcore_ok([&train[..], &[text(&at("model.pcore"))], &network].concat());
    patchcore_ok([&["embed", text(&at("good")), "--out", text(&at("features.npy"))], &network[..]].concat());
    let coreset = ["--ratio", "0.2", "--seed", "7", "--out", text(&at("indices.npy"))].map(String::from);
    patchcore_ok([&["coreset".into(), text(&at("features.npy")).into()], &coreset[..]].concat());

    let model = PatchCore::open(at("model.pcore")).unwrap();
    let bank = model.memory_bank();
    let bank = Patches { dim: model.info().dim(), grid_width: 1, data: &bank };
    let features = npy::read(&at("features.npy")).unwrap();
    assert_eq!(features.shape, [3, 16 * 16, bank.dim]);
    let chosen = indices(&at("indices.npy"));
    assert_eq!(chosen.len(), bank.rows());
    for (row, index) in chosen.into_iter().enumerate() {
        assert!(features.data[index * bank.dim..][..bank.dim] == *bank.row(row), "row {row}");
    }
}

#[test]
fn a_photograph_that_cannot_be_read_leaves_no_embeddings() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photographs");
    photographs(&photos);
    std::fs::write(photos.join("2.png"), "text").unwrap();
    let out = folder.path().join("features.npy");
    patchcore_fails(
        ["embed", "--backbone", "small", "--image-size", "64", text(&photos), "--out", text(&out)],
        &["2.png", "expected"],
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the photographs");
}

#[test]
fn arrays_that_are_no_features_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (features, out) = (folder.path().join("features.npy"), folder.path().join("indices.npy"));
    let refused = |more: &[&str], parts: &[&str]| {
        let arguments = [&["coreset", text(&features), "--out", text(&out)], more].concat();
        patchcore_fails(arguments, &[&["features.npy"], parts].concat());
        assert!(!out.exists());
    };
    refused(&[], &["No such file"]);
    npy::write(&features, &[40], &[1.0f32; 40]).unwrap();
    refused(&[], &["[40]", "[rows, values]"]);
    npy::write(&features, &[20, 2], &[1.0f32; 40]).unwrap();
    for (flag, value, part) in [
        ("--start", "20", "a row below 20"),
        ("--ratio", "0.04", "keeps none of 20"),
        ("--ratio", "0", "above 0"),
    ] {
        let arguments = ["coreset", text(&features), "--out", text(&out), flag, value];
        patchcore_refuses(arguments, &[flag, part]);
    }
    let mut values = [1.0f32; 40];
    values[30] = f32::NAN;
    npy::write(&features, &[20, 2], &values).unwrap();
    refused(&["--no-projection", "--ratio", "0.5"], &["patch 15", "NaN"]);
    let whole = std::fs::read(&features).unwrap();
    std::fs::write(&features, &whole[..200]).unwrap();
    refused(&[], &["[20, 2]", "200 bytes", "288"]);
}
