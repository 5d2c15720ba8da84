//! What the targets share: small models, and checksums put right so that damage gets past them.

#[path = "../../tests/support/grid.rs"]
pub mod grid;
#[path = "../../tests/support/photographs.rs"]
pub mod photographs;
#[path = "../../tests/support/torch.rs"]
pub mod torch;

use patchcore::Layer;
use patchcore::weights::{self, WeightLimits};
use patchcore::{Backbone, PatchCore, TrainOptions, Trainer};
use patchcore::{Precision, SearchKind};
use std::ops::ControlFlow;
use std::panic::{self, Location};
use std::sync::OnceLock;

/// Pixels of a side of the photographs that the models are made for.
pub const SIDE: usize = 32;

/// A gray photograph; `seed` moves its pattern.
pub fn photograph(seed: usize) -> Vec<u8> {
    photographs::gray_pattern(SIDE, SIDE, seed)
}

/// The smallest model there is: the first layer of the small network on 32x32 pixels.
pub fn small_model(search: SearchKind, bank_precision: Precision, ratio: f64) -> PatchCore {
    let mut options =
        TrainOptions::default().threads(1).coreset_ratio(ratio).search(search).bank_precision(bank_precision);
    options.layers = vec![Layer::Layer1];
    options.preprocess.resize = (SIDE, SIDE);
    let backbone = Backbone::embedded("small").expect("it is embedded");
    let mut trainer = Trainer::new(&backbone, &options).expect("the options are valid");
    for seed in 0..2 {
        trainer.add(&photographs::gray_frame(SIDE, &photograph(seed))).expect("there is memory");
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).expect("two photographs are enough")
}

/// The embedded weights' checksum follows their name in the metadata: seeds outlive a change of the weights.
fn mend_weights_checksum(bytes: &mut [u8]) {
    const NAME: &[u8] = b"\x05\0\0\0\0\0\0\0small";
    static CHECKSUM: OnceLock<u32> = OnceLock::new();
    let checksum = CHECKSUM.get_or_init(|| Backbone::embedded("small").expect("it is embedded").checksum());
    let place = bytes.windows(NAME.len()).position(|window| window == NAME).map(|at| at + NAME.len());
    if let Some(field) = place.and_then(|at| bytes.get_mut(at..at + 4)) {
        field.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Lays the sections of a model file one behind the other and puts the length and all checksums right, so
/// that a mutation gets past them. Bytes that do not begin with a header stay as they are.
pub fn mend_model(bytes: &mut Vec<u8>) {
    const HEADER: usize = 32;
    const ENTRY: usize = 40;
    const ALIGNMENT: usize = 64;
    // More are refused.
    const MOST: usize = 64;
    if bytes.len() < HEADER {
        return;
    }
    mend_weights_checksum(bytes);
    let count = u32::from_le_bytes(std::array::from_fn(|i| bytes[12 + i])) as usize;
    if count > MOST || bytes.len() < HEADER + count * ENTRY {
        return;
    }
    let table_end = HEADER + count * ENTRY;
    let mut end = table_end;
    for entry in (HEADER..table_end).step_by(ENTRY) {
        let start = end.next_multiple_of(ALIGNMENT);
        let length = u64::from_le_bytes(std::array::from_fn(|i| bytes[entry + 24 + i]));
        let next = start + length.min(1 << 16) as usize;
        bytes.resize(bytes.len().max(next), 0);
        bytes[end..start].fill(0);
        let checksum = crc32fast::hash(&bytes[start..next]);
        bytes[entry + 16..entry + 24].copy_from_slice(&(start as u64).to_le_bytes());
        bytes[entry + 32..entry + 36].copy_from_slice(&checksum.to_le_bytes());
        end = next;
    }
    bytes.truncate(end);
    bytes[16..24].copy_from_slice(&(end as u64).to_le_bytes());
    bytes[28..32].fill(0);
    let checksum = crc32fast::hash(&bytes[..table_end]);
    bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
}

/// Puts the checksums of the entries of a zip archive right, as far as there are any.
pub fn mend_zip(bytes: &mut [u8]) {
    let Some(end) = bytes.len().checked_sub(22) else { return };
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i])) as usize;
    let short = |bytes: &[u8], at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let mut at = word(bytes, end + 16);
    while bytes.get(at..).is_some_and(|rest| rest.len() >= 46 && rest.starts_with(b"PK\x01\x02")) {
        let (size, local) = (word(bytes, at + 24), word(bytes, at + 42));
        if bytes.get(local..).is_some_and(|rest| rest.len() >= 30) {
            let start = local + 30 + short(bytes, local + 26) + short(bytes, local + 28);
            if let Some(content) = bytes.get(start..start + size) {
                let checksum = crc32fast::hash(content);
                bytes[at + 16..at + 20].copy_from_slice(&checksum.to_le_bytes());
            }
        }
        at += 46 + short(bytes, at + 28) + short(bytes, at + 30) + short(bytes, at + 32);
    }
}

/// Lets the panics of crates of the registry pass, which the library catches where it calls them. Others end
/// the fuzzer.
pub fn let_other_decoders_panic() {
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let is_other = |location: &Location<'_>| location.file().contains("/registry/");
        if !panic.location().is_some_and(is_other) {
            end(panic);
        }
    }));
}

/// What is said of a file is one line of fewer than `most` characters, whatever the file holds.
pub fn assert_line(text: &str, most: usize) {
    assert!(!text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{text:?}");
    assert!(text.chars().count() < most, "{text}");
}

/// An error is one line, however long what it is about.
pub fn assert_error(error: &patchcore::Error) {
    assert_line(&error.to_string(), 12_000);
}

/// Reads a weight file, which gives no more values than it has bytes, or an error in one line.
pub fn parse_weights(source: &str, file: &[u8]) {
    let limits = WeightLimits::default().max_elements(1 << 20);
    match weights::parse(source, file, &limits) {
        Ok(tensors) => {
            for (name, tensor) in tensors.iter() {
                assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "{name}");
            }
            assert!(tensors.iter().map(|(_, tensor)| tensor.data.len()).sum::<usize>() <= file.len());
        }
        Err(error) => assert_error(&error),
    }
}
