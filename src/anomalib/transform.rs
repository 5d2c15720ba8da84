//! The reference's pre-processing, as its checkpoints describe it: torchvision's transforms by class and arguments.

use super::is_enabled;
use crate::error::Result;
use crate::image::Preprocess;
use crate::weights::Field;

/// How photographs become the network's input.
pub(super) fn read(root: &Field<'_, '_>, notes: &mut Vec<String>) -> Result<Preprocess> {
    if !is_enabled(root, "pre_processor")? {
        return Err(root
            .get("anomalib_components_enabled")?
            .get("pre_processor")?
            .unexpected("a pre-processor: without one the size of the network's input is unknown"));
    }
    match root.find("anomalib_pre_processor_config").and_then(|config| config.find("transform")) {
        Some(transform) => compose(&transform),
        None => {
            let default = Preprocess::default();
            notes.push(format!(
                "the checkpoint does not say how photographs are preprocessed: the reference's default is used (resize \
                 to {}x{}, ImageNet's mean and deviation)",
                default.resize.0, default.resize.1
            ));
            Ok(default)
        }
    }
}

/// A resize, then a centre crop or none, then a normalisation or none.
fn compose(transform: &Field<'_, '_>) -> Result<Preprocess> {
    let steps = match class(transform)? {
        "Compose" => transform.get("init_args")?.get("transforms")?.items()?,
        _ => vec![transform.clone()],
    };
    let mut plan = Preprocess { resize: (0, 0), mean: [0.0; 3], std: [1.0; 3], ..Preprocess::default() };
    let mut done = 0;
    for step in steps {
        let arguments = step.get("init_args")?;
        let order = match class(&step)? {
            "Resize" => {
                resize(&arguments, &mut plan)?;
                1
            }
            "CenterCrop" | "ExportableCenterCrop" => {
                plan.crop = Some(size(&arguments.get("size")?)?);
                2
            }
            "Normalize" => {
                plan.mean = channels(&arguments.get("mean")?)?;
                plan.std = channels(&arguments.get("std")?)?;
                3
            }
            _ => return Err(step.get("class_path")?.unexpected("Resize, CenterCrop or Normalize")),
        };
        if order <= done {
            return Err(step
                .get("class_path")?
                .unexpected("Resize, CenterCrop, Normalize in this order, each once"));
        }
        done = order;
    }
    if plan.resize == (0, 0) {
        return Err(transform.unexpected("a Resize in it"));
    }
    plan.validate().map_err(|e| transform.unexpected(e))?;
    Ok(plan)
}

/// The last part of the class's path.
fn class<'a>(transform: &Field<'_, 'a>) -> Result<&'a str> {
    let path = transform.get("class_path")?.str()?;
    Ok(path.rsplit('.').next().unwrap_or(path))
}

fn resize(arguments: &Field<'_, '_>, plan: &mut Preprocess) -> Result<()> {
    plan.resize = size(&arguments.get("size")?)?;
    if let Some(interpolation) = arguments.find("interpolation")
        && interpolation.str()? != "bilinear"
    {
        return Err(interpolation.unexpected("bilinear"));
    }
    if let Some(max_size) = arguments.find("max_size") {
        return Err(max_size.unexpected("None"));
    }
    if let Some(antialias) = arguments.find("antialias") {
        plan.antialias = antialias.bool()?;
    }
    Ok(())
}

fn size(field: &Field<'_, '_>) -> Result<(usize, usize)> {
    match &field.items()?[..] {
        [height, width] => Ok((height.integer()?, width.integer()?)),
        _ => Err(field.unexpected("[height, width]")),
    }
}

/// Rounded to single precision, as the reference computes.
#[allow(clippy::cast_possible_truncation)]
fn channels(field: &Field<'_, '_>) -> Result<[f32; 3]> {
    let values = field.items()?.iter().map(Field::float).collect::<Result<Vec<f64>>>()?;
    let values: [f64; 3] = values.try_into().map_err(|_: Vec<f64>| field.unexpected("three numbers"))?;
    Ok(values.map(|value| value as f32))
}
