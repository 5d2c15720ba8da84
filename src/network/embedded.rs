//! The weights that the library brings; `models/README.md` says how they were trained.

use super::architecture::Architecture;
use crate::error::{Error, Result};
use crate::weights::NamedTensors;
#[cfg(any(feature = "embedded-backbone", feature = "embedded-small"))]
use crate::weights::{WeightLimits, parse_safetensors};

/// Architecture and tensors of the backbone `name`.
pub(super) fn read(name: &str) -> Result<(Architecture, NamedTensors)> {
    let (architecture, feature) = match name {
        "default" => ("resnet18", "embedded-backbone"),
        "small" => ("resnet18_narrow", "embedded-small"),
        _ => return Err(Error::argument("embedded backbone", format!("{name:?}"), "default or small")),
    };
    let Some(tensors) = tensors(name)? else {
        let error = Error::argument("embedded backbone", format!("{name:?}"), "one that this build brings");
        return Err(error.hint(format!(
            "build with the feature {feature}; a model with a copy of its backbone does without"
        )));
    };
    Ok((Architecture::named(architecture)?, tensors))
}

fn tensors(name: &str) -> Result<Option<NamedTensors>> {
    match name {
        #[cfg(feature = "embedded-backbone")]
        "default" => parse(name, include_bytes!("../../models/default.safetensors")).map(Some),
        #[cfg(feature = "embedded-small")]
        "small" => parse(name, include_bytes!("../../models/small.safetensors")).map(Some),
        _ => Ok(None),
    }
}

#[cfg(any(feature = "embedded-backbone", feature = "embedded-small"))]
fn parse(name: &str, file: &[u8]) -> Result<NamedTensors> {
    parse_safetensors(&format!("embedded backbone {name}"), file, &WeightLimits::default())
}
