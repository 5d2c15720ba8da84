//! A NumPy file of any content is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::internals::npy;

fuzz_target!(|data: &[u8]| {
    if let Ok(array) = npy::read_bytes(data) {
        assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
        assert!(array.data.len() * 2 <= data.len());
    }
});
