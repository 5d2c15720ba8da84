//! A value of a pickle with the way that led to it, for errors that name the place.

use super::{Pickle, Value};
use crate::error::{Error, Result};
use std::fmt::Display;

/// No setting is a longer list; each item knows its place in words.
const MAX_ITEMS: usize = 100;

/// A value of a pickle, and where it stands.
#[derive(Clone)]
pub(crate) struct Field<'p, 'a> {
    pickle: &'p Pickle<'a>,
    place: String,
    value: Value<'a>,
}

impl<'p, 'a> Field<'p, 'a> {
    /// The whole of `pickle`, which comes from `source`.
    pub(in crate::weights) fn root(source: &str, pickle: &'p Pickle<'a>) -> Self {
        Self { pickle, place: source.into(), value: pickle.root }
    }

    /// What this dictionary has under `key`.
    ///
    /// # Errors
    /// This is no dictionary, or there is none.
    pub(crate) fn get(&self, key: &str) -> Result<Self> {
        self.find(key).ok_or_else(|| match self.pickle.dict(self.value) {
            Some(_) => Error::format(&self.place, format!("no {key:?}"), "one"),
            None => self.unexpected("a dictionary"),
        })
    }

    /// What this dictionary has under `key`, unless that is nothing or `None`.
    pub(crate) fn find(&self, key: &str) -> Option<Self> {
        let value = self.pickle.get(self.value, key).filter(|&value| value != Value::None)?;
        let separator = if self.value == self.pickle.root { ": " } else { "." };
        Some(Self { pickle: self.pickle, place: format!("{}{separator}{key}", self.place), value })
    }

    /// The items of this list.
    ///
    /// # Errors
    /// This is no list, or one of more than a hundred items.
    pub(crate) fn items(&self) -> Result<Vec<Self>> {
        let items = self.pickle.sequence(self.value).ok_or_else(|| self.unexpected("a list"))?;
        if items.len() > MAX_ITEMS {
            let expected = format!("at most {MAX_ITEMS}");
            return Err(Error::limit(&self.place, format!("{} items", items.len()), expected));
        }
        let item = |(i, &value)| Self { pickle: self.pickle, place: format!("{}[{i}]", self.place), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(crate) fn str(&self) -> Result<&'a str> {
        if let Value::Str(text) = self.value { Ok(text) } else { Err(self.unexpected("a string")) }
    }

    pub(crate) fn bool(&self) -> Result<bool> {
        if let Value::Bool(value) = self.value { Ok(value) } else { Err(self.unexpected("True or False")) }
    }

    pub(crate) fn float(&self) -> Result<f64> {
        match self.value {
            Value::Float(value) => Ok(value),
            // Exact as far as any setting goes.
            Value::Int(value) => Ok(value as f64),
            _ => Err(self.unexpected("a number")),
        }
    }

    pub(crate) fn integer<T: TryFrom<i64>>(&self) -> Result<T> {
        let number = if let Value::Int(value) = self.value { T::try_from(value).ok() } else { None };
        number.ok_or_else(|| self.unexpected("a whole number in range"))
    }

    /// That this is not `expected`.
    pub(crate) fn unexpected(&self, expected: impl Display) -> Error {
        self.error(self.value, expected)
    }

    /// That this holds `found` where `expected` belongs.
    pub(crate) fn error(&self, found: impl Display, expected: impl Display) -> Error {
        Error::format(&self.place, found, expected)
    }
}
