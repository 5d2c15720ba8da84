//! A weight file of any content is read or refused, also where its archive's checksums are right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::weights::{WeightLimits, parse};
use patchcore_fuzz::mend_zip;

fuzz_target!(|data: &[u8]| {
    let limits = WeightLimits { max_elements: 1 << 20, ..WeightLimits::default() };
    let _ = parse("w.pth", data, &limits);
    let mut mended = data.to_vec();
    mend_zip(&mut mended);
    if let Ok(tensors) = parse("w.pth", &mended, &limits) {
        for (name, tensor) in tensors.iter() {
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "{name}");
        }
    }
});
