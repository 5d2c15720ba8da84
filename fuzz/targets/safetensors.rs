//! A `.safetensors` file of any header is read or refused. The first eight bytes, its length, are put right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore_fuzz::parse_weights;

fuzz_target!(|data: &[u8]| {
    parse_weights("w.safetensors", data);
    // The header ends with the last brace.
    let Some(header) = data.iter().rposition(|&byte| byte == b'}') else { return };
    let mut file = (header as u64 + 1).to_le_bytes().to_vec();
    file.extend(data);
    parse_weights("w.safetensors", &file);
});
