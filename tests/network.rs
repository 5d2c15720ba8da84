//! Weights that do not fit a network, that end early, and of half precision.

mod support;

use patchcore::internals::network::{Architecture, Backbone, Layer, Mode, Network};
#[cfg(feature = "train")]
use patchcore::weights::{NamedTensors, Tensor};
use patchcore::{Isa, Pool};
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

#[test]
fn the_deepest_layers_may_be_missing_where_no_layer_needs_them() {
    let architecture = Architecture::named("resnet18").unwrap();
    let all = StateDict::new("resnet18").0;
    let mut shallow = patchcore::weights::NamedTensors::new("shallow");
    for (name, tensor) in all.iter().filter(|(name, _)| !name.starts_with("layer3")) {
        shallow.insert(name, tensor.clone());
    }
    let [all, shallow] =
        [&all, &shallow].map(|tensors| Backbone::from_tensors(&architecture, tensors).unwrap());
    assert_eq!((all.deepest_layer(), shallow.deepest_layer()), (Layer::Layer3, Layer::Layer2));
    assert!(all.flat().len() > shallow.flat().len() && all.flat().starts_with(&shallow.flat()));
    let (isa, pool) = (Isa::detect().unwrap(), Pool::new(1).unwrap());
    let plan = |layers: &[Layer]| Network::new(&shallow, layers, (32, 32), Mode::Fast, isa, &pool);
    assert!(plan(&[Layer::Layer1, Layer::Layer2]).is_ok());
    assert_eq!(
        plan(&[Layer::Layer2, Layer::Layer3]).unwrap_err().to_string(),
        "layers: found layer3, expected layers as far as layer2: the weights end there"
    );
}

#[test]
fn a_bias_beside_a_batch_norm_is_named() {
    let mut tensors = StateDict::new("resnet18").0;
    tensors.insert("conv1.bias", patchcore::weights::Tensor { shape: vec![64], data: vec![0.0; 64] });
    let error = Backbone::from_tensors(&Architecture::named("resnet18").unwrap(), &tensors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "resnet18: tensor conv1.bias: found a bias beside the batch norm of bn1.weight, expected a bias or a \
         batch norm, not both"
    );
}

#[test]
fn an_unknown_network_lists_those_with_published_weights() {
    let error = Architecture::named("resnet101").unwrap_err().to_string();
    assert_eq!(
        error,
        "network: found \"resnet101\", expected resnet18, resnet34, resnet50 or wide_resnet50_2"
    );
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
