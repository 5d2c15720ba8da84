//! The small metadata record of a model file as bytes.
//!
//! The only module that calls `bincode` (fixed-width little-endian integers), so that it can be exchanged; the
//! section's checksum guards the bytes.

use super::sections::Sections;
use crate::error::Result;
use bincode::config::{Configuration, Fixint, Limit, LittleEndian, standard};
use bincode::{Decode, Encode};

/// Decoding allocates no more than this, whatever lengths a damaged record claims.
const MAX_BYTES: usize = 64 * 1024;

fn config() -> Configuration<LittleEndian, Fixint, Limit<MAX_BYTES>> {
    standard().with_fixed_int_encoding().with_limit::<MAX_BYTES>()
}

/// The bytes of `record`.
///
/// # Errors
/// The record is larger than 64 KiB.
pub fn encode<T: Encode>(record: &T) -> Result<Vec<u8>> {
    let bytes = bincode::encode_to_vec(record, standard().with_fixed_int_encoding())
        .map_err(|e| crate::Error::argument("metadata", e, "a record that can be encoded"))?;
    if bytes.len() > MAX_BYTES {
        return Err(crate::Error::limit(
            "metadata",
            format!("{} bytes", bytes.len()),
            format!("at most {MAX_BYTES}"),
        ));
    }
    Ok(bytes)
}

/// The record in section `name`, all of whose bytes it must take.
///
/// # Errors
/// The section is missing or holds something else.
pub fn decode<T: Decode<()>>(sections: &Sections, name: &str) -> Result<T> {
    let bytes = sections.get::<u8>(name)?;
    match bincode::decode_from_slice(&bytes, config()) {
        Ok((record, used)) if used == bytes.len() => Ok(record),
        Ok((_, used)) => Err(sections.error(name, format!("{} bytes", bytes.len()), format!("{used}"))),
        Err(e) => Err(sections.error(name, e, "a metadata record")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::map::Bytes;
    use crate::model_file::sections::SectionWriter;

    fn sections(record: &[u8]) -> Sections {
        let mut writer = SectionWriter::default();
        writer.add("metadata", record);
        let mut file = Vec::new();
        writer.write_to(&mut file).unwrap();
        Sections::parse("m.pcore", Bytes::copy_of(&file), true).unwrap()
    }

    #[test]
    fn records_come_back_equal_and_must_fill_the_section() {
        let record = (String::from("resnet18"), 7u64, Some(1.5f32));
        let bytes = encode(&record).unwrap();
        assert_eq!(decode::<(String, u64, Option<f32>)>(&sections(&bytes), "metadata").unwrap(), record);
        assert!(decode::<(String, u64)>(&sections(&bytes), "metadata").is_err());
        for cut in 0..bytes.len() {
            assert!(decode::<(String, u64, Option<f32>)>(&sections(&bytes[..cut]), "metadata").is_err());
        }
    }

    #[test]
    fn a_length_that_the_bytes_do_not_back_is_refused() {
        let huge = u64::MAX.to_le_bytes();
        assert!(decode::<Vec<u64>>(&sections(&huge), "metadata").is_err());
        assert!(encode(&vec![0u64; 10_000]).is_err());
    }
}
