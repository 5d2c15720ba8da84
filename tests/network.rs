//! Weights that do not fit the network, and weights of half precision.

mod support;

use patchcore::internals::network::{Architecture, Backbone};
#[cfg(feature = "train")]
use patchcore::weights::{NamedTensors, Tensor};
use support::state_dict::StateDict;

#[test]
fn a_deeper_network_is_not_taken_for_a_shallower_one() {
    for (weights, net) in
        [("resnet34", "resnet18"), ("wide_resnet50_2", "resnet50"), ("resnet18", "resnet34")]
    {
        let architecture = Architecture::named(net).unwrap();
        let error = Backbone::from_tensors(&architecture, &StateDict::new(weights).0).unwrap_err();
        assert!(error.to_string().contains("tensor layer"), "{error}");
    }
}

/// A .safetensors file of `tensors`, whose values `encode` writes.
#[cfg(feature = "train")]
fn safetensors(tensors: &NamedTensors, dtype: &str, encode: fn(f32) -> u16) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, tensor) in tensors.iter() {
        let start = data.len();
        data.extend(tensor.data.iter().flat_map(|&value| encode(value).to_le_bytes()));
        let entry =
            serde_json::json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [start, data.len()]});
        header.insert(name.into(), entry);
    }
    let header = serde_json::Value::from(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

#[cfg(feature = "train")]
#[test]
fn half_precision_weights_give_the_network_of_their_values() {
    // Numbers that the type holds exactly.
    let fine: fn(f32) -> f32 = |value| (value * 1024.0).round() / 1024.0;
    let half: fn(f32) -> u16 = |value| match value.to_bits() {
        0 | 0x8000_0000 => 0,
        bits => (bits >> 16 & 0x8000 | ((bits >> 13 & 0x3_ffff) - (112 << 10))) as u16,
    };
    let cut: fn(f32) -> f32 = |value| f32::from_bits(value.to_bits() & 0xffff_0000);
    let brain: fn(f32) -> u16 = |value| (value.to_bits() >> 16) as u16;
    let architecture = Architecture::named("resnet18").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (dtype, round, encode) in [("F16", fine, half), ("BF16", cut, brain)] {
        let mut rounded = NamedTensors::new(dtype);
        for (name, tensor) in StateDict::new("resnet18").0.iter() {
            let data = tensor.data.iter().map(|&value| round(value)).collect();
            rounded.insert(name, Tensor { data, shape: tensor.shape.clone() });
        }
        let path = folder.path().join(dtype);
        std::fs::write(&path, safetensors(&rounded, dtype, encode)).unwrap();
        let loaded = patchcore::weights::load(&path, &Default::default()).unwrap();
        let [found, expected] =
            [&loaded, &rounded].map(|tensors| Backbone::from_tensors(&architecture, tensors).unwrap());
        assert!(found.flat() == expected.flat(), "{dtype}");
    }
}
