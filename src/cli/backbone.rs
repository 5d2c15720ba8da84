//! `--backbone` and `--weights`: which network embeds.

use crate::error::{Error, Result};
use crate::network::{Architecture, Backbone};
use crate::weights::{self, WeightLimits};
use clap::Args;
use std::path::{Path, PathBuf};

/// The network that embeds.
#[derive(Args, Clone)]
pub struct BackboneArguments {
    /// default, small (both embedded), resnet18, resnet34, resnet50 or wide_resnet50_2 (these with --weights)
    #[arg(long, value_name = "NET", default_value = "default")]
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
        (_, None) => {
            Architecture::named(net)?;
            Err(Error::argument("--weights", "nothing", format!("a weight file for {net}"))
                .hint("torchvision's .pth or a .safetensors; or use --backbone default"))
        }
        (_, Some(file)) => {
            let architecture = Architecture::named(net)?;
            let tensors = weights::load(file, &WeightLimits::default())?;
            let origin = file.file_name().unwrap_or_default().to_string_lossy();
            Ok(Backbone::from_tensors(&architecture, &tensors)?.with_origin(&origin))
        }
    }
}
