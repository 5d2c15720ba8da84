//! State dicts whose values follow a formula.

use super::golden::formula;
use patchcore::weights::{NamedTensors, Tensor};

/// The state dict of a network as far as layer3, under torchvision's names.
pub struct StateDict(pub NamedTensors);

impl StateDict {
    pub fn new(net: &str) -> Self {
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
