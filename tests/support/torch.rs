//! Writes small files as torch.save does, for tests: a pickle of protocol 2 in a zip whose entries are
//! stored.

#![allow(dead_code)] // each test file uses its part

/// A Python value.
#[derive(Clone)]
pub enum Py {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    List(Vec<Py>),
    Tuple(Vec<Py>),
    Dict(Vec<(Py, Py)>),
    /// A dictionary that a call of `collections.OrderedDict` makes, with attributes.
    OrderedDict(Vec<(Py, Py)>),
    /// Module and name.
    Global(&'static str, &'static str),
    /// A function and its arguments.
    Call(Box<Py>, Vec<Py>),
    /// A storage that lies elsewhere, by its id.
    Persistent(Vec<Py>),
    Tensor(PyTensor),
}

#[derive(Clone)]
pub struct PyTensor {
    /// Such as `FloatStorage`.
    pub storage: &'static str,
    /// Bytes of one value.
    pub size: usize,
    pub numbers: Vec<u8>,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

impl PyTensor {
    pub fn f32(shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Self::new("FloatStorage", 4, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A contiguous tensor.
    pub fn new(storage: &'static str, size: usize, shape: &[usize], numbers: Vec<u8>) -> Self {
        let strides = (0..shape.len()).map(|i| shape[i + 1..].iter().product::<usize>() as i64).collect();
        let shape = shape.iter().map(|&side| side as i64).collect();
        Self { storage, size, numbers, offset: 0, shape, strides }
    }
}

pub fn text(text: impl Into<String>) -> Py {
    Py::Str(text.into())
}

pub fn dict<'k>(entries: impl IntoIterator<Item = (&'k str, Py)>) -> Py {
    Py::Dict(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
}

pub fn state_dict<K: Into<String>>(entries: impl IntoIterator<Item = (K, PyTensor)>) -> Py {
    Py::OrderedDict(entries.into_iter().map(|(key, value)| (text(key), Py::Tensor(value))).collect())
}

/// A whole file that holds `value`.
pub fn save(value: &Py) -> Vec<u8> {
    save_with(value, b"little")
}

pub fn save_with(value: &Py, byteorder: &[u8]) -> Vec<u8> {
    let pickler = Pickler::run(value, false);
    let names: Vec<_> = (0..pickler.storages.len()).map(|i| format!("archive/data/{i}")).collect();
    let mut entries = vec![
        Entry::from(("archive/data.pkl", pickler.out.as_slice())),
        Entry::from(("archive/byteorder", byteorder)),
    ];
    entries.extend(names.iter().zip(&pickler.storages).map(|(n, s)| Entry::from((n.as_str(), s.as_slice()))));
    zip(&entries)
}

/// A file whose pickle is `pickle`.
pub fn save_pickle(pickle: &[u8]) -> Vec<u8> {
    zip(&[Entry::from(("archive/data.pkl", pickle))])
}

/// What torch.save wrote before release 1.6.
pub fn save_legacy(value: &Py) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    let pickler = Pickler::run(value, true);
    let keys = (0..pickler.storages.len()).map(|i| text(i.to_string())).collect();
    let system = dict([("protocol_version", Py::Int(1001)), ("little_endian", Py::Bool(true))]);
    out.extend(Pickler::run(&Py::Int(1001), true).out);
    out.extend(Pickler::run(&system, true).out);
    out.extend(pickler.out);
    out.extend(Pickler::run(&Py::List(keys), true).out);
    for (storage, size) in pickler.storages.iter().zip(pickler.sizes) {
        out.extend(((storage.len() / size) as u64).to_le_bytes());
        out.extend(storage);
    }
    out
}

struct Pickler {
    out: Vec<u8>,
    memo: u32,
    legacy: bool,
    storages: Vec<Vec<u8>>,
    sizes: Vec<usize>,
}

impl Pickler {
    fn run(value: &Py, legacy: bool) -> Self {
        let mut pickler =
            Self { out: vec![0x80, 2], memo: 0, legacy, storages: Vec::new(), sizes: Vec::new() };
        pickler.write(value);
        pickler.out.push(b'.');
        pickler
    }

    fn write(&mut self, value: &Py) {
        match value {
            Py::None => self.out.push(b'N'),
            Py::Bool(value) => self.out.push(if *value { 0x88 } else { 0x89 }),
            Py::Int(value) => self.int(*value),
            Py::Float(value) => {
                self.out.push(b'G');
                self.out.extend(value.to_be_bytes());
            }
            Py::Str(text) => self.str(text),
            Py::List(items) => {
                self.out.push(b']');
                self.put();
                self.marked(items, b'e');
            }
            Py::Tuple(items) => self.tuple(items),
            Py::Dict(entries) => {
                self.out.push(b'}');
                self.put();
                self.entries(entries);
            }
            Py::OrderedDict(entries) => {
                self.write(&Py::Call(Box::new(Py::Global("collections", "OrderedDict")), Vec::new()));
                self.entries(entries);
                self.write(&dict([("_metadata", dict([]))]));
                self.out.push(b'b');
            }
            Py::Global(module, name) => {
                self.out.extend(format!("c{module}\n{name}\n").into_bytes());
                self.put();
            }
            Py::Call(function, arguments) => {
                self.write(function);
                self.tuple(arguments);
                self.out.push(b'R');
                self.put();
            }
            Py::Persistent(id) => {
                self.tuple(id);
                self.out.push(b'Q');
            }
            Py::Tensor(tensor) => self.tensor(tensor),
        }
    }

    fn tensor(&mut self, tensor: &PyTensor) {
        self.write(&Py::Global("torch._utils", "_rebuild_tensor_v2"));
        self.out.push(b'(');
        let length = (tensor.numbers.len() / tensor.size) as i64;
        let mut id = vec![
            text("storage"),
            Py::Global("torch", tensor.storage),
            text(self.storages.len().to_string()),
            text("cpu"),
            Py::Int(length),
        ];
        if self.legacy {
            id.push(Py::None);
        }
        self.write(&Py::Persistent(id));
        self.storages.push(tensor.numbers.clone());
        self.sizes.push(tensor.size);
        self.int(tensor.offset);
        for sizes in [&tensor.shape, &tensor.strides] {
            self.tuple(&sizes.iter().map(|&n| Py::Int(n)).collect::<Vec<_>>());
        }
        self.out.push(0x89);
        self.write(&Py::Call(Box::new(Py::Global("collections", "OrderedDict")), Vec::new()));
        self.out.extend(b"tR");
        self.put();
    }

    fn str(&mut self, text: &str) {
        self.out.push(b'X');
        self.out.extend((text.len() as u32).to_le_bytes());
        self.out.extend(text.bytes());
        self.put();
    }

    fn int(&mut self, value: i64) {
        if let Ok(byte) = u8::try_from(value) {
            self.out.extend([b'K', byte]);
        } else if let Ok(short) = u16::try_from(value) {
            self.out.push(b'M');
            self.out.extend(short.to_le_bytes());
        } else if let Ok(int) = i32::try_from(value) {
            self.out.push(b'J');
            self.out.extend(int.to_le_bytes());
        } else {
            self.out.extend([0x8a, 8]);
            self.out.extend(value.to_le_bytes());
        }
    }

    fn tuple(&mut self, items: &[Py]) {
        match items.len() {
            0 => return self.out.push(b')'),
            n @ 1..=3 => {
                items.iter().for_each(|item| self.write(item));
                self.out.push(0x84 + n as u8);
            }
            _ => self.marked(items, b't'),
        }
        self.put();
    }

    fn entries(&mut self, entries: &[(Py, Py)]) {
        match entries {
            [] => {}
            [(key, value)] => {
                self.write(key);
                self.write(value);
                self.out.push(b's');
            }
            _ => {
                let flat: Vec<_> =
                    entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
                self.marked(&flat, b'u');
            }
        }
    }

    fn marked(&mut self, items: &[Py], end: u8) {
        self.out.push(b'(');
        items.iter().for_each(|item| self.write(item));
        self.out.push(end);
    }

    fn put(&mut self) {
        match u8::try_from(self.memo) {
            Ok(index) => self.out.extend([b'q', index]),
            Err(_) => {
                self.out.push(b'r');
                self.out.extend(self.memo.to_le_bytes());
            }
        }
        self.memo += 1;
    }
}

/// An entry of a zip archive.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub content: &'a [u8],
    pub method: u16,
    pub flags: u16,
}

impl<'a> From<(&'a str, &'a [u8])> for Entry<'a> {
    fn from((name, content): (&'a str, &'a [u8])) -> Self {
        // As torch has it: sizes follow the content, names are UTF-8.
        Self { name, content, method: 0, flags: 0x808 }
    }
}

/// A zip archive of `entries`.
pub fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    archive(entries, false)
}

/// A zip archive of `entries` that keeps its sizes and places in 64-bit fields.
pub fn zip_64(entries: &[Entry<'_>]) -> Vec<u8> {
    archive(entries, true)
}

fn archive(entries: &[Entry<'_>], wide: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let (name, len, at) = (entry.name.as_bytes(), entry.content.len(), out.len());
        let common = |out: &mut Vec<u8>, sizes: [u32; 3], extra: u16| {
            for field in [20, entry.flags, entry.method, 0, 0] {
                out.extend(u16::to_le_bytes(field));
            }
            sizes.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend((name.len() as u16).to_le_bytes());
            out.extend(extra.to_le_bytes());
        };
        out.extend(b"PK\x03\x04");
        common(&mut out, [0; 3], 6);
        out.extend(name);
        out.extend(b"FB\x02\x00ZZ");
        out.extend(entry.content);
        directory.extend(b"PK\x01\x02\x00\x00");
        let narrow = |n: usize| if wide { u32::MAX } else { n as u32 };
        let checksum = crc32fast::hash(entry.content);
        common(&mut directory, [checksum, narrow(len), narrow(len)], if wide { 28 } else { 0 });
        directory.extend([0; 10]);
        directory.extend(narrow(at).to_le_bytes());
        directory.extend(name);
        if wide {
            directory.extend([1, 0, 24, 0]);
            [len, len, at].iter().for_each(|&n| directory.extend((n as u64).to_le_bytes()));
        }
    }
    let (start, count) = (out.len(), entries.len());
    out.extend(&directory);
    if wide {
        let end = out.len() as u64;
        out.extend(b"PK\x06\x06\x2c\x00\x00\x00\x00\x00\x00\x00");
        out.extend([0; 12]);
        [count, count, directory.len(), start].iter().for_each(|&n| out.extend((n as u64).to_le_bytes()));
        out.extend(b"PK\x06\x07\x00\x00\x00\x00");
        out.extend(end.to_le_bytes());
        out.extend([1, 0, 0, 0]);
    }
    let narrow = |n: usize| if wide { u32::MAX } else { n as u32 };
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    [count, count].iter().for_each(|&n| out.extend((narrow(n) as u16).to_le_bytes()));
    out.extend(narrow(directory.len()).to_le_bytes());
    out.extend(narrow(start).to_le_bytes());
    out.extend([0; 2]);
    out
}
