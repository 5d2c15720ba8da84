//! A checkpoint with any pickle becomes a model or is refused, and what is said of it is short. The numbers
//! of its tensors lie ready in two storages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::anomalib::{Import, ImportOptions};
use patchcore::weights::WeightLimits;
use patchcore_fuzz::torch::{Py, PyTensor, save_legacy, text};
use patchcore_fuzz::{assert_error, assert_line};
use std::sync::OnceLock;

/// The first two pickles of a file from before there was a zip, and what stands behind that of the object.
fn around() -> &'static (Vec<u8>, Vec<u8>) {
    static AROUND: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    AROUND.get_or_init(|| {
        let numbers = |count: usize| PyTensor::f32(&[count], &vec![0.01; count]);
        let object = |tensors: [PyTensor; 2]| Py::List(tensors.map(Py::Tensor).to_vec());
        let whole = save_legacy(&object([numbers(200_000), numbers(640)]));
        // The list of keys, two counts and the numbers are at the end; the magic number and two pickles are
        // what an empty file begins with.
        let end = whole.len() - (200_000 + 640) * 4 - 16;
        let keys = save_legacy(&Py::List(["0", "1"].map(text).to_vec()));
        let empty = save_legacy(&Py::None);
        // "80 02 N .", then the empty list of keys "80 02 ] q 00 ( e .".
        let start = empty.len() - 4 - 8;
        let key_pickle = keys[start..keys.len() - 8].to_vec();
        (empty[..start].to_vec(), [&key_pickle[..], &whole[end..]].concat())
    })
}

fuzz_target!(|data: &[u8]| {
    let (before, after) = around();
    let file = [before, data, after].concat();
    let limits = WeightLimits::default().max_elements(1 << 20);
    let unknown = ImportOptions::default().limits(limits);
    for options in [unknown, unknown.image_size(Some((64, 64)))] {
        match Import::open_bytes("m.ckpt", file.clone(), &options) {
            Ok(import) => import.notes.iter().for_each(|note| assert_line(note, 500)),
            Err(error) => assert_error(&error),
        }
    }
});
