//! The weights that are part of the library. How they were trained: `models/README.md`.

use super::architecture::Architecture;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::widen::widen;
#[cfg(any(feature = "embedded-default", feature = "embedded-small"))]
use crate::weights::{WeightLimits, safetensors_views};
use std::sync::Arc;

/// A backbone that can be part of the library.
struct Shipped {
    name: &'static str,
    architecture: &'static str,
    feature: &'static str,
    /// CRC-32 of the folded weights as f32; checked by tests/backbone.rs.
    checksum: u32,
}

const SHIPPED: [Shipped; 2] = [
    Shipped { name: "default", architecture: "resnet18", feature: "embedded-default", checksum: 0x9e1f_2184 },
    Shipped {
        name: "small",
        architecture: "resnet18_narrow",
        feature: "embedded-small",
        checksum: 0x00f8_ccec,
    },
];

/// Little-endian weights and biases of each convolution, in the order they run.
type Convolutions = Arc<[[&'static [u8]; 2]]>;

/// Folded weights in half precision, in the program itself. They are widened one convolution at a time, on
/// request: all of them would need 11 MB, and more time than the rest of opening a model.
#[derive(Clone, Debug)]
pub(super) struct Embedded {
    convolutions: Convolutions,
    checksum: u32,
}

impl Embedded {
    /// Architecture and weights of the backbone `name`.
    pub fn named(name: &str) -> Result<(Architecture, Self)> {
        let Some(shipped) = SHIPPED.iter().find(|shipped| shipped.name == name) else {
            return Err(Error::argument("embedded backbone", format!("{name:?}"), "default or small"));
        };
        let &Shipped { architecture, feature, checksum, .. } = shipped;
        let architecture = Architecture::named(architecture)?;
        let Some(convolutions) = convolutions(name, &architecture)? else {
            let error =
                Error::argument("embedded backbone", format!("{name:?}"), "one that this build brings");
            return Err(error.hint(format!(
                "build with the feature {feature}; a model with a copy of its backbone does without"
            )));
        };
        Ok((architecture, Self { convolutions, checksum }))
    }

    /// CRC-32 of all widened weights. Computing it would need a tenth of the time of opening a model.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The weights of convolution `index`, then its biases.
    pub fn halves(&self, index: usize) -> impl Iterator<Item = u16> {
        let parts = self.convolutions[index].into_iter();
        parts.flat_map(|bytes| bytes.as_chunks().0.iter().map(|&half| u16::from_le_bytes(half)))
    }

    /// Writes the weights, then the biases of convolution `index` to `out`, which has exactly their length.
    pub fn widen(&self, index: usize, isa: Isa, out: &mut [f32]) {
        let [weights, biases] = self.convolutions[index];
        let (out_weights, out_biases) = out.split_at_mut(weights.len() / 2);
        widen(isa, weights, out_weights);
        widen(isa, biases, out_biases);
    }
}

#[cfg_attr(
    not(any(feature = "embedded-default", feature = "embedded-small")),
    allow(unused_variables, clippy::unnecessary_wraps)
)]
fn convolutions(name: &str, architecture: &Architecture) -> Result<Option<Convolutions>> {
    match name {
        #[cfg(feature = "embedded-default")]
        "default" => parse(name, architecture, include_bytes!("../../models/default.safetensors")).map(Some),
        #[cfg(feature = "embedded-small")]
        "small" => parse(name, architecture, include_bytes!("../../models/small.safetensors")).map(Some),
        _ => Ok(None),
    }
}

#[cfg(any(feature = "embedded-default", feature = "embedded-small"))]
fn parse(name: &str, architecture: &Architecture, file: &'static [u8]) -> Result<Convolutions> {
    let source = format!("embedded backbone {name}");
    let views = safetensors_views(&source, file, &WeightLimits::default())?;
    let part = |tensor: String, shape: &[usize]| {
        let view = views.get(&tensor).filter(|view| view.shape == shape);
        view.and_then(|view| view.halves()).ok_or_else(|| {
            let subject = format!("{source}: tensor {tensor}");
            Error::format(subject, "another one, or none", format!("halves of shape {shape:?}"))
        })
    };
    let all = architecture.convolutions().into_iter().map(|convolution| {
        let weights = part(format!("{}.weight", convolution.name), &convolution.shape())?;
        Ok([weights, part(format!("{}.bias", convolution.name), &[convolution.output])?])
    });
    all.collect()
}
