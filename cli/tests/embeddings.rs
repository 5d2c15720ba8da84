//! Embeddings and coresets as NumPy files, and the coreset's order against the reference's.

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use patchcore::Isa;
use patchcore::PatchCore;
use patchcore::Pool;
use patchcore::image::Picture;
use patchcore::internals::coreset::select;
use patchcore::internals::npy;
use patchcore::internals::tensor::Patches;
use program::{patchcore_fails, patchcore_ok, patchcore_refuses};
use std::ops::ControlFlow;
use std::path::Path;
use support::golden::{Golden, formula};
use support::text;

/// Features with the order in which the reference chooses from them.
struct Reference {
    features: Vec<f32>,
    dim: usize,
    order: Vec<usize>,
}

impl Reference {
    /// All there are: a small one, and a larger one where it lies beside the checkout.
    fn all() -> Vec<Self> {
        let order = Golden::here("coreset.safetensors").usize("order");
        let mut all = vec![Self { features: formula("features", 400 * 12).collect(), dim: 12, order }];
        if let Some(golden) = Golden::beside("coreset.safetensors") {
            let dim = golden.shape("features")[1];
            all.push(Self { features: golden.f32("features"), dim, order: golden.usize("order") });
        }
        all
    }

    fn rows(&self) -> usize {
        self.features.len() / self.dim
    }

    fn patches(&self) -> Patches<'_> {
        Patches { dim: self.dim, grid_width: self.rows(), data: &self.features }
    }
}

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
fn the_selection_is_the_references_on_every_instruction_set_and_thread_count() {
    for reference in Reference::all() {
        let (count, start) = (reference.order.len(), reference.order[0]);
        for isa in Isa::available() {
            for threads in [1, 3] {
                let pool = Pool::new(threads).unwrap();
                let observer = &mut |_, _| ControlFlow::Continue(());
                let chosen = select(reference.patches(), count, start, isa, &pool, observer).unwrap();
                let chosen: Vec<usize> = chosen.into_iter().map(|row| row as usize).collect();
                assert_eq!(chosen, reference.order, "{isa:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn the_program_selects_as_the_reference_from_files_of_rows_and_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let (features, out) = (folder.path().join("features.npy"), folder.path().join("indices.npy"));
    for reference in Reference::all() {
        let (rows, dim) = (reference.rows(), reference.dim);
        // Half a row more, so that rounding cannot take one away.
        let ratio = (reference.order.len() as f64 + 0.5) / rows as f64;
        for shape in [&[rows, dim][..], &[rows / 50, 50, dim]] {
            npy::write(&features, shape, &reference.features).unwrap();
            let (ratio, start) = (ratio.to_string(), reference.order[0].to_string());
            patchcore_ok([
                "coreset",
                text(&features),
                "--no-projection",
                "--ratio",
                &ratio,
                "--start",
                &start,
                "--out",
                text(&out),
            ]);
            assert_eq!(indices(&out), reference.order);
        }
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
