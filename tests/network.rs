//! Layer outputs of every network against torchvision's, with weights from a formula.

mod support;

use patchcore::Isa;
use patchcore::Pool;
use patchcore::internals::network::{Architecture, Backbone, Layer, Mode, Network};
use patchcore::internals::patches::Embedder;
use patchcore::internals::tensor::{FeatureMap, ImageTensor};
#[cfg(feature = "train")]
use patchcore::weights::{NamedTensors, Tensor};
use support::golden::{Golden, assert_close, formula};
use support::state_dict::StateDict;

fn image(height: usize, width: usize) -> ImageTensor {
    let data = formula("input", 3 * height * width).map(|u| 4.0 * u - 2.0).collect();
    ImageTensor { height, width, data }
}

/// A map as torch lays it out: channel by channel.
fn planar(map: &FeatureMap) -> Vec<f32> {
    let positions = || (0..map.height).flat_map(|y| (0..map.width).map(move |x| map.values_at(y, x)));
    (0..map.channels).flat_map(|c| positions().map(move |values| values[c])).collect()
}

#[test]
fn layers_are_torchvisions_on_every_instruction_set() {
    let golden = Golden::here("networks.safetensors");
    let pool = Pool::new(2).unwrap();
    for (net, height, width) in [
        ("resnet18", 32, 32),
        ("resnet18", 33, 47),
        ("resnet34", 32, 32),
        ("resnet50", 32, 32),
        ("wide_resnet50_2", 32, 33),
    ] {
        let backbone =
            Backbone::from_tensors(&Architecture::named(net).unwrap(), &StateDict::new(net).0).unwrap();
        for (isa, mode) in
            Isa::available().into_iter().flat_map(|isa| [Mode::Reference, Mode::Fast].map(|m| (isa, m)))
        {
            let layers = [Layer::Layer2, Layer::Layer3];
            let network = Network::new(&backbone, &layers, (height, width), mode, isa, &pool).unwrap();
            let mut arena = network.arena();
            let maps = network.compute_maps(&image(height, width), &mut arena, &pool).unwrap();
            for (layer, map) in layers.iter().zip(maps.iter()) {
                let name = format!("{net}.{height}x{width}.{}", layer.name());
                assert_eq!([map.channels, map.height, map.width], golden.shape(&name), "{name}");
                let what = format!("{name} with {isa:?}, {mode:?}");
                assert_close(&what, &planar(map), golden.f64(&name), 1e-5, 1e-5);
            }
        }
    }
}

/// Compares every layer and both embeddings that `golden` has, of the image that it has, by relative L2 error.
fn compare(what: &str, backbone: &Backbone, golden: &Golden) {
    let pool = Pool::new(2).unwrap();
    let [1, 3, height, width] = *golden.shape("input") else { panic!("{what}: input of another shape") };
    let image = ImageTensor { height, width, data: golden.f32("input") };
    for (isa, mode) in
        Isa::available().into_iter().flat_map(|isa| [Mode::Reference, Mode::Fast].map(|m| (isa, m)))
    {
        let tolerance = if mode == Mode::Reference { 1e-5 } else { 1e-4 };
        let check = |name: &str, got: &[f32]| {
            let error = relative_error(got, golden.f64(name));
            assert!(error <= tolerance, "{what}: {name} with {isa:?}, {mode:?}: {error:e}");
        };
        let network = Network::new(backbone, &Layer::ALL, (height, width), mode, isa, &pool).unwrap();
        let mut arena = network.arena();
        let maps = network.compute_maps(&image, &mut arena, &pool).unwrap();
        for (layer, map) in Layer::ALL.iter().zip(maps.iter()) {
            let mean = format!("{}_mean", layer.name());
            if golden.has(layer.name()) {
                check(layer.name(), &planar(map));
            } else if golden.has(&mean) {
                check(&mean, &means(map));
            }
        }
        for (first, name) in [(0, "embedding_1_2_3"), (1, "embedding_2_3")] {
            if golden.has(name) {
                let mut embedding = Vec::new();
                let mut embedder = Embedder::new(network.map_shapes()[first..].to_vec(), isa).unwrap();
                check(name, embedder.embed(&maps[first..], &pool, &mut embedding).data);
            }
        }
    }
}

fn relative_error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let difference: f64 = got.iter().zip(expected).map(|(&g, &e)| (f64::from(g) - e).powi(2)).sum();
    (difference / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
}

fn means(map: &FeatureMap) -> Vec<f32> {
    let positions = map.height * map.width;
    planar(map).chunks_exact(positions).map(|c| c.iter().sum::<f32>() / positions as f32).collect()
}

#[test]
fn layers_and_embeddings_are_those_of_larger_reference_outputs() {
    const BOTH: &[&str] = &["", "_odd"];
    for (net, sizes) in
        [("resnet18", BOTH), ("resnet34", &[""]), ("resnet50", &[""]), ("wide_resnet50_2", BOTH)]
    {
        let backbone =
            Backbone::from_tensors(&Architecture::named(net).unwrap(), &StateDict::new(net).0).unwrap();
        for size in sizes {
            let name = format!("formula_{net}{size}.safetensors");
            if let Some(golden) = Golden::beside(&name) {
                compare(&name, &backbone, &golden);
            }
        }
    }
}

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

#[cfg(feature = "train")]
#[test]
fn trained_weights_give_the_layers_of_the_reference_from_either_kind_of_file() {
    let Some(golden) = Golden::beside("resnet18_real.safetensors") else { return };
    let load = |name: &str| {
        let tensors = patchcore::weights::load(&support::beside(name)?, &Default::default()).unwrap();
        Some(Backbone::from_tensors(&Architecture::named("resnet18").unwrap(), &tensors).unwrap())
    };
    let backbones: Vec<_> =
        ["weights/resnet18.pth", "weights/resnet18.safetensors"].into_iter().filter_map(load).collect();
    for backbone in &backbones {
        assert!(backbone.flat() == backbones[0].flat());
    }
    if let Some(backbone) = backbones.first() {
        compare("resnet18_real", backbone, &golden);
    }
}
