//! A `.safetensors` file of any header is read or refused. The first eight bytes, its length, are put right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::weights::{WeightLimits, parse};

fuzz_target!(|data: &[u8]| {
    let limits = WeightLimits { max_elements: 1 << 20, ..WeightLimits::default() };
    let _ = parse("w.safetensors", data, &limits);
    // The header ends with the last brace.
    let Some(header) = data.iter().rposition(|&byte| byte == b'}') else { return };
    let mut file = (header as u64 + 1).to_le_bytes().to_vec();
    file.extend(data);
    if let Ok(tensors) = parse("w.safetensors", &file, &limits) {
        for (name, tensor) in tensors.iter() {
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "{name}");
        }
    }
});
