//! The reference's pre-processing, as its checkpoints describe it: torchvision's transforms by class and
//! arguments.

use super::{ImportOptions, is_enabled};
use crate::error::{Error, Result, Setting};
use crate::image::Preprocess;
use crate::weights::Field;

/// How photographs become the network's input.
pub(super) fn read_preprocess(
    root: &Field<'_, '_>,
    options: &ImportOptions,
    notes: &mut Vec<String>,
) -> Result<Preprocess> {
    if !is_enabled(root, "pre_processor")? {
        return Err(root
            .get("anomalib_components_enabled")?
            .get("pre_processor")?
            .unexpected("a pre-processor: without one the size of the network's input is unknown"));
    }
    match root.find("anomalib_pre_processor_config").and_then(|config| config.find("transform")) {
        Some(transform) => described(&transform, options),
        None => undescribed(root, options, notes),
    }
}

/// The checkpoint's own description, which the options must not contradict.
fn described(transform: &Field<'_, '_>, options: &ImportOptions) -> Result<Preprocess> {
    let plan = compose(transform, options)?;
    let differs = |setting: Setting, given: (usize, usize), own: String| {
        Error::wrong_setting(
            setting,
            format!("{}x{}", given.0, given.1),
            format!("{own}, as the checkpoint says"),
        )
    };
    if let Some(given) = options.image_size.filter(|&given| given != plan.resize) {
        return Err(differs(Setting::ImageSize, given, format!("{}x{}", plan.resize.0, plan.resize.1)));
    }
    if let Some(given) = options.center_crop.filter(|&given| Some(given) != plan.crop) {
        let own = plan.crop.map_or("none".into(), |(height, width)| format!("{height}x{width}"));
        return Err(differs(Setting::CenterCrop, given, own));
    }
    Ok(plan)
}

/// As the options say; what they cannot say is the reference's default.
fn undescribed(root: &Field<'_, '_>, options: &ImportOptions, notes: &mut Vec<String>) -> Result<Preprocess> {
    let Some(resize) = options.image_size else {
        let found = "nothing about how photographs are resized and cropped";
        return Err(root.error(found, "a description").hint(
            "say it with --image-size and --center-crop: the default of anomalib 2.0 is 256 and 224, that of later \
             versions 256 and no crop",
        ));
    };
    let plan = Preprocess { resize, crop: options.center_crop, ..Preprocess::default() };
    plan.validate()?;
    notes.push(
        "the checkpoint does not say how photographs are prepared: they are resized and cropped as given, and \
         normalised by ImageNet's mean and deviation"
            .into(),
    );
    Ok(plan)
}

/// A resize, then a centre crop or none, then a normalisation or none.
fn compose(transform: &Field<'_, '_>, options: &ImportOptions) -> Result<Preprocess> {
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
                resize(&arguments, options, &mut plan)?;
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

fn resize(arguments: &Field<'_, '_>, options: &ImportOptions, plan: &mut Preprocess) -> Result<()> {
    let field = arguments.get("size")?;
    plan.resize = match &field.items()?[..] {
        [shorter] => keeping_shape(&field, shorter.integer()?, options)?,
        _ => size(&field)?,
    };
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

/// Height and width of photographs whose shorter side becomes `shorter`: the options say which shape they
/// have.
fn keeping_shape(field: &Field<'_, '_>, shorter: usize, options: &ImportOptions) -> Result<(usize, usize)> {
    match options.image_size {
        Some((height, width)) if height.min(width) == shorter => Ok((height, width)),
        _ => {
            let error = field.error(format!("{shorter} for the shorter side"), "[height, width]");
            Err(error.hint(format!(
                "say which shape the photographs have: --image-size {shorter} if they are square, else \
                 HEIGHTxWIDTH with {shorter} for the shorter side"
            )))
        }
    }
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
