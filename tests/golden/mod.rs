//! Reference outputs for the integration tests: those kept here, made by `make.py` and `end_to_end.py`, and
//! larger ones beside the checkout where there are any.

// Each test file uses its part.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The tensors of a .safetensors file.
pub struct Golden {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Golden {
    /// A file of this folder.
    pub fn here(name: &str) -> Self {
        Self::read(&repository().join("tests/golden").join(name))
    }

    /// A file of the folder `shared/golden` beside the checkout.
    pub fn shared(name: &str) -> Self {
        Self::read(&shared(&format!("golden/{name}")))
    }

    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let mut tensors = BTreeMap::new();
        for (name, entry) in header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__") {
            let numbers = |v: &serde_json::Value| -> Vec<usize> {
                v.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
            };
            let range = numbers(&entry["data_offsets"]);
            let data = &bytes[8 + length..][range[0]..range[1]];
            let values = match entry["dtype"].as_str().unwrap() {
                "F32" => {
                    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
                }
                "I64" => {
                    data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect()
                }
                "I32" => {
                    data.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()).into()).collect()
                }
                "U8" => data.iter().map(|&b| b.into()).collect(),
                other => panic!("{}: {name} is {other}", path.display()),
            };
            tensors.insert(name.clone(), (numbers(&entry["shape"]), values));
        }
        Self { tensors }
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensors[name].0
    }

    /// The values of a tensor, whatever their type was; exact for all but integers past 2^53.
    pub fn f64(&self, name: &str) -> &[f64] {
        &self.tensors[name].1
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.f64(name).iter().map(|&v| v as f32).collect()
    }

    pub fn usize(&self, name: &str) -> Vec<usize> {
        self.f64(name).iter().map(|&v| v as usize).collect()
    }

    /// The values as truths: all but 0.
    pub fn bool(&self, name: &str) -> Vec<bool> {
        self.f64(name).iter().map(|&v| v != 0.0).collect()
    }

    pub fn scalar(&self, name: &str) -> f64 {
        self.f64(name)[0]
    }
}

/// The checkout: the folder of the library's package, from its own tests and from the program's.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    if package.ends_with("cli") { package.parent().unwrap() } else { package }
}

/// The folder of larger reference outputs, photographs and weights, which not every checkout has beside it.
fn shared_folder() -> PathBuf {
    std::env::var_os("PATCHCORE_SHARED").map_or_else(|| repository().join("../shared"), PathBuf::from)
}

/// Whether [`shared`] has files to give. A test that needs one is ignored otherwise.
pub fn has_shared() -> bool {
    shared_folder().exists()
}

/// A file of the folder `shared` beside the checkout, or of `PATCHCORE_SHARED`.
#[track_caller]
pub fn shared(name: &str) -> PathBuf {
    let path = shared_folder().join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Formula numbers: value `i` of the tensor of that name is a 24-bit fraction in `[0, 1)`. `formula.py` has
/// the twin.
pub fn formula(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let seed =
        name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    (1..=count as u64).map(move |i| fraction(seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
}

/// The top 24 bits of splitmix64's output function.
fn fraction(state: u64) -> f32 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f32 / (1 << 24) as f32
}

/// Compares with an absolute and a relative tolerance and names the worst.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let excess =
        |i: usize| (f64::from(got[i]) - expected[i]).abs() - (absolute + relative * expected[i].abs());
    let worst = (0..got.len()).max_by(|&a, &b| excess(a).total_cmp(&excess(b)));
    if let Some(i) = worst {
        assert!(excess(i) <= 0.0, "{what}: value {i} is {}, expected {}", got[i], expected[i]);
    }
}
