//! Layer outputs of every network against torchvision's, with weights from a formula.

use crate::support::golden::{Golden, assert_close, formula, shared};
use crate::support::state_dict::StateDict;
use patchcore::internals::network::{Architecture, Backbone, Layer, Mode, Network};
use patchcore::internals::patches::Embedder;
use patchcore::internals::tensor::{FeatureMap, ImageTensor};
use patchcore::{Isa, Pool};

trials!(
    layers_are_torchvisions_on_every_instruction_set;
    shared:
    layers_and_embeddings_are_those_of_larger_reference_outputs,
    trained_weights_give_the_layers_of_the_reference_from_either_kind_of_file
);

fn image(height: usize, width: usize) -> ImageTensor {
    let data = formula("input", 3 * height * width).map(|u| 4.0 * u - 2.0).collect();
    ImageTensor { height, width, data }
}

/// A map as torch lays it out: channel by channel.
fn planar(map: &FeatureMap) -> Vec<f32> {
    let positions = || (0..map.height).flat_map(|y| (0..map.width).map(move |x| map.values_at(y, x)));
    (0..map.channels).flat_map(|c| positions().map(move |values| values[c])).collect()
}

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

/// Compares every layer and both embeddings that `golden` has, of the image that it has, by relative L2
/// error.
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

fn layers_and_embeddings_are_those_of_larger_reference_outputs() {
    const BOTH: &[&str] = &["", "_odd"];
    for (net, sizes) in
        [("resnet18", BOTH), ("resnet34", &[""]), ("resnet50", &[""]), ("wide_resnet50_2", BOTH)]
    {
        let backbone =
            Backbone::from_tensors(&Architecture::named(net).unwrap(), &StateDict::new(net).0).unwrap();
        for size in sizes {
            let name = format!("formula_{net}{size}.safetensors");
            compare(&name, &backbone, &Golden::shared(&name));
        }
    }
}

fn trained_weights_give_the_layers_of_the_reference_from_either_kind_of_file() {
    let golden = Golden::shared("resnet18_real.safetensors");
    let backbones = ["weights/resnet18.pth", "weights/resnet18.safetensors"].map(|name| {
        let tensors = patchcore::weights::load(&shared(name), &Default::default()).unwrap();
        Backbone::from_tensors(&Architecture::named("resnet18").unwrap(), &tensors).unwrap()
    });
    assert!(backbones[0].flat() == backbones[1].flat());
    compare("resnet18_real", &backbones[0], &golden);
}
