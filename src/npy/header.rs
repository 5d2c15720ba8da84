//! What stands before the values: magic, version, and a Python dictionary as text.

use super::Kind;
use crate::error::{Error, Result};
use std::io::Read;

pub(super) const MAX_RANK: usize = 3;
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy's own limit.
const MAX_LEN: usize = 10_000;
/// Values begin at a multiple of this.
const ALIGNMENT: usize = 64;

pub(super) struct Header {
    pub kind: Kind,
    pub shape: Vec<usize>,
    /// Bytes before the first value.
    pub bytes: u64,
}

impl Header {
    pub(super) fn read(input: &mut impl Read) -> Result<Self> {
        let [m0, m1, m2, m3, m4, m5, major, minor] = take(input)?;
        if [m0, m1, m2, m3, m4, m5] != *MAGIC {
            return Err(Error::format("first bytes", "those of another kind of file", "a NumPy .npy file"));
        }
        let (length, before) = match (major, minor) {
            (1, 0) => (usize::from(u16::from_le_bytes(take(input)?)), 10),
            (2, 0) => (usize::try_from(u32::from_le_bytes(take(input)?)).unwrap_or(usize::MAX), 12),
            _ => return Err(Error::format("format version", format!("{major}.{minor}"), "1.0 or 2.0")),
        };
        if length > MAX_LEN {
            return Err(Error::limit("header", format!("{length} bytes"), format!("at most {MAX_LEN}")));
        }
        let mut text = vec![0; length];
        fill(input, &mut text)?;
        let (kind, shape) = decode(&String::from_utf8_lossy(&text))?;
        Ok(Self { kind, shape, bytes: before + length as u64 })
    }
}

fn take<const N: usize>(input: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(input, &mut bytes)?;
    Ok(bytes)
}

fn fill(input: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    input.read_exact(bytes).map_err(|e| Error::format("header", e, "a NumPy .npy file"))
}

/// The header as NumPy writes it: version 1.0, padded so that the values are aligned. `shape` has few
/// dimensions.
pub(super) fn encode(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    // A tuple of one keeps its comma.
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}");
    let before = MAGIC.len() + 4;
    let length = (before + text.len() + 1).next_multiple_of(ALIGNMENT) - before;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    // Three numbers of at most twenty digits.
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).as_bytes());
    bytes
}

fn decode(text: &str) -> Result<(Kind, Vec<usize>)> {
    let Some((descr, fortran_order, shape)) = Text(text).dictionary() else {
        let found: String = text.trim_end().chars().take(100).collect();
        return Err(Error::format(
            "header",
            format!("{found:?}"),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (...), }",
        ));
    };
    let kind = Kind::named(descr).ok_or_else(|| {
        Error::format("descr", format!("'{descr}'"), "'<f4', '<f8' or '<f2': little-endian floats")
    })?;
    if fortran_order {
        return Err(
            Error::format("fortran_order", "True", "False").hint("numpy.ascontiguousarray changes it")
        );
    }
    if !(1..=MAX_RANK).contains(&shape.len()) || shape.contains(&0) {
        return Err(Error::format("shape", format!("{shape:?}"), "one to three dimensions, each above 0"));
    }
    Ok((kind, shape))
}

/// The rest of a text that is being read; `None` from any of its functions means that something else stands
/// there.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// `{'descr': '...', 'fortran_order': ..., 'shape': (...), }`: each key once, in any order.
    fn dictionary(mut self) -> Option<(&'a str, bool, Vec<usize>)> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.token("{")?;
        while self.token("}").is_none() {
            let key = self.string()?;
            self.token(":")?;
            let repeated = match key {
                "descr" => descr.replace(self.string()?).is_some(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return None,
            };
            let more = self.token(",").is_some();
            if repeated || (!more && !self.0.starts_with('}')) {
                return None;
            }
        }
        (self.0 == "\n").then_some((descr?, fortran_order?, shape?))
    }

    /// Passes over `token` and the spaces behind it.
    fn token(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(token)?.trim_start_matches(' ');
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let (quote, rest) =
            ["'", "\""].into_iter().find_map(|quote| Some((quote, self.0.strip_prefix(quote)?)))?;
        let (inside, rest) = rest.split_once(quote)?;
        self.0 = rest.trim_start_matches(' ');
        Some(inside)
    }

    fn boolean(&mut self) -> Option<bool> {
        [("False", false), ("True", true)]
            .into_iter()
            .find_map(|(name, value)| self.token(name).map(|()| value))
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        let mut sides = Vec::new();
        self.token("(")?;
        while self.token(")").is_none() {
            let digits = self.0.find(|c: char| !c.is_ascii_digit())?;
            let (side, rest) = self.0.split_at_checked(digits)?;
            sides.push(side.parse().ok()?);
            self.0 = rest.trim_start_matches(' ');
            let more = self.token(",").is_some();
            if !more && !self.0.starts_with(')') {
                return None;
            }
        }
        Some(sides)
    }
}
