//! Model files taken apart and put together again.

#![allow(dead_code)] // each test file uses its part

use patchcore::internals::model_file::map::Bytes;
use patchcore::internals::model_file::sections::{SectionWriter, Sections};

/// Names and contents of the sections of `file`.
pub fn sections(file: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let sections = Sections::parse("model", Bytes::copy_of(file), true).unwrap();
    let content = |name: &str| sections.get::<u8>(name).unwrap().to_vec();
    sections.list().map(|(name, _)| (&*name.to_owned().leak(), content(name))).collect()
}

/// A file of `sections`, all checksums right.
pub fn assemble(sections: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = SectionWriter::default();
    sections.iter().for_each(|(name, content)| writer.add(name, content));
    let mut out = Vec::new();
    writer.write_to(&mut out).unwrap();
    out
}

/// Replaces what `from` holds in the metadata by `to`, all checksums right.
pub fn with_metadata(file: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut whole = sections(file);
    let metadata = &mut whole.iter_mut().find(|(name, _)| *name == "metadata").unwrap().1;
    let at = metadata.windows(from.len()).position(|window| window == from).expect("it is there");
    metadata.splice(at..at + from.len(), to.iter().copied());
    assemble(&whole)
}
