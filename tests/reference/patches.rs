//! Patch embeddings against torch's pooling and interpolation.

use crate::support::golden::{Golden, assert_close, formula};
use patchcore::internals::patches::Embedder;
use patchcore::internals::tensor::FeatureMap;
use patchcore::{Isa, Pool};

trials!(embeddings_are_torchs; shared:);

/// Height, width and channels of the maps.
const SHAPES: [(usize, usize, usize); 3] = [(5, 7, 8), (3, 4, 12), (2, 2, 5)];

/// The formula's values lie channel by channel; a map holds the channels of a position side by side.
fn map(index: usize) -> Vec<f32> {
    let (height, width, channels) = SHAPES[index];
    let planar: Vec<f32> =
        formula(&format!("map{index}"), height * width * channels).map(|u| 2.0 * u - 1.0).collect();
    let positions = height * width;
    (0..positions).flat_map(|at| planar[at..].iter().step_by(positions).copied()).collect()
}

fn embeddings_are_torchs() {
    let golden = Golden::here("patches.safetensors");
    let values: Vec<Vec<f32>> = (0..3).map(map).collect();
    for (count, name) in [(1, "one"), (2, "two"), (3, "three")] {
        let maps: Vec<FeatureMap> = SHAPES[..count]
            .iter()
            .zip(&values)
            .map(|(&(height, width, channels), data)| FeatureMap::dense(height, width, channels, data))
            .collect();
        for isa in Isa::available() {
            let mut embedder = Embedder::new(SHAPES[..count].to_vec(), isa).unwrap();
            let mut out = Vec::new();
            let patches = embedder.embed(&maps, &Pool::new(2).unwrap(), &mut out);
            assert_eq!([patches.rows(), patches.dim], golden.shape(name));
            assert_close(&format!("{name} with {isa:?}"), patches.data, golden.f64(name), 1e-6, 0.0);
        }
    }
}
