//! Layer outputs of every network against torchvision's, with weights from a formula.

mod golden;

use golden::{Golden, assert_close, formula};
use patchcore::kernels::{Isa, Pool};
use patchcore::network::{Architecture, Backbone, Layer, Mode, Network};
use patchcore::tensor::{FeatureMap, ImageTensor};
use patchcore::weights::{NamedTensors, Tensor};

/// The state dict of a network as far as layer3, under torchvision's names.
struct StateDict(NamedTensors);

impl StateDict {
    fn new(net: &str) -> Self {
        let depths = if net == "resnet18" { [2, 2, 2] } else { [3, 4, 6] };
        let mut dict = Self(NamedTensors::new(net));
        dict.convolution("conv1", "bn1", [64, 3, 7, 7]);
        let mut input = 64;
        for (stage, depth) in depths.into_iter().enumerate() {
            for block in 0..depth {
                let prefix = format!("layer{}.{block}", stage + 1);
                let shapes = Self::block(net, input, 64 << stage);
                for (i, shape) in (1..).zip(&shapes) {
                    dict.convolution(&format!("{prefix}.conv{i}"), &format!("{prefix}.bn{i}"), *shape);
                }
                let output = shapes[shapes.len() - 1][0];
                if block == 0 && (stage > 0 || input != output) {
                    let (conv, norm) = (format!("{prefix}.downsample.0"), format!("{prefix}.downsample.1"));
                    dict.convolution(&conv, &norm, [output, input, 1, 1]);
                }
                input = output;
            }
        }
        dict
    }

    /// The convolutions of a block, as [output, input, kernel, kernel].
    fn block(net: &str, input: usize, width: usize) -> Vec<[usize; 4]> {
        match net {
            "resnet18" | "resnet34" => vec![[width, input, 3, 3], [width, width, 3, 3]],
            _ => {
                let inner = if net.starts_with("wide") { 2 * width } else { width };
                vec![[inner, input, 1, 1], [inner, inner, 3, 3], [4 * width, inner, 1, 1]]
            }
        }
    }

    fn convolution(&mut self, name: &str, norm: &str, shape: [usize; 4]) {
        let bound = (6.0 / (shape[1] * shape[2] * shape[3]) as f64).sqrt() as f32;
        self.insert(format!("{name}.weight"), &shape, |u| (2.0 * u - 1.0) * bound);
        self.insert(format!("{norm}.weight"), &shape[..1], |u| 0.25 + 0.5 * u);
        self.insert(format!("{norm}.bias"), &shape[..1], |u| 0.2 * (u - 0.5));
        self.insert(format!("{norm}.running_mean"), &shape[..1], |u| 0.2 * (u - 0.5));
        self.insert(format!("{norm}.running_var"), &shape[..1], |u| 0.5 + u);
    }

    fn insert(&mut self, name: String, shape: &[usize], value: impl Fn(f32) -> f32) {
        let data = formula(&name, shape.iter().product()).map(value).collect();
        self.0.insert(name, Tensor { shape: shape.to_vec(), data });
    }
}

fn image(height: usize, width: usize) -> ImageTensor {
    let data = formula("input", 3 * height * width).map(|u| 4.0 * u - 2.0).collect();
    ImageTensor { height, width, data }
}

/// A map as torch lays it out: channel by channel.
fn planar(map: &FeatureMap) -> Vec<f32> {
    let positions = || (0..map.height).flat_map(|y| (0..map.width).map(move |x| map.at(y, x)));
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
            let network = Network::new(&backbone, &layers, (height, width), mode, isa).unwrap();
            let mut arena = network.arena();
            network.run(&image(height, width), &mut arena, &pool).unwrap();
            for (layer, map) in layers.iter().zip(network.maps(&arena).iter()) {
                let name = format!("{net}.{height}x{width}.{}", layer.name());
                assert_eq!([map.channels, map.height, map.width], golden.shape(&name), "{name}");
                let what = format!("{name} with {isa:?}, {mode:?}");
                assert_close(&what, &planar(map), golden.f64(&name), 1e-5, 1e-5);
            }
        }
    }
}
