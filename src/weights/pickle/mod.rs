//! Python pickles as torch writes them, read as data: nothing is imported and nothing is called.
//!
//! A pickle is a program for a stack machine. [`machine`] runs the few instructions that plain data and
//! tensors need. The few classes that occur beside tensors become values of no content, and every other is an
//! error.

mod field;
mod machine;

pub(crate) use field::Field;

use super::dtype::Dtype;
use std::fmt;

/// What a pickle holds. Containers lie in the [`Pickle`] and are named by their place there, so that values
/// which contain themselves or are nested without end cost nothing.
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
    /// Plain data of no use here, such as a set or a NumPy number.
    Unread,
}

/// The classes and functions that may be named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    DefaultDict,
    RebuildTensor,
    RebuildParameter,
    StorageOf(Dtype),
    /// `torch.Size`, a tuple.
    Size,
    /// A class of anomalib, whose values stand for themselves.
    PrecisionType,
    /// A class of plain data whose values are [`Value::Unread`].
    Unread,
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("collections", "defaultdict") => Self::DefaultDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("anomalib", "PrecisionType") => Self::PrecisionType,
            ("torch", "Size") => Self::Size,
            _ if is_plain_data(module, name) => Self::Unread,
            ("torch", _) => Self::StorageOf(Dtype::from_torch_storage(name)?),
            _ => return None,
        })
    }
}

/// Whether the values of this class are data alone, such as people save beside their weights.
fn is_plain_data(module: &str, name: &str) -> bool {
    match module {
        // Python 3's `int` is `long` in protocol 2.
        "__builtin__" => matches!(
            name,
            "set" | "frozenset" | "complex" | "int" | "long" | "float" | "bytes" | "list" | "dict"
        ),
        // How protocol 2 writes bytes.
        "_codecs" => name == "encode",
        "torch" => matches!(
            name,
            "device"
                | "float16"
                | "bfloat16"
                | "float32"
                | "float64"
                | "complex64"
                | "complex128"
                | "uint8"
                | "int8"
                | "int16"
                | "int32"
                | "int64"
                | "bool"
        ),
        "numpy" => name == "dtype",
        "numpy.core.multiarray" | "numpy._core.multiarray" => name == "scalar",
        "argparse" => name == "Namespace",
        "pathlib" | "pathlib._local" => matches!(name, "PosixPath" | "WindowsPath"),
        // What anomalib 1 saves of its preprocessing.
        _ => module.starts_with("torchvision.transforms."),
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
            Self::Unread => write!(f, "a Python object"),
        }
    }
}
