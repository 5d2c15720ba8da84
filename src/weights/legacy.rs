//! What torch.save wrote before release 1.6, and many of torchvision's files still are: pickles one after
//! another, then the raw numbers. There is no checksum.

use super::pickle::{Pickle, Value};
use crate::error::{Error, Result, shortened};
use std::collections::BTreeMap;

/// The first pickle: a magic number.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const VERSION: i64 = 1001;

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The object that was saved, and the bytes of each storage.
pub(super) fn parse(bytes: &[u8]) -> Result<(Pickle<'_>, BTreeMap<&str, &[u8]>)> {
    let mut rest = bytes.get(MAGIC.len()..).unwrap_or_default();
    let version = next(&mut rest)?.root;
    if version != Value::Int(VERSION) {
        return Err(Error::format("version", version, VERSION));
    }
    let system = next(&mut rest)?;
    if system.get(system.root, "little_endian") != Some(Value::Bool(true)) {
        return Err(Error::format("byte order", "another", "little-endian"));
    }
    let object = next(&mut rest)?;
    let keys = next(&mut rest)?;
    let keys = keys.sequence(keys.root).ok_or_else(|| Error::format("storages", keys.root, "a list"))?;
    let sizes: BTreeMap<_, _> =
        object.storages().map(|storage| (storage.key, storage.dtype.size())).collect();
    let mut storages = BTreeMap::new();
    for &key in keys {
        let unknown = || Error::format("storages", key, "one that a tensor is of");
        let Value::Str(key) = key else { return Err(unknown()) };
        let size = *sizes.get(key).ok_or_else(unknown)?;
        let numbers = storage(&mut rest, size);
        let numbers = numbers.map_err(|e| e.within(format!("storage \"{}\"", shortened(key))))?;
        storages.insert(key, numbers);
    }
    Ok((object, storages))
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Pickle<'a>> {
    let pickle = Pickle::parse(rest)?;
    *rest = rest.get(pickle.end..).unwrap_or_default();
    Ok(pickle)
}

/// Takes a storage off `rest`: its number of values, and the values of `size` bytes.
fn storage<'a>(rest: &mut &'a [u8], size: usize) -> Result<&'a [u8]> {
    let cut = |rest: &[u8]| {
        Error::format("content", format!("{} bytes", rest.len()), "more").hint("the file is cut short")
    };
    let (count, tail) = rest.split_first_chunk().ok_or_else(|| cut(rest))?;
    let bytes = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(size));
    let (content, tail) = bytes.and_then(|n| tail.split_at_checked(n)).ok_or_else(|| cut(tail))?;
    *rest = tail;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::super::torch_writer::{PyTensor, save_legacy, state_dict};
    use super::*;

    #[test]
    fn objects_and_storages_come_back_and_every_truncation_is_an_error() {
        let tensors =
            [("a", PyTensor::f32(&[2], &[1.0, 2.0])), ("b", PyTensor::new("BoolStorage", 1, &[1], vec![1]))];
        let bytes = save_legacy(&state_dict(tensors));
        assert!(recognises(&bytes));
        let (_, storages) = parse(&bytes).unwrap();
        let expected: [&[u8]; 2] = [&[0, 0, 128, 63, 0, 0, 0, 64], &[1]];
        assert_eq!(storages.into_values().collect::<Vec<_>>(), expected);
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
