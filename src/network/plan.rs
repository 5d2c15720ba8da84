//! The network as a plan for one input size: packed weights, and the steps in order with the maps that each
//! reads and writes.

use super::architecture::{BlockPlan, Layer};
use super::backbone::{Backbone, Folded};
use super::timing::{self, StepTiming, Table};
use crate::error::{Error, Result, Setting};
use crate::kernels::conv::Convolution;
use crate::kernels::map::{Map, Shape};
use crate::kernels::winograd::{Workspace, WorkspaceSize};
use crate::kernels::{Isa, max_pool};
use crate::parallel::Pool;
use crate::tensor::{FeatureMap, ImageTensor};
use std::io::Write;
use std::time::{Duration, Instant};

/// Smaller inputs leave layer3 with less than 2x2 pixels.
const MIN_SIDE: usize = 32;
/// Limits the memory that a plan requests.
const MAX_SIDE: usize = 8192;
/// Border of the input: half the stem's kernel.
const STEM_BORDER: usize = 3;

/// Convolution arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Direct convolution in a fixed order.
    Reference,
    /// Winograd's algorithm where it is faster: a quarter of the multiplications of a 3x3 convolution, and
    /// results that differ from `Reference` in the sixth digit.
    #[default]
    Fast,
}

/// A backbone planned for one input size and one instruction set. It is immutable; sessions share it, each
/// with its own [`Arena`].
#[derive(Debug)]
pub struct Network {
    layers: Vec<Layer>,
    input: Size,
    steps: Vec<Step>,
    /// Shape and border of each map of the arena; the first is the input.
    maps: Vec<(Shape, usize)>,
    /// Indices of the maps that are the layers' outputs.
    outputs: Vec<usize>,
    /// Each run prints its time by steps on standard error.
    prints_timings: bool,
}

/// One operation, with the indices of the maps it reads and writes.
#[derive(Debug)]
struct Step {
    name: String,
    operation: Operation,
    from: usize,
    to: usize,
    residual: Option<usize>,
}

#[derive(Debug)]
enum Operation {
    Convolution { convolution: Box<Convolution>, relu: bool },
    MaxPool { isa: Isa },
}

/// Memory for the activations of one [`Network`], used by one computation at a time.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    maps: Vec<Map>,
    workspace: Workspace,
}

type Size = (usize, usize);

impl Network {
    /// Plans `backbone` up to the deepest of `layers` for normalised images of `input` (height, width). The
    /// weights are packed on the threads of `pool`.
    ///
    /// # Errors
    /// `layers` is empty or repeats one, one is deeper than the weights go, or a side of the input is below
    /// 32 or above 8,192.
    pub fn new(
        backbone: &Backbone,
        layers: &[Layer],
        input: Size,
        mode: Mode,
        isa: Isa,
        pool: &Pool,
    ) -> Result<Self> {
        let mut layers = layers.to_vec();
        layers.sort_unstable();
        let count = layers.len();
        layers.dedup();
        let Some(&deepest) = layers.last().filter(|_| layers.len() == count) else {
            let found = format!("{count} with repeats");
            return Err(Error::wrong_setting(Setting::Layers, found, "one to three different layers"));
        };
        if deepest > backbone.deepest_layer() {
            let expected =
                format!("layers as far as {}: the weights end there", backbone.deepest_layer().name());
            return Err(Error::argument("layers", deepest.name(), expected));
        }
        if input.0.min(input.1) < MIN_SIDE || input.0.max(input.1) > MAX_SIDE {
            let found = format!("{}x{}", input.0, input.1);
            return Err(Error::argument(
                "network input",
                found,
                format!("sides from {MIN_SIDE} to {MAX_SIDE}"),
            ));
        }
        let mut planner = Planner::new(backbone, mode, isa, pool);
        let image = planner.acquire(Shape { height: input.0, width: input.1, channels: 3 }, STEM_BORDER);
        let mut at = planner.stem(image);
        let mut outputs = Vec::new();
        for block in backbone.architecture().blocks().iter().filter(|block| block.layer <= deepest) {
            at = planner.block(block, at);
            if block.last_of_layer && layers.contains(&block.layer) {
                outputs.push(at);
                planner.kept.push(at);
            }
        }
        let Planner { steps, maps, .. } = planner;
        let network = Self { layers, input, steps, maps, outputs, prints_timings: timing::is_requested() };
        // 32 bits cannot address the maps of every input.
        if isize::try_from(network.arena_bytes(1)).is_err() {
            let found = format!("{}x{}", input.0, input.1);
            return Err(Error::limit("network input", found, "maps that fit the address space"));
        }
        Ok(network)
    }

    /// The layers whose maps are computed, in depth order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Rows and columns of the patch grid: those of the first layer's map.
    pub fn grid(&self) -> Size {
        let shape = self.maps[self.outputs[0]].0;
        (shape.height, shape.width)
    }

    /// Values of a patch: the channels of all layers together.
    pub fn dim(&self) -> usize {
        self.outputs.iter().map(|&map| self.maps[map].0.channels).sum()
    }

    /// Height, width and channels of each layer's map, in depth order.
    pub fn map_shapes(&self) -> Vec<(usize, usize, usize)> {
        let shape = |&map: &usize| {
            let Shape { height, width, channels } = self.maps[map].0;
            (height, width, channels)
        };
        self.outputs.iter().map(shape).collect()
    }

    /// Memory for [`compute_maps`](Self::compute_maps).
    pub fn arena(&self) -> Arena {
        let maps = self.maps.iter().map(|&(shape, border)| Map::new(shape, border)).collect();
        Arena { maps, workspace: Workspace::default() }
    }

    /// Bytes of the arena, once it was used on `threads` threads.
    pub fn arena_bytes(&self, threads: usize) -> usize {
        let maps = self.maps.iter().map(|&(shape, border)| Map::bytes(shape, border));
        let maps = maps.fold(self.maps.len() * size_of::<Map>(), usize::saturating_add);
        maps.saturating_add(self.workspace_size().bytes(threads))
    }

    /// Bytes of the packed weights.
    pub fn weight_bytes(&self) -> usize {
        self.convolutions().map(|(convolution, _)| convolution.bytes()).sum()
    }

    /// Runs the network on a normalised image and returns the maps of its layers, which lie in `arena`.
    ///
    /// # Errors
    /// The image is not of the planned size, or the arena belongs to a network with other maps.
    pub fn compute_maps<'a>(
        &self,
        image: &ImageTensor,
        arena: &'a mut Arena,
        pool: &Pool,
    ) -> Result<Maps<'a>> {
        if self.prints_timings {
            let timings = self.time_steps(image, arena, pool)?;
            // Nobody may be reading standard error any more.
            let _ = writeln!(std::io::stderr(), "{}", Table(&timings));
        } else {
            self.execute_steps(image, arena, pool, |_, _| ())?;
        }
        let mut maps = Maps { all: [FeatureMap::dense(0, 0, 0, &[]); 3], count: self.layers.len() };
        for (map, &output) in maps.all.iter_mut().zip(&self.outputs) {
            *map = arena.maps[output].view();
        }
        Ok(maps)
    }

    /// As [`compute_maps`](Self::compute_maps), but returns the time of each step.
    ///
    /// # Errors
    /// As `compute_maps`.
    pub fn time_steps(&self, image: &ImageTensor, arena: &mut Arena, pool: &Pool) -> Result<Vec<StepTiming>> {
        let mut timings = Vec::new();
        self.execute_steps(image, arena, pool, |step, time| timings.push(self.timing(step, time)))?;
        Ok(timings)
    }

    fn execute_steps(
        &self,
        image: &ImageTensor,
        arena: &mut Arena,
        pool: &Pool,
        mut observe: impl FnMut(&Step, Duration) + Send,
    ) -> Result<()> {
        if (image.height, image.width) != self.input || image.data.len() != 3 * image.height * image.width {
            let found = format!("{}x{}", image.height, image.width);
            let expected = format!("{}x{}", self.input.0, self.input.1);
            return Err(Error::argument("network input", found, expected));
        }
        if !arena.maps.iter().map(|map| (map.shape(), map.border())).eq(self.maps.iter().copied()) {
            return Err(Error::argument("arena", "maps of another network", "an arena of this network"));
        }
        arena.workspace.reserve(self.workspace_size(), pool.threads());
        pool.install(|| {
            arena.maps[0].fill_planar(&image.data, pool);
            for step in &self.steps {
                let start = Instant::now();
                step.execute(arena, pool);
                observe(step, start.elapsed());
            }
        });
        Ok(())
    }

    /// Working memory that is enough for each of the convolutions.
    fn workspace_size(&self) -> WorkspaceSize {
        let sizes = self.convolutions().map(|(convolution, output)| convolution.workspace_size(output));
        sizes.fold(WorkspaceSize::default(), WorkspaceSize::max)
    }

    fn convolutions(&self) -> impl Iterator<Item = (&Convolution, Shape)> {
        self.steps.iter().filter_map(|step| match &step.operation {
            Operation::Convolution { convolution, .. } => Some((&**convolution, self.maps[step.to].0)),
            Operation::MaxPool { .. } => None,
        })
    }

    fn timing(&self, step: &Step, time: Duration) -> StepTiming {
        let shape = self.maps[step.to].0;
        let (algorithm, operations) = match &step.operation {
            Operation::Convolution { convolution, .. } => {
                (convolution.algorithm(), convolution.operations(shape))
            }
            Operation::MaxPool { .. } => ("pool", 0),
        };
        let output = (shape.height, shape.width, shape.channels);
        StepTiming { name: step.name.clone(), algorithm, output, operations, time }
    }
}

impl Step {
    fn execute(&self, arena: &mut Arena, pool: &Pool) {
        let Arena { maps, workspace } = arena;
        // The output is never one of the inputs, so it can be taken out while the step runs.
        let mut out = std::mem::take(&mut maps[self.to]);
        match &self.operation {
            Operation::Convolution { convolution, relu } => {
                let residual = self.residual.map(|map| &maps[map]);
                convolution.convolve(&maps[self.from], residual, *relu, workspace, &mut out, pool);
            }
            Operation::MaxPool { isa } => max_pool::max_pool_3x3(*isa, &maps[self.from], &mut out, pool),
        }
        maps[self.to] = out;
    }
}

/// On smaller maps, reading Winograd's larger weights costs more time than it saves, whatever the channels
/// (measured, see docs/performance.md).
const MAX_DIRECT_POSITIONS: usize = 64;

/// Lays out the steps. Maps that are no longer read are used again.
struct Planner<'a> {
    folded: Folded<'a>,
    mode: Mode,
    isa: Isa,
    pool: &'a Pool,
    steps: Vec<Step>,
    maps: Vec<(Shape, usize)>,
    free: Vec<usize>,
    /// Maps that must not be used again: the layers' outputs.
    kept: Vec<usize>,
}

impl<'a> Planner<'a> {
    fn new(backbone: &'a Backbone, mode: Mode, isa: Isa, pool: &'a Pool) -> Self {
        Self {
            folded: backbone.folded(isa),
            mode,
            isa,
            pool,
            steps: Vec::new(),
            maps: Vec::new(),
            free: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// A map to write to. Its border is zero, because maps are only used again for the same shape and border.
    fn acquire(&mut self, shape: Shape, border: usize) -> usize {
        let fits = |&map: &usize| self.maps[map] == (shape, border);
        match self.free.iter().position(fits) {
            Some(at) => self.free.swap_remove(at),
            None => {
                self.maps.push((shape, border));
                self.maps.len() - 1
            }
        }
    }

    fn release(&mut self, map: usize) {
        if !self.kept.contains(&map) {
            self.free.push(map);
        }
    }

    /// Adds a convolution and returns the map that it writes.
    fn convolution(&mut self, index: usize, from: usize, residual: Option<usize>, relu: bool) -> usize {
        let source = self.maps[from].0;
        let (convolution, weights, bias) = self.folded.get(index);
        let fast = self.mode == Mode::Fast && source.height * source.width > MAX_DIRECT_POSITIONS;
        let shape = convolution.shape();
        let packed = Convolution::new(shape, convolution.stride, weights, bias, fast, self.isa, self.pool);
        let (name, shape) = (convolution.name.clone(), packed.output(source));
        let to = self.acquire(shape, 1);
        let operation = Operation::Convolution { convolution: Box::new(packed), relu };
        self.steps.push(Step { name, operation, from, to, residual });
        to
    }

    /// Adds the first convolution and the pooling after it.
    fn stem(&mut self, image: usize) -> usize {
        let from = self.convolution(0, image, None, true);
        let Shape { height, width, channels } = self.maps[from].0;
        let shape = Shape { height: height.div_ceil(2), width: width.div_ceil(2), channels };
        let to = self.acquire(shape, 1);
        self.steps.push(Step {
            name: "maxpool".into(),
            operation: Operation::MaxPool { isa: self.isa },
            from,
            to,
            residual: None,
        });
        self.release(from);
        to
    }

    /// Adds a residual block. Its input is not read afterwards.
    fn block(&mut self, block: &BlockPlan, input: usize) -> usize {
        let shortcut = match block.downsample {
            Some(index) => self.convolution(index, input, None, false),
            None => input,
        };
        let mut at = input;
        for (i, &index) in block.body.iter().enumerate() {
            let last = i + 1 == block.body.len();
            let to = self.convolution(index, at, last.then_some(shortcut), true);
            if at != input {
                self.release(at);
            }
            at = to;
        }
        if shortcut != input {
            self.release(shortcut);
        }
        self.release(input);
        at
    }
}

/// The maps of one to three layers, in depth order.
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

#[cfg(test)]
mod tests {
    use super::super::architecture::Architecture;
    use super::*;
    use std::collections::HashSet;

    const NETS: [&str; 5] = ["resnet18", "resnet34", "resnet50", "wide_resnet50_2", "resnet18_narrow"];

    fn wave(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.7311 + seed).sin()).collect()
    }

    /// One output of a convolution in f64 and the size of its terms.
    fn naive(
        shape: [usize; 4],
        stride: usize,
        weights: &[f32],
        input: FeatureMap<'_>,
        at: [usize; 3],
    ) -> (f64, f64) {
        let [_, channels, kernel, _] = shape;
        let [y, x, output] = at;
        let (mut sum, mut size) = (0.0, 0.0);
        for tap in 0..kernel * kernel {
            let (sy, sx) = (y * stride + tap / kernel, x * stride + tap % kernel);
            let (Some(sy), Some(sx)) = (sy.checked_sub(kernel / 2), sx.checked_sub(kernel / 2)) else {
                continue;
            };
            if sy < input.height && sx < input.width {
                for (c, &value) in input.values_at(sy, sx).iter().enumerate() {
                    let weight = weights[(output * channels + c) * kernel * kernel + tap];
                    let term = f64::from(value) * f64::from(weight);
                    (sum, size) = (sum + term, size + term.abs());
                }
            }
        }
        (sum, size)
    }

    #[test]
    fn every_layer_shape_of_the_networks_convolves_like_the_naive_sum() {
        let all = NETS.iter().flat_map(|net| Architecture::named(net).unwrap().convolutions());
        let shapes: HashSet<_> = all.map(|c| (c.shape(), c.stride)).collect();
        let pool = Pool::new(2).unwrap();
        for (shape, stride) in shapes {
            let [output, channels, kernel, _] = shape;
            let (weights, bias) = (wave(shape.iter().product(), 0.1), vec![0.25; output]);
            let mut source = Map::new(Shape { height: 18, width: 21, channels }, kernel / 2);
            source.fill_planar(&wave(18 * 21 * channels, 0.2), &pool);
            for (isa, fast) in Isa::available().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
                let convolution = Convolution::new(shape, stride, &weights, &bias, fast, isa, &pool);
                let mut workspace = Workspace::default();
                let mut out = Map::new(convolution.output(source.shape()), 1);
                workspace.reserve(convolution.workspace_size(out.shape()), 2);
                convolution.convolve(&source, None, false, &mut workspace, &mut out, &pool);
                let Shape { height, width, .. } = out.shape();
                // Every position is met, each with a few of the channels.
                for i in 0..4 * height * width {
                    let at = [i / 4 / width, i / 4 % width, i * 7919 % output];
                    let (sum, size) = naive(shape, stride, &weights, source.view(), at);
                    let found = f64::from(out.view().values_at(at[0], at[1])[at[2]]);
                    let error = (found - sum - 0.25).abs();
                    assert!(error <= 5e-6 * (1.0 + size), "{isa:?} {shape:?} at {at:?}: {found}, {sum}");
                }
            }
        }
    }

    #[test]
    fn winograd_is_used_on_maps_of_more_than_a_few_pixels() {
        let backbone = Backbone::pseudo_random(&Architecture::named("resnet18").unwrap());
        let algorithms = |side| {
            let network =
                Network::new(&backbone, &Layer::ALL, (side, side), Mode::Fast, Isa::best(), &Pool::SERIAL)
                    .unwrap();
            let of_layer = |layer: &str| {
                let mut steps = network.steps.iter().filter(|step| step.name == layer);
                match &steps.next().unwrap().operation {
                    Operation::Convolution { convolution, .. } => convolution.algorithm(),
                    Operation::MaxPool { .. } => unreachable!("a convolution's name"),
                }
            };
            ["layer1.0.conv1", "layer2.0.conv2", "layer3.0.conv2"].map(of_layer)
        };
        assert_eq!(algorithms(256), ["winograd"; 3]);
        assert_eq!(algorithms(128), ["winograd", "winograd", "direct"]);
        assert_eq!(algorithms(32), ["direct"; 3]);
    }

    #[test]
    fn an_arena_of_another_network_is_an_error() {
        let network = |name: &str, side| {
            let backbone = Backbone::pseudo_random(&Architecture::named(name).unwrap());
            let layers = [Layer::Layer1];
            Network::new(&backbone, &layers, (side, side), Mode::Fast, Isa::best(), &Pool::SERIAL).unwrap()
        };
        let image = ImageTensor { height: 32, width: 32, data: vec![0.5; 3 * 32 * 32] };
        let this = network("resnet18_narrow", 32);
        for other in [network("resnet18", 32), network("resnet18_narrow", 64), network("resnet50", 32)] {
            let error = this.compute_maps(&image, &mut other.arena(), &Pool::SERIAL).unwrap_err();
            assert!(error.to_string().contains("arena"), "{error}");
        }
        assert!(this.compute_maps(&image, &mut this.arena(), &Pool::SERIAL).is_ok());
    }

    #[test]
    fn no_step_writes_what_it_reads_and_the_layers_are_kept() {
        for net in NETS {
            let backbone = Backbone::pseudo_random(&Architecture::named(net).unwrap());
            let network =
                Network::new(&backbone, &Layer::ALL, (64, 96), Mode::Fast, Isa::best(), &Pool::SERIAL)
                    .unwrap();
            for step in &network.steps {
                assert!(step.to != step.from && step.residual != Some(step.to), "{net}: {}", step.name);
            }
            let last_write = |map: usize| network.steps.iter().rposition(|step| step.to == map).unwrap();
            for (&map, layer) in network.outputs.iter().zip(Layer::ALL) {
                let name = &network.steps[last_write(map)].name;
                assert!(name.starts_with(layer.name()), "{net}: {name} overwrites {}", layer.name());
            }
        }
    }
}
