//! Files of torch.save: a zip of one pickle and the raw numbers of its tensors, or the same before there was
//! a zip.

use super::limits::Budget;
use super::names::{plain_names, tensor_of};
use super::pickle::{Field, Pickle, Value, View};
use super::zip::Archive;
use super::{NamedTensors, Tensor, WeightLimits, legacy};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;

const PICKLE: &str = "/data.pkl";
/// Under which keys checkpoints keep a network's state dict.
const STATE_DICTS: [&str; 5] = ["state_dict", "model", "model_state_dict", "net", "params"];

/// What torch.save has saved: a state dict, or a checkpoint around one.
pub(crate) struct Checkpoint<'a> {
    source: &'a str,
    pickle: Pickle<'a>,
    storages: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Checkpoint<'a> {
    /// Whether `bytes` begin as such a file does.
    pub(crate) fn recognises(bytes: &[u8]) -> bool {
        Archive::recognises(bytes) || legacy::recognises(bytes)
    }

    /// Reads all but the tensors; `source` names the file in errors.
    pub(crate) fn parse(source: &'a str, bytes: &'a [u8]) -> Result<Self> {
        let parsed = if legacy::recognises(bytes) { legacy::parse(bytes) } else { parse_zip(bytes) };
        let (pickle, storages) = parsed.map_err(|e| e.within(source))?;
        Ok(Self { source, pickle, storages })
    }

    /// All but the tensors.
    pub(crate) fn root(&self) -> Field<'_, 'a> {
        Field::root(self.source, &self.pickle)
    }

    /// The tensors of the state dict, under torchvision's and timm's names where they are of a network.
    ///
    /// # Errors
    /// There is no state dict or more than one network, a tensor is damaged, or a limit is passed.
    pub(crate) fn tensors(&self, limits: &WeightLimits) -> Result<NamedTensors> {
        let views = self.state_dict()?.iter().filter_map(|&(name, value)| match name {
            Value::Str(name) => Some((name, self.pickle.tensor(value)?)),
            _ => None,
        });
        let mut budget = Budget::new(limits, self.storages.values().map(|numbers| numbers.len()).sum());
        let mut tensors = NamedTensors::new(self.source);
        for (name, view) in plain_names(self.source, views.collect())? {
            let tensor = self.tensor(view, &mut budget);
            tensors.insert(&*name, tensor.map_err(|e| e.within(tensor_of(self.source, &name)))?);
        }
        if tensors.iter().next().is_none() {
            return Err(Error::format(self.source, "no tensor", "a state dict"));
        }
        Ok(tensors)
    }

    /// The dictionary of tensors: the file itself, or under one of [`STATE_DICTS`] in it.
    fn state_dict(&self) -> Result<&[(Value<'a>, Value<'a>)]> {
        let root = self.pickle.root;
        let nested = STATE_DICTS.iter().filter_map(|&key| {
            let entries = self.pickle.dict(self.pickle.get(root, key)?)?;
            entries.iter().any(|&(_, value)| self.pickle.tensor(value).is_some()).then_some((key, entries))
        });
        match nested.collect::<Vec<_>>()[..] {
            [] => self.pickle.dict(root).ok_or_else(|| Error::format(self.source, root, "a state dict")),
            [(_, entries)] => Ok(entries),
            [(first, _), (second, _), ..] => {
                let found = format!("state dicts under {first:?} and {second:?}");
                Err(Error::format(self.source, found, "one").hint("save the one to use alone"))
            }
        }
    }

    fn tensor(&self, view: &View<'a>, budget: &mut Budget) -> Result<Tensor> {
        let View { storage, shape, .. } = view;
        let Some(numbers) = self.storages.get(storage.key) else {
            return Err(Error::format("storage", format!("none of key {:?}", storage.key), "one"));
        };
        let (found, size) = (numbers.len(), storage.dtype.size());
        if storage.len.checked_mul(size) != Some(found) {
            let expected = format!("{} values of {size} bytes", storage.len);
            return Err(Error::format("storage", format!("{found} bytes"), expected));
        }
        let count = budget.take(shape)?;
        // Without the first condition a small file could ask for much memory.
        if count > storage.len || !view.lies_inside() {
            let found = format!("shape {shape:?}, strides {:?}, offset {}", view.strides, view.offset);
            return Err(Error::format("view", found, format!("one of {} values", storage.len)));
        }
        // The view lies inside the storage, whose bytes were counted: no product overflows.
        let (first, length) = (view.offset * size, count * size);
        let bytes = if count == 0 {
            Some(Cow::from(&[]))
        } else if view.is_contiguous() {
            numbers.get(first..first + length).map(Cow::from)
        } else {
            view.gather(numbers, count).map(Cow::from)
        };
        let bytes = bytes.ok_or_else(|| Error::format("view", "values outside", "values of the storage"))?;
        Ok(Tensor { shape: shape.clone(), data: storage.dtype.to_f32(&bytes) })
    }
}

/// The pickle of an archive, and the bytes of each storage.
fn parse_zip(bytes: &[u8]) -> Result<(Pickle<'_>, BTreeMap<&str, &[u8]>)> {
    let archive = Archive::parse(bytes)?;
    let Some(folder) = archive.names().find_map(|name| name.strip_suffix(PICKLE)) else {
        return Err(Error::format("zip archive", "no data.pkl", "one").hint("this is no file of torch.save"));
    };
    let entry = |name: &str| archive.get(&format!("{folder}/{name}"));
    if let Some(order) = entry("byteorder").filter(|&order| order != b"little") {
        return Err(Error::format("byteorder", order.escape_ascii(), "little"));
    }
    let pickle = Pickle::parse(entry("data.pkl").unwrap_or_default())?;
    let prefix = format!("{folder}/data/");
    let storages = archive.entries().filter_map(|(name, bytes)| Some((name.strip_prefix(&prefix)?, bytes)));
    let storages = storages.collect();
    Ok((pickle, storages))
}

impl View<'_> {
    /// Whether every value lies in the storage.
    fn lies_inside(&self) -> bool {
        if self.shape.contains(&0) {
            return self.offset <= self.storage.len;
        }
        let last =
            self.shape.iter().zip(&self.strides).try_fold(self.offset, |at, (&side, &stride)| {
                at.checked_add((side - 1).checked_mul(stride)?)
            });
        last.is_some_and(|last| last < self.storage.len)
    }

    /// Whether the values lie in the order of their indices, without gaps; there is one at least.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&side, &stride)| {
            let matches = side <= 1 || stride == expected;
            expected *= side;
            matches
        })
    }

    /// The bytes of the `count` values in the order of their indices; the view lies inside.
    fn gather(&self, numbers: &[u8], count: usize) -> Option<Vec<u8>> {
        let size = self.storage.dtype.size();
        let mut out = Vec::with_capacity(count * size);
        for index in 0..count {
            let mut rest = index;
            let mut at = self.offset;
            for (&side, &stride) in self.shape.iter().zip(&self.strides).rev() {
                at += rest % side * stride;
                rest /= side;
            }
            out.extend_from_slice(numbers.get(at * size..)?.get(..size)?);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;
    use super::super::torch_writer::*;
    use super::*;

    fn load(bytes: &[u8]) -> Result<NamedTensors> {
        parse("w.pth", bytes, &WeightLimits::default())
    }

    fn load_one(tensor: PyTensor) -> Result<Tensor> {
        load(&save(&state_dict([("t", tensor)]))).map(|mut tensors| tensors.remove("t").unwrap())
    }

    fn message(result: Result<impl Sized>) -> String {
        result.err().expect("an error").to_string()
    }

    fn counting(count: usize) -> Vec<f32> {
        (0..count).map(|i| i as f32).collect()
    }

    #[test]
    fn a_state_dict_comes_back_from_both_kinds_of_file() {
        let value = state_dict([
            ("module.layer1.0.conv1.weight", PyTensor::f32(&[2, 3], &counting(6))),
            ("scalar", PyTensor::f32(&[], &[-0.5])),
            ("empty", PyTensor::f32(&[0], &[])),
        ]);
        for bytes in [save(&value), save_legacy(&value)] {
            let tensors = load(&bytes).unwrap();
            assert_eq!(tensors.get("layer1.0.conv1.weight", &[2, 3]).unwrap(), counting(6));
            assert_eq!(tensors.get("scalar", &[]).unwrap(), [-0.5]);
            assert!(tensors.get("empty", &[0]).unwrap().is_empty());
        }
    }

    #[test]
    fn a_state_dict_may_lie_in_a_checkpoint_and_hold_parameters() {
        let tensor = Py::Tensor(PyTensor::f32(&[1], &[7.0]));
        let rebuild = Py::Global("torch._utils", "_rebuild_parameter");
        let parameter = Py::Call(Box::new(rebuild), vec![tensor, Py::Bool(true), Py::None]);
        let name = "model.feature_extractor.feature_extractor.layer1.0.conv1.weight";
        let state = dict([(name, parameter), ("epoch", Py::Int(3))]);
        let tensors = load(&save(&dict([("epoch", Py::Int(1)), ("state_dict", state)]))).unwrap();
        assert_eq!(tensors.get("layer1.0.conv1.weight", &[1]).unwrap(), [7.0]);
        assert_eq!(tensors.iter().count(), 1);
    }

    #[test]
    fn a_state_dict_may_lie_under_each_of_the_usual_keys() {
        let state = |value| state_dict([("t", PyTensor::f32(&[1], &[value]))]);
        for key in ["state_dict", "model", "model_state_dict", "net", "params"] {
            let best = ("best", Py::Tensor(PyTensor::f32(&[], &[0.7])));
            let tensors = load(&save(&dict([best, ("optimizer", dict([])), (key, state(3.0))]))).unwrap();
            assert_eq!(tensors.get("t", &[1]).unwrap(), [3.0], "{key}");
            assert_eq!(tensors.iter().count(), 1, "{key}");
        }
        let found = message(load(&save(&dict([("net", state(1.0)), ("model", state(2.0))]))));
        let expected =
            "w.pth: found state dicts under \"model\" and \"net\", expected one (save the one to use alone)";
        assert_eq!(found, expected);
    }

    #[test]
    fn two_networks_in_one_file_are_refused() {
        let network = |prefix: &str| (format!("{prefix}layer1.0.conv1.weight"), PyTensor::f32(&[1], &[1.0]));
        let found = message(load(&save(&state_dict([network(""), network("module.")]))));
        assert!(found.starts_with("w.pth: found two networks, with layer1.0.conv1.weight and"), "{found}");
    }

    #[test]
    fn every_number_type_is_read() {
        let numbers: [(&str, usize, &[u8], f32); 10] = [
            ("FloatStorage", 4, &1.5f32.to_le_bytes(), 1.5),
            ("DoubleStorage", 8, &(-2.5f64).to_le_bytes(), -2.5),
            ("HalfStorage", 2, &0x3c00u16.to_le_bytes(), 1.0),
            ("BFloat16Storage", 2, &0x3fc0u16.to_le_bytes(), 1.5),
            ("CharStorage", 1, &(-5i8).to_le_bytes(), -5.0),
            ("ShortStorage", 2, &(-300i16).to_le_bytes(), -300.0),
            ("IntStorage", 4, &(-70_000i32).to_le_bytes(), -70_000.0),
            ("LongStorage", 8, &(-3i64).to_le_bytes(), -3.0),
            ("ByteStorage", 1, &[200], 200.0),
            ("BoolStorage", 1, &[1], 1.0),
        ];
        for (storage, size, bytes, expected) in numbers {
            let tensor = load_one(PyTensor::new(storage, size, &[1], bytes.to_vec())).unwrap();
            assert_eq!(tensor.data, [expected], "{storage}");
        }
    }

    #[test]
    fn views_are_read_in_the_order_of_their_indices() {
        let whole = PyTensor::f32(&[12], &counting(12));
        let view = |offset, shape: &[i64], strides: &[i64]| {
            load_one(PyTensor { offset, shape: shape.into(), strides: strides.into(), ..whole.clone() })
        };
        assert_eq!(view(2, &[2, 3], &[3, 1]).unwrap().data, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        // Transposed.
        assert_eq!(view(0, &[3, 2], &[1, 3]).unwrap().data, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        // Every other column; the stride of an axis of one value does not matter.
        assert_eq!(view(1, &[1, 2, 2], &[999, 6, 2]).unwrap().data, [1.0, 3.0, 7.0, 9.0]);
        let most = isize::MAX as i64;
        assert!(view(12, &[0, most, most], &[1, 1, 1]).unwrap().data.is_empty());
    }

    #[test]
    fn views_outside_their_storage_are_refused() {
        let whole = PyTensor::f32(&[12], &counting(12));
        for (offset, shape, strides) in [
            (13, vec![0], vec![1]),
            (12, vec![1], vec![1]),
            (1, vec![3, 4], vec![4, 1]),
            (0, vec![2, 2], vec![11, 1]),
            (0, vec![13], vec![0]),
            (0, vec![2], vec![i64::MAX]),
            (i64::MAX, vec![2], vec![i64::MAX]),
            (0, vec![i64::MAX, i64::MAX], vec![0, 0]),
            (-1, vec![1], vec![1]),
            (0, vec![-1], vec![1]),
            (0, vec![1], vec![-1]),
            (0, vec![1, 1], vec![1]),
            (0, vec![1; 17], vec![1; 17]),
        ] {
            let view = PyTensor { offset, shape: shape.clone(), strides: strides.clone(), ..whole.clone() };
            assert!(load_one(view).is_err(), "{offset} {shape:?} {strides:?}");
        }
        let shorter = PyTensor { size: 2, ..whole };
        assert_eq!(
            message(load_one(shorter)),
            "w.pth: tensor t: storage: found 48 bytes, expected 24 values of 4 bytes"
        );
    }

    #[test]
    fn names_keep_to_the_line() {
        let tensor = PyTensor { offset: 9, ..PyTensor::f32(&[1], &[1.0]) };
        let found = message(load(&save(&state_dict([("a\nb", tensor.clone())]))));
        assert!(found.starts_with("w.pth: tensor a\\nb: view: found shape [1]"), "{found}");
        let long = "\u{1b}".repeat(4 << 20);
        let found = message(load(&save(&state_dict([(long, tensor)]))));
        assert!(found.len() < 1000 && !found.contains(char::is_control), "{found}");
    }

    #[test]
    fn limits_are_kept() {
        let bytes = save(&state_dict(["a", "b"].map(|name| (name, PyTensor::f32(&[8], &counting(8))))));
        let load = |limits| parse("w.pth", &bytes, &limits);
        let limits = WeightLimits { max_elements: 16, max_tensors: 2, ..WeightLimits::default() };
        assert!(load(limits).is_ok());
        let found = message(load(WeightLimits { max_elements: 15, ..limits }));
        assert!(
            found.starts_with("w.pth: tensor b: shape: found [8], expected at most 15 values"),
            "{found}"
        );
        let found = message(load(WeightLimits { max_tensors: 1, ..limits }));
        assert!(found.contains("number of tensors: found 2, expected at most 1"), "{found}");
    }

    #[test]
    fn many_views_of_a_few_numbers_are_refused_before_memory_is_taken() {
        let (one, global) = (Py::Int(1), |module, name| Py::Global(module, name));
        let id = ["storage", "0", "cpu"].map(text);
        let [storage, key, device] = id;
        let id = vec![storage, global("torch", "FloatStorage"), key, device, Py::Int(1000)];
        let (shape, strides) = (Py::Tuple(vec![Py::Int(1000)]), Py::Tuple(vec![one]));
        let arguments = vec![Py::Persistent(id), Py::Int(0), shape, strides];
        let view = Py::Call(Box::new(global("torch._utils", "_rebuild_tensor_v2")), arguments);
        let views = |count: usize| {
            let own = ("own".into(), Py::Tensor(PyTensor::f32(&[1000], &counting(1000))));
            let shared = (0..count).map(|i| (format!("t{i}"), view.clone()));
            save(&Py::Dict(std::iter::once(own).chain(shared).map(|(k, v)| (text(k), v)).collect()))
        };
        assert_eq!(load(&views(3)).unwrap().iter().count(), 4);
        let found = message(load(&views(4)));
        assert!(found.contains("shape: found [1000], expected at most 4000 values in all"), "{found}");
    }

    #[test]
    fn other_byte_orders_and_contents_are_refused() {
        let value = state_dict([("t", PyTensor::f32(&[1], &[1.0]))]);
        let found = message(load(&save_with(&value, b"big")));
        assert_eq!(found, "w.pth: byteorder: found big, expected little");
        assert_eq!(message(load(&save(&Py::Int(3)))), "w.pth: found 3, expected a state dict");
        assert_eq!(message(load(&save(&dict([])))), "w.pth: found no tensor, expected a state dict");
        let other = zip(&[Entry::from(("word/document.xml", b"<a/>".as_slice()))]);
        assert!(message(load(&other)).contains("no data.pkl"));
    }

    #[test]
    fn no_damage_is_a_panic() {
        let value = dict([
            (
                "hyper_parameters",
                dict([("layers", Py::Tuple(vec![text("layer2")])), ("ratio", Py::Float(0.1))]),
            ),
            ("state_dict", state_dict([("a.weight", PyTensor::f32(&[2, 2], &counting(4)))])),
        ]);
        for bytes in [save(&value), save_legacy(&value)] {
            for cut in 0..bytes.len() {
                assert!(load(&bytes[..cut]).is_err(), "cut to {cut} bytes");
            }
            for at in 0..bytes.len() {
                for change in 1..=255 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= change;
                    let _ = load(&damaged);
                }
            }
        }
    }
}
