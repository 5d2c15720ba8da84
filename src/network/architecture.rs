//! The shapes of the residual networks (He et al., arXiv 1512.03385; wide: arXiv 1605.07146).

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A residual network up to layer3: kind and number of blocks, and their widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    name: &'static str,
    block: Block,
    depths: [usize; 3],
    base_width: usize,
    bottleneck_factor: usize,
    /// Side of the first convolution's kernel.
    stem: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1; the last has four times the channels.
    Bottleneck,
}

/// One of the three stages whose maps can be embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// A quarter of the input's side.
    Layer1,
    /// An eighth of the input's side.
    Layer2,
    /// A sixteenth of the input's side.
    Layer3,
}

impl Layer {
    /// All layers, in depth order.
    pub const ALL: [Layer; 3] = [Layer::Layer1, Layer::Layer2, Layer::Layer3];

    /// `layer1`, `layer2` or `layer3`.
    pub fn name(self) -> &'static str {
        ["layer1", "layer2", "layer3"][self as usize]
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layer {
    type Err = Error;

    /// The layer of that name; spaces around it do not matter.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|layer| layer.name() == name.trim());
        found.ok_or_else(|| Error::argument("layer", format!("{name:?}"), "layer1, layer2 or layer3"))
    }
}

/// A convolution of the network, before or after its batch norm is folded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConvolutionSpec {
    /// State-dict name of the convolution, such as `layer1.0.conv1`.
    pub name: String,
    /// State-dict name of its batch norm.
    pub norm: String,
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
}

impl ConvolutionSpec {
    pub(super) fn shape(&self) -> [usize; 4] {
        [self.output, self.input, self.kernel, self.kernel]
    }

    pub(super) fn weights(&self) -> usize {
        self.shape().iter().product()
    }
}

/// The convolutions of one residual block, as indices into [`Architecture::convolutions`].
#[derive(Clone, Debug)]
pub(super) struct BlockPlan {
    pub layer: Layer,
    pub body: Vec<usize>,
    pub downsample: Option<usize>,
    pub last_of_layer: bool,
}

const ALL: [Architecture; 5] = [
    Architecture {
        name: "resnet18",
        block: Block::Basic,
        depths: [2, 2, 2],
        base_width: 64,
        bottleneck_factor: 1,
        stem: 7,
    },
    Architecture {
        name: "resnet34",
        block: Block::Basic,
        depths: [3, 4, 6],
        base_width: 64,
        bottleneck_factor: 1,
        stem: 7,
    },
    Architecture {
        name: "resnet50",
        block: Block::Bottleneck,
        depths: [3, 4, 6],
        base_width: 64,
        bottleneck_factor: 1,
        stem: 7,
    },
    Architecture {
        name: "wide_resnet50_2",
        block: Block::Bottleneck,
        depths: [3, 4, 6],
        base_width: 64,
        bottleneck_factor: 2,
        stem: 7,
    },
    Architecture {
        name: "resnet18_narrow",
        block: Block::Basic,
        depths: [1, 2, 2],
        base_width: 32,
        bottleneck_factor: 1,
        stem: 5,
    },
];

impl Architecture {
    /// The networks of which there are published weights.
    pub(crate) const PUBLISHED: &str = "resnet18, resnet34, resnet50 or wide_resnet50_2";

    /// The network of that name: `resnet18`, `resnet34`, `resnet50`, `wide_resnet50_2`, or `resnet18_narrow`
    /// (half of ResNet-18's channels, a stem of 5x5, one block in layer1: a fifth of the multiplications).
    ///
    /// # Errors
    /// There is no such network.
    pub fn named(name: &str) -> Result<Architecture> {
        ALL.into_iter()
            .find(|a| a.name == name)
            .ok_or_else(|| Error::argument("network", format!("{name:?}"), Self::PUBLISHED))
    }

    /// Its name, as for [`named`](Self::named).
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Channels of a layer's map.
    pub fn channels(&self, layer: Layer) -> usize {
        (self.base_width << layer as usize) * self.expansion()
    }

    fn expansion(&self) -> usize {
        if self.block == Block::Bottleneck { 4 } else { 1 }
    }

    /// All convolutions in the order they run, the stem first.
    pub(super) fn convolutions(&self) -> Vec<ConvolutionSpec> {
        self.layout().0
    }

    /// The convolutions as far as the end of `layer`.
    pub(super) fn convolutions_through(&self, layer: Layer) -> Vec<ConvolutionSpec> {
        let (mut convolutions, blocks) = self.layout();
        let through = blocks.iter().rev().find(|block| block.layer == layer);
        let last = through.and_then(|block| block.body.iter().chain(&block.downsample).max());
        convolutions.truncate(last.map_or(0, |last| last + 1));
        convolutions
    }

    /// Weights and biases of the convolutions as far as the end of `layer`.
    pub(super) fn values_through(&self, layer: Layer) -> usize {
        self.convolutions_through(layer).iter().map(|c| c.weights() + c.output).sum()
    }

    /// Weights and biases of all convolutions.
    pub(super) fn values(&self) -> usize {
        self.values_through(Layer::Layer3)
    }

    /// All residual blocks in the order they run.
    pub(super) fn blocks(&self) -> Vec<BlockPlan> {
        self.layout().1
    }

    fn layout(&self) -> (Vec<ConvolutionSpec>, Vec<BlockPlan>) {
        let mut all = vec![convolution("conv1", "bn1", 3, self.base_width, self.stem, 2)];
        let mut blocks = Vec::new();
        let mut input = self.base_width;
        for (layer, depth) in Layer::ALL.into_iter().zip(self.depths) {
            let output = self.channels(layer);
            for block in 0..depth {
                let stride = if block == 0 && layer != Layer::Layer1 { 2 } else { 1 };
                let prefix = format!("{}.{block}.", layer.name());
                let first = all.len();
                all.extend(self.body(&prefix, layer, input, stride));
                let body = (first..all.len()).collect();
                let downsample = (stride != 1 || input != output).then_some(all.len());
                if downsample.is_some() {
                    all.push(convolution(
                        &format!("{prefix}downsample.0"),
                        &format!("{prefix}downsample.1"),
                        input,
                        output,
                        1,
                        stride,
                    ));
                }
                blocks.push(BlockPlan { layer, body, downsample, last_of_layer: block + 1 == depth });
                input = output;
            }
        }
        (all, blocks)
    }

    fn body(&self, prefix: &str, layer: Layer, input: usize, stride: usize) -> Vec<ConvolutionSpec> {
        let width = (self.base_width << layer as usize) * self.bottleneck_factor;
        let output = self.channels(layer);
        let shapes = match self.block {
            Block::Basic => vec![(input, output, 3, stride), (output, output, 3, 1)],
            // torchvision and timm put the stride on the 3x3.
            Block::Bottleneck => vec![(input, width, 1, 1), (width, width, 3, stride), (width, output, 1, 1)],
        };
        let numbered = (1..).zip(shapes);
        numbered
            .map(|(i, (input, output, kernel, stride))| {
                convolution(
                    &format!("{prefix}conv{i}"),
                    &format!("{prefix}bn{i}"),
                    input,
                    output,
                    kernel,
                    stride,
                )
            })
            .collect()
    }
}

fn convolution(
    name: &str,
    norm: &str,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
) -> ConvolutionSpec {
    ConvolutionSpec { name: name.into(), norm: norm.into(), input, output, kernel, stride }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedding_widths_are_those_of_the_reference() {
        let width = |name: &str| {
            let network = Architecture::named(name).unwrap();
            network.channels(Layer::Layer2) + network.channels(Layer::Layer3)
        };
        assert_eq!(
            ["resnet18", "resnet34", "resnet50", "wide_resnet50_2", "resnet18_narrow"].map(width),
            [384, 384, 1536, 1536, 192]
        );
    }

    #[test]
    fn a_network_ends_with_the_last_convolution_of_a_layer() {
        for network in ALL {
            for layer in Layer::ALL {
                let convolutions = network.convolutions_through(layer);
                let all = network.convolutions();
                assert_eq!(convolutions, all[..convolutions.len()]);
                assert!(convolutions.last().unwrap().name.starts_with(layer.name()), "{}", network.name);
                let next = all.get(convolutions.len());
                assert!(next.is_none_or(|next| !next.name.starts_with(layer.name())), "{}", network.name);
            }
        }
    }

    #[test]
    fn the_narrow_network_multiplies_less_than_a_quarter_as_often() {
        let multiplications = |name: &str| -> usize {
            let layout = Architecture::named(name).unwrap().convolutions();
            // Side of the map that a convolution writes, for a square input of side 64.
            let side = |name: &str| match name.split_once('.').map_or("conv1", |(layer, _)| layer) {
                "conv1" => 32,
                "layer1" => 16,
                "layer2" => 8,
                _ => 4,
            };
            layout.iter().map(|c| c.weights() * side(&c.name) * side(&c.name)).sum()
        };
        assert!(4 * multiplications("resnet18_narrow") < multiplications("resnet18"));
    }

    #[test]
    fn shapes_of_the_wide_network_are_those_of_its_checkpoints() {
        let all = Architecture::named("wide_resnet50_2").unwrap().convolutions();
        let shape = |name: &str| all.iter().find(|c| c.name == name).unwrap().shape();
        assert_eq!(shape("layer1.0.conv2"), [128, 128, 3, 3]);
        assert_eq!(shape("layer2.0.conv1"), [256, 256, 1, 1]);
        assert_eq!(shape("layer2.0.conv3"), [512, 256, 1, 1]);
        assert_eq!(shape("layer3.0.conv2"), [512, 512, 3, 3]);
    }
}
