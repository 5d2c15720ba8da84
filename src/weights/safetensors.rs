//! `.safetensors`: a length, a JSON header, raw little-endian values.

use super::dtype::Dtype;
use super::limits::Budget;
use super::names::{plain_names, tensor_of};
use super::{NamedTensors, Tensor, WeightLimits};
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// Far more than the description of any network takes; JSON takes many times its length in memory.
const MAX_HEADER: usize = 4 << 20;

/// A tensor of a file, its values as the file has them.
pub(crate) struct View<'a> {
    pub shape: Vec<usize>,
    dtype: Dtype,
    bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// The values as the file has them, if they are of half precision.
    #[cfg(any(feature = "embedded-default", feature = "embedded-small"))]
    pub(crate) fn halves(&self) -> Option<&'a [u8]> {
        (self.dtype == Dtype::F16).then_some(self.bytes)
    }
}

/// Reads the bytes of a `.safetensors` file; `source` names it in errors. Names become plain as by `load`.
///
/// # Errors
/// The bytes are damaged, pass a limit on tensors or values, or hold two networks or numbers of another type.
pub fn parse(source: &str, bytes: &[u8], limits: &WeightLimits) -> Result<NamedTensors> {
    let mut tensors = NamedTensors::new(source);
    for (name, View { shape, dtype, bytes }) in views(source, bytes, limits)? {
        tensors.insert(name, Tensor { shape, data: dtype.to_f32(bytes) });
    }
    Ok(tensors)
}

/// The tensors by name; as [`parse`], without a copy.
pub(crate) fn views<'a>(
    source: &str,
    bytes: &'a [u8],
    limits: &WeightLimits,
) -> Result<BTreeMap<String, View<'a>>> {
    let bad = |found: String, expected: &str| Error::format(format!("{source}: header"), found, expected);
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(
            bad(format!("{} bytes", bytes.len()), "a .safetensors file").hint("the file is cut short")
        );
    };
    let length = u64::from_le_bytes(*length);
    let Some((header, data)) = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n)) else {
        return Err(bad(format!("{} bytes", rest.len()), &format!("the {length} that it says"))
            .hint("the file is cut short, or is no .safetensors file"));
    };
    if header.len() > MAX_HEADER {
        let expected = format!("at most {MAX_HEADER}");
        return Err(Error::limit(format!("{source}: header"), format!("{length} bytes"), expected));
    }
    let header: Value = serde_json::from_slice(header).map_err(|e| bad(e.to_string(), "JSON"))?;
    let Value::Object(entries) = header else { return Err(bad("another JSON value".into(), "an object")) };
    let mut budget = Budget::new(limits, data.len());
    let tensors = entries.iter().filter(|(name, _)| *name != "__metadata__");
    let tensors = plain_names(source, tensors.map(|(name, entry)| (name.as_str(), entry)).collect())?;
    let view_of = |(name, entry): (String, &Value)| {
        let view = parse_view(entry, data, &mut budget).map_err(|e| e.within(tensor_of(source, &name)))?;
        Ok((name, view))
    };
    tensors.into_iter().map(view_of).collect()
}

/// The tensor that `entry` describes.
fn parse_view<'a>(entry: &Value, data: &'a [u8], budget: &mut Budget) -> Result<View<'a>> {
    let dtype = &entry["dtype"];
    let Some(dtype) = dtype.as_str().and_then(Dtype::from_safetensors) else {
        return Err(Error::format("dtype", dtype, Dtype::NAMES));
    };
    let numbers = |field: &str| -> Option<Vec<usize>> {
        entry[field].as_array()?.iter().map(|v| v.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
    };
    let Some(shape) = numbers("shape") else {
        return Err(Error::format("shape", &entry["shape"], "a list of sizes"));
    };
    let count = budget.take(&shape)?;
    let Some([start, end]) = numbers("data_offsets").as_deref().and_then(|o| <[usize; 2]>::try_from(o).ok())
    else {
        return Err(Error::format("data_offsets", &entry["data_offsets"], "two offsets"));
    };
    let Some(bytes) = data.get(start..end) else {
        return Err(Error::format(
            "data",
            format!("{} bytes", data.len()),
            format!("bytes {start} to {end}"),
        )
        .hint("the file is cut short"));
    };
    let expected = count.saturating_mul(dtype.size());
    if bytes.len() != expected {
        return Err(Error::format(
            "data",
            format!("{} bytes", bytes.len()),
            format!("{expected} for shape {shape:?}"),
        ));
    }
    Ok(View { shape, dtype, bytes })
}
