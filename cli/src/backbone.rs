//! `--backbone` and `--weights`: which network embeds.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use patchcore::weights::{self, WeightLimits};
use patchcore::{Architecture, Backbone};
use patchcore::{Error, Result};
use std::path::{Path, PathBuf};

/// What `--backbone` takes. The architecture of `small` is for those who train it anew.
pub fn networks() -> PossibleValuesParser {
    let named =
        ["default", "small", "resnet18", "resnet34", "resnet50", "wide_resnet50_2"].map(PossibleValue::new);
    named.into_iter().chain([PossibleValue::new("resnet18_narrow").hide(true)]).into()
}

/// The network that embeds.
#[derive(Args, Clone)]
pub struct BackboneArguments {
    /// default and small are embedded; the others are used with --weights
    #[arg(long, value_name = "NET", default_value = "default", value_parser = networks())]
    pub backbone: String,
    /// Weights: torchvision's .pth, .safetensors, or an anomalib .ckpt
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

impl BackboneArguments {
    /// The backbone with its weights.
    pub fn load(&self) -> Result<Backbone> {
        load(&self.backbone, self.weights.as_deref())
    }
}

/// The backbone `net`, with the weights of `weights` unless it is an embedded one.
pub fn load(net: &str, weights: Option<&Path>) -> Result<Backbone> {
    match (net, weights) {
        ("default" | "small", None) => Backbone::embedded(net),
        ("default" | "small", Some(file)) => Err(Error::argument(
            "--weights",
            file.display(),
            format!("nothing: --backbone {net} brings its own"),
        )
        .hint("name the network, such as --backbone resnet18")),
        (_, None) => Err(Error::argument("--weights", "nothing", format!("a weight file for {net}"))
            .hint("torchvision's .pth or a .safetensors; or use --backbone default")),
        (_, Some(file)) => {
            let architecture = Architecture::named(net)?;
            let tensors = weights::load(file, &WeightLimits::default())?;
            let origin = file.file_name().unwrap_or_default().to_string_lossy();
            Ok(Backbone::from_tensors(&architecture, &tensors)?.with_origin(&origin))
        }
    }
}
