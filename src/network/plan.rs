//! The network as a plan for one input size: packed weights, sizes of all activations, and how to run it.

use super::architecture::{Architecture, BlockPlan, Layer};
use super::backbone::Backbone;
use crate::error::{Error, Result};
use crate::kernels::conv::{Convolution, Source};
use crate::kernels::{Isa, Pool, max_pool};
use crate::tensor::{FeatureMap, ImageTensor};

/// Smaller inputs leave layer3 with less than 2x2 positions.
const MIN_SIDE: usize = 32;
/// Bounds the memory that a plan asks for.
const MAX_SIDE: usize = 8192;

/// Convolution arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Direct convolution in a fixed order.
    Reference,
    /// Whatever is fastest here.
    #[default]
    Fast,
}

/// A backbone planned for one input size on one instruction set. Immutable: sessions share it, each with its
/// [`Arena`].
#[derive(Clone, Debug)]
pub struct Network {
    architecture: Architecture,
    layers: Vec<Layer>,
    input: (usize, usize),
    convolutions: Vec<Convolution>,
    blocks: Vec<BlockPlan>,
}

/// Memory for the activations of one run at a time.
#[derive(Clone, Debug)]
pub struct Arena {
    slots: [Vec<f32>; 4],
    columns: Vec<f32>,
    maps: [Vec<f32>; 3],
}

type Size = (usize, usize);

fn half((height, width): Size) -> Size {
    (height.div_ceil(2), width.div_ceil(2))
}

impl Network {
    /// Plans `backbone` as far as the deepest of `layers` for normalised images of `input` (height, width).
    ///
    /// # Errors
    /// `layers` is empty or repeats one, or a side of the input is below 32 or above 8,192.
    pub fn new(backbone: &Backbone, layers: &[Layer], input: Size, _mode: Mode, isa: Isa) -> Result<Self> {
        let mut layers = layers.to_vec();
        layers.sort_unstable();
        let count = layers.len();
        layers.dedup();
        let Some(&deepest) = layers.last().filter(|_| layers.len() == count) else {
            return Err(Error::argument(
                "layers",
                format!("{count} with repeats"),
                "one to three different layers",
            ));
        };
        if input.0.min(input.1) < MIN_SIDE || input.0.max(input.1) > MAX_SIDE {
            let found = format!("{}x{}", input.0, input.1);
            return Err(Error::argument(
                "network input",
                found,
                format!("sides from {MIN_SIDE} to {MAX_SIDE}"),
            ));
        }
        let architecture = *backbone.architecture();
        let blocks: Vec<_> =
            architecture.blocks().into_iter().filter(|block| block.layer <= deepest).collect();
        let used =
            blocks.iter().flat_map(|b| b.body.iter().chain(&b.downsample)).max().map_or(1, |last| last + 1);
        let folded = backbone.folded();
        let convolutions =
            folded[..used].iter().map(|(c, w, b)| Convolution::new(c.shape(), c.stride, w, b, isa)).collect();
        Ok(Self { architecture, layers, input, convolutions, blocks })
    }

    /// The layers whose maps a run gives, in depth order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Rows and columns of the patch grid: those of the first layer's map.
    pub fn grid(&self) -> Size {
        self.size(self.layers[0])
    }

    /// Values of a patch: the channels of all layers together.
    pub fn dim(&self) -> usize {
        self.layers.iter().map(|&layer| self.architecture.channels(layer)).sum()
    }

    /// Height, width and channels of each layer's map, in depth order.
    pub fn map_shapes(&self) -> Vec<(usize, usize, usize)> {
        let shape = |&layer: &Layer| {
            let (height, width) = self.size(layer);
            (height, width, self.architecture.channels(layer))
        };
        self.layers.iter().map(shape).collect()
    }

    fn size(&self, layer: Layer) -> Size {
        (0..layer as usize).fold(half(half(self.input)), |size, _| half(size))
    }

    /// Memory for runs of this network; one run at a time.
    pub fn arena(&self) -> Arena {
        Arena { slots: Default::default(), columns: Vec::new(), maps: Default::default() }
    }

    /// Runs the network on `image`.
    ///
    /// # Errors
    /// The image is not of the planned size.
    pub fn run(&self, image: &ImageTensor, arena: &mut Arena, pool: &Pool) -> Result<()> {
        if (image.height, image.width) != self.input || image.data.len() != 3 * image.height * image.width {
            let found = format!("{}x{}", image.height, image.width);
            return Err(Error::argument(
                "network input",
                found,
                format!("{}x{}", self.input.0, self.input.1),
            ));
        }
        let Arena { slots: [x, y, body, residual], columns, maps } = arena;
        let stem = half(self.input);
        self.convolutions[0].run(Source::planar(image), None, true, columns, y, pool);
        let mut size = half(stem);
        max_pool::run(y, stem, self.convolutions[0].output(), x, pool);
        for block in &self.blocks {
            let (&last, first) = block.body.split_last().unwrap_or((&0, &[]));
            let mut at = size;
            for (i, &index) in first.iter().enumerate() {
                let convolution = &self.convolutions[index];
                let (from, to) = if i % 2 == 0 {
                    (if i == 0 { &*x } else { &*residual }, &mut *body)
                } else {
                    (&*body, &mut *residual)
                };
                convolution.run(Source::interleaved(from, at), None, true, columns, to, pool);
                at = convolution.output_size(at);
            }
            let input = if first.len() % 2 == 1 {
                &mut *body
            } else {
                std::mem::swap(body, residual);
                &mut *body
            };
            let shortcut: &[f32] = match block.downsample {
                Some(index) => {
                    self.convolutions[index].run(
                        Source::interleaved(x, size),
                        None,
                        false,
                        columns,
                        residual,
                        pool,
                    );
                    residual
                }
                None => x,
            };
            self.convolutions[last].run(
                Source::interleaved(input, at),
                Some(shortcut),
                true,
                columns,
                y,
                pool,
            );
            std::mem::swap(x, y);
            size = at;
            if block.last_of_layer && self.layers.contains(&block.layer) {
                maps[block.layer as usize].clone_from(x);
            }
        }
        Ok(())
    }

    /// The maps of the last run in `arena`, in depth order.
    pub fn maps<'a>(&self, arena: &'a Arena) -> Maps<'a> {
        let mut maps = Maps {
            all: [FeatureMap { height: 0, width: 0, channels: 0, data: &[] }; 3],
            count: self.layers.len(),
        };
        for (map, &layer) in maps.all.iter_mut().zip(&self.layers) {
            let (height, width) = self.size(layer);
            let channels = self.architecture.channels(layer);
            *map = FeatureMap { height, width, channels, data: &arena.maps[layer as usize] };
        }
        maps
    }
}

/// The maps of a run: one to three, in depth order.
#[derive(Clone, Copy, Debug)]
pub struct Maps<'a> {
    all: [FeatureMap<'a>; 3],
    count: usize,
}

impl<'a> std::ops::Deref for Maps<'a> {
    type Target = [FeatureMap<'a>];

    fn deref(&self) -> &Self::Target {
        &self.all[..self.count]
    }
}
