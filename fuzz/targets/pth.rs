//! A weight file of any content is read or refused, also where its archive's checksums are right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore_fuzz::{mend_zip, parse_weights};

fuzz_target!(|data: &[u8]| {
    parse_weights("w.pth", data);
    let mut mended = data.to_vec();
    mend_zip(&mut mended);
    parse_weights("w.pth", &mended);
});
