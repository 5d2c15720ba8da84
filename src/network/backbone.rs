//! A network with its weights: every batch norm folded into its convolution.

use super::architecture::{Architecture, ConvolutionSpec, Layer};
use super::embedded::Embedded;
use crate::error::{Error, Result, shortened};
use crate::half;
use crate::kernels::Isa;
use crate::kernels::aligned::Aligned;
use crate::kernels::widen::widen;
use crate::model_file::map::{Slice, as_bytes};
use crate::random::Random;
use crate::tensor::not_finite;
use crate::weights::NamedTensors;
use std::borrow::Cow;
use std::collections::HashSet;

/// The parts of a batch norm.
const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];
/// Prefixes of the tensors that are used.
const USED_PREFIXES: [&str; 5] = ["conv1.", "bn1.", "layer1.", "layer2.", "layer3."];
/// `eps` of every batch norm in torchvision and timm.
const EPSILON: f64 = 1e-5;

/// A network with its weights. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Backbone {
    architecture: Architecture,
    origin: String,
    weights: Weights,
}

/// For each convolution in the order they run: weights `[output, input, kernel, kernel]`, then biases
/// `[output]`.
#[derive(Clone, Debug)]
enum Weights {
    Flat(Slice<f32>),
    Half(Slice<u16>),
    Embedded(Embedded),
}

impl Backbone {
    /// Folds the batch norms of torchvision's or timm's state dict into its convolutions. The deepest layers
    /// may be missing, as in checkpoints of models that use none of them.
    ///
    /// # Errors
    /// A tensor is missing, has another shape, is not finite, or belongs to these layers of another network.
    pub fn from_tensors(architecture: &Architecture, tensors: &NamedTensors) -> Result<Self> {
        let has = |layer: &Layer| tensors.iter().any(|(name, _)| name.starts_with(layer.name()));
        let deepest = Layer::ALL.into_iter().rev().find(has).unwrap_or(Layer::Layer3);
        let mut flat = Vec::with_capacity(architecture.values_through(deepest));
        for convolution in architecture.convolutions_through(deepest) {
            fold(&convolution, tensors, &mut flat)?;
        }
        check_no_tensor_is_left(architecture, tensors)?;
        if let Some((at, value)) = not_finite(&flat) {
            let subject = format!("{}: folded weights", tensors.source());
            return Err(Error::format(subject, format!("{value} at {at}"), "finite numbers"));
        }
        Ok(Self {
            architecture: *architecture,
            origin: tensors.source().into(),
            weights: Weights::Flat(flat.into()),
        })
    }

    /// Takes the folded weights of a model file, which may lack those of the deepest layers.
    ///
    /// # Errors
    /// Their number is not the architecture's as far as the end of a layer, or one is not finite.
    pub fn from_flat(architecture: &Architecture, flat: Slice<f32>) -> Result<Self> {
        if !Layer::ALL.iter().any(|&layer| architecture.values_through(layer) == flat.len()) {
            return Err(Error::format(
                format!("weights of {}", architecture.name()),
                format!("{} values", flat.len()),
                architecture.values(),
            ));
        }
        if not_finite(&flat).is_some() {
            return Err(Error::format(
                format!("weights of {}", architecture.name()),
                "NaN or infinity",
                "finite numbers",
            ));
        }
        let weights = Weights::Flat(flat);
        Ok(Self { architecture: *architecture, origin: String::new(), weights })
    }

    /// Takes the folded weights of a model file, in half precision.
    ///
    /// # Errors
    /// Their number is not the architecture's, or one is not finite.
    pub(crate) fn from_halves(architecture: &Architecture, halves: Slice<u16>) -> Result<Self> {
        let subject = format!("weights of {}", architecture.name());
        if halves.len() != architecture.values() {
            return Err(Error::format(subject, format!("{} values", halves.len()), architecture.values()));
        }
        if half::not_finite(&halves).is_some() {
            return Err(Error::format(subject, "NaN or infinity", "finite numbers"));
        }
        Ok(Self { architecture: *architecture, origin: String::new(), weights: Weights::Half(halves) })
    }

    /// A backbone that is part of the library: `default` (feature `embedded-default`) or `small`
    /// (`embedded-small`).
    ///
    /// # Errors
    /// There is none of that name, or this build does not contain it.
    pub fn embedded(name: &str) -> Result<Self> {
        let (architecture, weights) = Embedded::named(name)?;
        Ok(Self { architecture, origin: name.into(), weights: Weights::Embedded(weights) })
    }

    /// Weights from a formula, the same on every platform: uniform with variance 2 / fan-in, no biases. For
    /// tests and timings, which do not depend on what a network has learned.
    pub fn pseudo_random(architecture: &Architecture) -> Self {
        let mut flat = Vec::new();
        let mut random = Random::from_state(0x5EED);
        for convolution in architecture.convolutions() {
            let fan_in = (convolution.weights() / convolution.output) as f32;
            let bound = (6.0 / fan_in).sqrt();
            flat.extend((0..convolution.weights()).map(|_| (2.0 * uniform(&mut random) - 1.0) * bound));
            flat.extend(std::iter::repeat_n(0.0, convolution.output));
        }
        Self {
            architecture: *architecture,
            origin: "pseudo-random".into(),
            weights: Weights::Flat(flat.into()),
        }
    }

    /// The same weights, with another [`origin`](Self::origin).
    #[must_use]
    pub fn with_origin(self, origin: &str) -> Self {
        Self { origin: origin.into(), ..self }
    }

    /// The network's shapes.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Where the weights came from: the name of an embedded backbone, or a file's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The deepest layer that has weights.
    pub fn deepest_layer(&self) -> Layer {
        let deepest = |flat: &Slice<f32>| {
            let mut layers = Layer::ALL.into_iter();
            layers.find(|&layer| self.architecture.values_through(layer) >= flat.len())
        };
        match &self.weights {
            Weights::Flat(flat) => deepest(flat).unwrap_or(Layer::Layer3),
            Weights::Half(_) | Weights::Embedded(_) => Layer::Layer3,
        }
    }

    /// Whether the weights are part of the library, so that a model file can do without them.
    pub fn is_embedded(&self) -> bool {
        matches!(self.weights, Weights::Embedded(_))
    }

    /// All folded weights and biases as [`flat`](Self::flat) has them, in half precision, if that is what
    /// they are kept in.
    pub(crate) fn halves(&self) -> Option<Cow<'_, [u16]>> {
        match &self.weights {
            Weights::Flat(_) => None,
            Weights::Half(halves) => Some(Cow::Borrowed(halves)),
            Weights::Embedded(embedded) => {
                let convolutions = 0..self.architecture.convolutions().len();
                Some(convolutions.flat_map(|index| embedded.halves(index)).collect())
            }
        }
    }

    /// All folded weights and biases: for each convolution in the order they run, weights `[output, input,
    /// kernel, kernel]`, then biases `[output]`. For an embedded backbone they are a copy.
    pub fn flat(&self) -> Cow<'_, [f32]> {
        match &self.weights {
            Weights::Flat(flat) => Cow::Borrowed(flat),
            Weights::Half(halves) => halves.iter().map(|&half| half::to_f32(half)).collect(),
            Weights::Embedded(embedded) => {
                let (mut flat, mut start) = (vec![0.0; self.architecture.values()], 0);
                for (index, convolution) in self.architecture.convolutions().iter().enumerate() {
                    let end = start + convolution.weights() + convolution.output;
                    embedded.widen(index, Isa::best(), &mut flat[start..end]);
                    start = end;
                }
                Cow::Owned(flat)
            }
        }
    }

    /// CRC-32 of [`flat`](Self::flat).
    pub fn checksum(&self) -> u32 {
        match &self.weights {
            Weights::Flat(flat) => crc32fast::hash(as_bytes(flat)),
            Weights::Half(_) => crc32fast::hash(as_bytes(&self.flat())),
            Weights::Embedded(embedded) => embedded.checksum(),
        }
    }

    /// Memory of the weights, in bytes; 0 where they are in a mapped model file or in the program.
    pub(crate) fn owned_bytes(&self) -> usize {
        match &self.weights {
            Weights::Flat(flat) => flat.owned_bytes(),
            Weights::Half(halves) => halves.owned_bytes(),
            Weights::Embedded(_) => 0,
        }
    }

    pub(super) fn folded(&self, isa: Isa) -> Folded<'_> {
        let convolutions = self.architecture.convolutions();
        let mut end = 0;
        let start_of = |convolution: &ConvolutionSpec| {
            let start = end;
            end += convolution.weights() + convolution.output;
            start
        };
        let starts = convolutions.iter().map(start_of).collect();
        // Room for the largest convolution, because growing would copy.
        let largest = convolutions.iter().map(|c| c.weights() + c.output).max().unwrap_or(0);
        let is_wide = matches!(self.weights, Weights::Flat(_));
        let widened = Aligned::zeros(if is_wide { 0 } else { largest });
        Folded { weights: &self.weights, convolutions, starts, isa, widened }
    }
}

/// Access to the weights of a backbone, one convolution at a time.
pub(super) struct Folded<'a> {
    weights: &'a Weights,
    convolutions: Vec<ConvolutionSpec>,
    /// Index of each convolution's first weight.
    starts: Vec<usize>,
    isa: Isa,
    /// The last requested weights, where they had to be widened.
    widened: Aligned,
}

impl Folded<'_> {
    /// Convolution `index`, in the order they run, with its weights and biases.
    pub fn get(&mut self, index: usize) -> (&ConvolutionSpec, &[f32], &[f32]) {
        let convolution = &self.convolutions[index];
        let len = convolution.weights() + convolution.output;
        let values = match self.weights {
            Weights::Flat(flat) => &flat[self.starts[index]..][..len],
            Weights::Half(halves) => {
                let widened = &mut self.widened[..len];
                widen(self.isa, as_bytes(&halves[self.starts[index]..][..len]), widened);
                widened
            }
            Weights::Embedded(embedded) => {
                let widened = &mut self.widened[..len];
                embedded.widen(index, self.isa, widened);
                widened
            }
        };
        let (weights, biases) = values.split_at(convolution.weights());
        (convolution, weights, biases)
    }
}

/// Appends `w * g / sqrt(var + eps)` and `b - mean * g / sqrt(var + eps)`, computed in f64. Where the
/// norm is folded already, `NAME.bias` is there in its place.
fn fold(convolution: &ConvolutionSpec, tensors: &NamedTensors, flat: &mut Vec<f32>) -> Result<()> {
    let weights = tensors.get(&format!("{}.weight", convolution.name), &convolution.shape())?;
    let own_bias = format!("{}.bias", convolution.name);
    let parts = NORM.map(|part| format!("{}.{part}", convolution.norm));
    if tensors.find(&own_bias).is_some() {
        if let Some(part) = parts.iter().find(|part| tensors.find(part).is_some()) {
            let subject = format!("{}: tensor {own_bias}", tensors.source());
            let found = format!("a bias beside the batch norm of {part}");
            return Err(Error::format(subject, found, "a bias or a batch norm, not both"));
        }
        flat.extend_from_slice(weights);
        flat.extend_from_slice(tensors.get(&own_bias, &[convolution.output])?);
        return Ok(());
    }
    let [weight, bias, mean, variance] = parts;
    let norm = |name: &str| tensors.get(name, &[convolution.output]);
    let (gamma, beta, mean, variance) = (norm(&weight)?, norm(&bias)?, norm(&mean)?, norm(&variance)?);
    let scale: Vec<f64> =
        gamma.iter().zip(variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + EPSILON).sqrt()).collect();
    for (row, scale) in weights.chunks_exact(weights.len() / convolution.output).zip(&scale) {
        flat.extend(row.iter().map(|&w| (f64::from(w) * scale) as f32));
    }
    flat.extend((0..convolution.output).map(|i| (f64::from(beta[i]) - f64::from(mean[i]) * scale[i]) as f32));
    Ok(())
}

/// Refuses tensors of a deeper network, which has all tensors of a shallower one, and more.
fn check_no_tensor_is_left(architecture: &Architecture, tensors: &NamedTensors) -> Result<()> {
    let mut known = HashSet::new();
    for ConvolutionSpec { name, norm, .. } in architecture.convolutions() {
        known.insert(format!("{name}.weight"));
        let bias = format!("{name}.bias");
        if tensors.find(&bias).is_some() {
            known.insert(bias);
        } else {
            known.extend(NORM.map(|part| format!("{norm}.{part}")));
        }
    }
    let is_of_these = |name: &str| {
        USED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with(".num_batches_tracked")
    };
    match tensors.iter().find(|(name, _)| is_of_these(name) && !known.contains(*name)) {
        None => Ok(()),
        Some((name, _)) => {
            let subject = format!("{}: tensor {}", tensors.source(), shortened(name));
            let expected = format!("those of {} alone", architecture.name());
            Err(Error::format(subject, "a tensor of another network", expected))
        }
    }
}

/// The next number of `random` as a float in [0, 1).
fn uniform(random: &mut Random) -> f32 {
    (random.next_u64() >> 40) as f32 / (1u64 << 24) as f32
}
