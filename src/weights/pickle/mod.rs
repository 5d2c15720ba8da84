//! Python pickles as torch writes them, read as data: nothing is imported and nothing is called.
//!
//! A pickle is a program for a stack machine. [`machine`] runs the few instructions that plain data and tensors need;
//! the few classes that occur stand for themselves, and every other is an error.

mod field;
mod machine;

pub(crate) use field::Field;

use super::dtype::Dtype;
use std::fmt;

/// What a pickle holds. Containers lie in the [`Pickle`] and are named by their place there, so that values which
/// contain themselves or are nested without end cost nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
    /// A list or a tuple.
    Sequence(usize),
    Dict(usize),
    Storage(Storage<'a>),
    Tensor(usize),
    Global(Global),
}

/// The classes and functions that may be named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageOf(Dtype),
    /// Of anomalib; its values stand for themselves.
    PrecisionType,
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("anomalib", "PrecisionType") => Self::PrecisionType,
            ("torch", _) => Self::StorageOf(Dtype::from_torch_storage(name)?),
            _ => return None,
        })
    }
}

/// Raw numbers that tensors are views of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Storage<'a> {
    pub dtype: Dtype,
    pub key: &'a str,
    /// Number of values.
    pub len: usize,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// A pickle that was read: its value, and all containers and tensors.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub root: Value<'a>,
    /// Where it ended.
    pub end: usize,
    sequences: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    tensors: Vec<View<'a>>,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> crate::Result<Self> {
        machine::run(bytes)
    }

    pub fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        if let Value::Sequence(at) = value { self.sequences.get(at).map(Vec::as_slice) } else { None }
    }

    pub fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        if let Value::Dict(at) = value { self.dicts.get(at).map(Vec::as_slice) } else { None }
    }

    pub fn tensor(&self, value: Value<'a>) -> Option<&View<'a>> {
        if let Value::Tensor(at) = value { self.tensors.get(at) } else { None }
    }

    /// The storage of each tensor.
    pub fn storages(&self) -> impl Iterator<Item = Storage<'a>> {
        self.tensors.iter().map(|view| view.storage)
    }

    /// What the dictionary `value` has under `key`.
    pub fn get(&self, value: Value<'a>, key: &str) -> Option<Value<'a>> {
        self.dict(value)?.iter().rev().find(|(k, _)| *k == Value::Str(key)).map(|&(_, v)| v)
    }
}

/// As an error message has it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "None"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Str(value) if value.len() > 100 => write!(f, "a long string"),
            Self::Str(value) => write!(f, "{value:?}"),
            Self::Sequence(_) => write!(f, "a list"),
            Self::Dict(_) => write!(f, "a dictionary"),
            Self::Storage(_) => write!(f, "a storage"),
            Self::Tensor(_) => write!(f, "a tensor"),
            Self::Global(_) => write!(f, "a class"),
        }
    }
}
