//! The stack machine: the opcodes of protocol 2 that plain data and torch's tensors are written with.

use super::{Global, Pickle, Storage, Value, View};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Far more than the description of any network takes; the tensors' numbers lie elsewhere.
const MAX_BYTES: usize = 16 << 20;
/// Bounds the values, the memo and the containers each; the largest network's file has a hundredth of it.
const MAX_VALUES: usize = 1 << 20;
/// Open marks, which is how deep containers are nested while they are written.
const MAX_MARKS: usize = 1000;
/// Tensors have fewer axes.
const MAX_AXES: usize = 16;
const MAX_NAME: usize = 1000;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Values that were ever pushed: containers hold no others.
    pushed: usize,
    /// Heights of the stack.
    marks: Vec<usize>,
    /// By their numbers, which the file chooses: however large, they take no memory for others.
    memo: BTreeMap<usize, Value<'a>>,
    pickle: Pickle<'a>,
}

/// Runs the pickle at the start of `bytes`.
pub(super) fn run(bytes: &[u8]) -> Result<Pickle<'_>> {
    let pickle =
        Pickle { root: Value::None, sequences: Vec::new(), dicts: Vec::new(), tensors: Vec::new(), end: 0 };
    let (stack, marks, memo) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut machine = Machine { bytes, at: 0, stack, pushed: 0, marks, memo, pickle };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => return Err(error.within(format!("pickle at byte {at}"))),
        }
    }
    machine.pickle.end = machine.at;
    Ok(machine.pickle)
}

impl<'a> Machine<'a> {
    /// Runs one instruction; true at the end.
    fn step(&mut self) -> Result<bool> {
        let [opcode] = *self.take_array()?;
        let value = match opcode {
            b'.' => {
                self.pickle.root = self.pop()?;
                return Ok(true);
            }
            0x80 => return self.protocol().map(|()| false),
            b'(' => return self.mark().map(|()| false),
            b'q' | b'r' => return self.put(opcode).map(|()| false),
            b'a' | b'e' => return self.append(opcode).map(|()| false),
            b's' | b'u' => return self.set(opcode).map(|()| false),
            b'b' => return self.build().map(|()| false),
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(*self.take_array()?).into()),
            b'K' => Value::Int(u8::from_le_bytes(*self.take_array()?).into()),
            b'M' => Value::Int(u16::from_le_bytes(*self.take_array()?).into()),
            0x8a => self.long()?,
            b'G' => Value::Float(f64::from_be_bytes(*self.take_array()?)),
            b'X' => self.string()?,
            b']' | b')' => self.sequence(Vec::new())?,
            b'}' => self.dict()?,
            b't' => {
                let items = self.pop_marked()?;
                self.sequence(items)?
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.sequence(items)?
            }
            b'h' | b'j' => self.get(opcode)?,
            b'c' => self.global()?,
            b'Q' => self.persistent()?,
            b'R' => self.call()?,
            0x81 => self.new_object()?,
            _ => return Err(bad(format!("opcode 0x{opcode:02x}"), "one that plain data needs")),
        };
        self.push(value)?;
        Ok(false)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        bounded(self.at, MAX_BYTES, "length")?;
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| bad("its end", format!("{count} bytes more")))?;
        self.at += count;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        self.take(N)?.first_chunk().ok_or_else(|| bad("its end", format!("{N} bytes more")))
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        bounded(self.pushed, MAX_VALUES, "values")?;
        self.pushed += 1;
        self.stack.push(value);
        Ok(())
    }

    /// Values below the last mark belong to a container that is still open.
    fn pop(&mut self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let popped = if self.stack.len() > floor { self.stack.pop() } else { None };
        popped.ok_or_else(|| bad("an empty stack", "a value"))
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'a>>> {
        let mut popped = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        popped.reverse();
        Ok(popped)
    }

    fn pop_marked(&mut self) -> Result<Vec<Value<'a>>> {
        let height = self.marks.pop().ok_or_else(|| bad("no mark", "one"))?;
        Ok(self.stack.split_off(height))
    }

    fn protocol(&mut self) -> Result<()> {
        match *self.take_array()? {
            [2] => Ok(()),
            [other] => Err(bad(format!("protocol {other}"), "protocol 2, as torch.save writes it")),
        }
    }

    fn mark(&mut self) -> Result<()> {
        bounded(self.marks.len(), MAX_MARKS, "depth")?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn memo_index(&mut self, opcode: u8) -> Result<usize> {
        Ok(match opcode {
            b'q' | b'h' => {
                let [index] = *self.take_array()?;
                usize::from(index)
            }
            _ => usize::try_from(u32::from_le_bytes(*self.take_array()?)).unwrap_or(usize::MAX),
        })
    }

    fn put(&mut self, opcode: u8) -> Result<()> {
        let index = self.memo_index(opcode)?;
        bounded(index, MAX_VALUES, "memo")?;
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn get(&mut self, opcode: u8) -> Result<Value<'a>> {
        let index = self.memo_index(opcode)?;
        let value = self.memo.get(&index).copied();
        value.ok_or_else(|| bad(format!("memo entry {index}"), "one that was written"))
    }

    fn long(&mut self) -> Result<Value<'a>> {
        let [length] = *self.take_array()?;
        let digits = self.take(length.into())?;
        let mut number = [if digits.last().is_some_and(|&b| b >= 0x80) { 0xff } else { 0 }; 8];
        match number.get_mut(..digits.len()) {
            Some(low) => low.copy_from_slice(digits),
            None => return Ok(Value::Str("a long number")),
        }
        Ok(Value::Int(i64::from_le_bytes(number)))
    }

    fn string(&mut self) -> Result<Value<'a>> {
        let length = u32::from_le_bytes(*self.take_array()?);
        let text = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(text).map(Value::Str).map_err(|_| bad("a string", "UTF-8"))
    }

    fn sequence(&mut self, items: Vec<Value<'a>>) -> Result<Value<'a>> {
        bounded(self.pickle.sequences.len(), MAX_VALUES, "lists")?;
        self.pickle.sequences.push(items);
        Ok(Value::Sequence(self.pickle.sequences.len() - 1))
    }

    fn dict(&mut self) -> Result<Value<'a>> {
        bounded(self.pickle.dicts.len(), MAX_VALUES, "dictionaries")?;
        self.pickle.dicts.push(Vec::new());
        Ok(Value::Dict(self.pickle.dicts.len() - 1))
    }

    /// The value on top of the stack, which the popped ones go into.
    fn top(&self) -> Result<Value<'a>> {
        self.stack.last().copied().ok_or_else(|| bad("an empty stack", "a container"))
    }

    fn append(&mut self, opcode: u8) -> Result<()> {
        let items = if opcode == b'a' { self.pop_many(1)? } else { self.pop_marked()? };
        let top = self.top()?;
        let list = if let Value::Sequence(at) = top { self.pickle.sequences.get_mut(at) } else { None };
        list.ok_or_else(|| bad(top, "a list"))?.extend(items);
        Ok(())
    }

    fn set(&mut self, opcode: u8) -> Result<()> {
        let items = if opcode == b's' { self.pop_many(2)? } else { self.pop_marked()? };
        let (pairs, []) = items.as_chunks::<2>() else { return Err(bad("a key", "a value with it")) };
        let top = self.top()?;
        let dict = if let Value::Dict(at) = top { self.pickle.dicts.get_mut(at) } else { None };
        dict.ok_or_else(|| bad(top, "a dictionary"))?.extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    /// The attributes of a value, such as the versions of torch's modules in a dictionary: nothing that is
    /// needed.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) | Value::Unread => Ok(()),
            other => Err(bad(format!("attributes of {other}"), "those of a dictionary")),
        }
    }

    fn global(&mut self) -> Result<Value<'a>> {
        let (module, name) = (self.line()?, self.line()?);
        Global::named(module, name).map(Value::Global).ok_or_else(|| {
            bad(format!("the Python object {:?}", format!("{module}.{name}")), "plain data and tensors alone")
                .hint("nothing in the file was run; save a state dict alone: torch.save(model.state_dict(), FILE)")
        })
    }

    /// Text up to the end of the line.
    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take(MAX_NAME).position(|&b| b == b'\n');
        let length = length.ok_or_else(|| bad("no end of a name", format!("one within {MAX_NAME} bytes")))?;
        let line = self.take(length)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| bad(line.escape_ascii(), "a name in UTF-8"))
    }

    fn persistent(&mut self) -> Result<Value<'a>> {
        let id = self.pop()?;
        let parts = match self.pickle.sequence(id).unwrap_or_default() {
            // Files from before release 1.6 add that the storage is no part of another.
            [parts @ .., Value::None] => parts,
            parts => parts,
        };
        match *parts {
            [
                Value::Str("storage"),
                Value::Global(Global::StorageOf(dtype)),
                Value::Str(key),
                _device,
                len @ Value::Int(_),
            ] => Ok(Value::Storage(Storage { dtype, key, len: size(len)? })),
            _ => Err(bad("a persistent object", "a storage of numbers")),
        }
    }

    /// A call of one of the known functions, as the value that it would give.
    fn call(&mut self) -> Result<Value<'a>> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let arguments = self.pickle.sequence(arguments).unwrap_or(&[]);
        match (function, arguments) {
            (Value::Global(Global::OrderedDict), []) => self.dict(),
            (Value::Global(Global::DefaultDict), [] | [_]) => self.dict(),
            (Value::Global(Global::Size), &[sizes @ Value::Sequence(_)]) => Ok(sizes),
            (Value::Global(Global::Unread), _) => Ok(Value::Unread),
            (Value::Global(Global::PrecisionType), &[value @ Value::Str(_)]) => Ok(value),
            (Value::Global(Global::RebuildParameter), &[tensor @ Value::Tensor(_), ..]) => Ok(tensor),
            (
                Value::Global(Global::RebuildTensor),
                &[Value::Storage(storage), offset, shape, strides, ..],
            ) => self.tensor(storage, offset, shape, strides),
            (function, _) => Err(bad(format!("a call of {function}"), "that of a tensor or a dictionary")),
        }
    }

    /// An object that Python makes without a call of the class.
    fn new_object(&mut self) -> Result<Value<'a>> {
        let (_arguments, class) = (self.pop()?, self.pop()?);
        match class {
            Value::Global(Global::Unread) => Ok(Value::Unread),
            other => Err(bad(format!("an object of {other}"), "plain data and tensors alone")),
        }
    }

    fn tensor(
        &mut self,
        storage: Storage<'a>,
        offset: Value<'a>,
        shape: Value<'a>,
        strides: Value<'a>,
    ) -> Result<Value<'a>> {
        bounded(self.pickle.tensors.len(), MAX_VALUES, "tensors")?;
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(bad(format!("{} strides", strides.len()), format!("{}", shape.len())));
        }
        let view = View { storage, offset: size(offset)?, shape, strides };
        self.pickle.tensors.push(view);
        Ok(Value::Tensor(self.pickle.tensors.len() - 1))
    }

    fn sizes(&self, value: Value<'a>) -> Result<Vec<usize>> {
        let values = self.pickle.sequence(value).ok_or_else(|| bad(value, "a tensor's sizes"))?;
        bounded(values.len(), MAX_AXES, "axes")?;
        values.iter().map(|&value| size(value)).collect()
    }
}

fn size(value: Value<'_>) -> Result<usize> {
    let Value::Int(number) = value else { return Err(bad(value, "a size")) };
    usize::try_from(number).map_err(|_| bad(number, "a size"))
}

fn bounded(count: usize, limit: usize, what: &str) -> Result<()> {
    if count < limit {
        return Ok(());
    }
    Err(Error::limit(what, format!("more than {limit}"), format!("at most {limit}")))
}

fn bad(found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Error {
    Error::format("instruction", found, expected)
}

#[cfg(test)]
mod tests;
