//! The sections of a search hold anything: it opens or not; when it does, searches end and answer with rows
//! of the bank.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::Isa;
use patchcore::Pool;
use patchcore::Result;
use patchcore::internals::model_file::map::Bytes;
use patchcore::internals::model_file::sections::Sections;
use patchcore::internals::search::{Index, Scratch, Search};
use patchcore::internals::tensor::{Neighbor, Patches};
use patchcore_fuzz::mend_model;

/// What searches in a seed, and the seed.
const SEEDS: [(&str, &[u8]); 5] = [
    ("flat", include_bytes!("../seeds/index/flat")),
    ("pruned", include_bytes!("../seeds/index/pruned")),
    ("pruned", include_bytes!("../seeds/index/half")),
    ("pruned", include_bytes!("../seeds/index/long")),
    ("k-d tree", include_bytes!("../seeds/index/kdtree")),
];

/// Seeds of another format would leave the fuzzer at the header.
fn seeds_open() {
    for (search, seed) in SEEDS {
        let index = seed.split_first_chunk().map(|(numbers, file)| open(numbers, file));
        let index = index.expect("numbers lead").expect("a seed opens");
        assert!(index.describe().starts_with(search));
    }
}

/// The index of `file`, mended.
fn open(&[dim, _, isa]: &[u8; 3], file: &[u8]) -> Result<Index> {
    let mut file = file.to_vec();
    mend_model(&mut file);
    let sections = Sections::parse("m.pcore", Bytes::copy_of(&file), false)?;
    let all = Isa::available();
    Index::open(&sections, dim.into(), all[usize::from(isa) % all.len()])
}

fuzz_target!(init: seeds_open(), |data: &[u8]| {
    let Some((numbers, file)) = data.split_first_chunk() else { return };
    let Ok(index) = open(numbers, file) else { return };
    let [dim, query, _] = numbers.map(usize::from);
    let rows = index.bank().count();
    let queries: Vec<f32> =
        (0..20 * dim).map(|i| ((i * 7 + query) % 23) as f32 * 0.25).collect();
    let queries = Patches { dim, grid_width: 5, data: &queries };
    let (mut scratch, pool) = (Scratch::default(), Pool::new(1).expect("one thread"));
    let mut out = vec![Neighbor::default(); 20];
    index.nearest(queries, &mut scratch, &pool, &mut out);
    assert!(out.iter().all(|near| (near.index as usize) < rows && !near.distance.is_nan()));
    index.farthest(queries, &mut scratch, &pool, &mut out);
    assert!(out.iter().all(|near| (near.index as usize) < rows && !near.distance.is_nan()));
    let mut around = Vec::new();
    for k in [1, 9, 5000] {
        index.k_nearest(queries.row(3), k, &mut scratch, &pool, &mut around);
        assert!(around.len() <= k.min(rows));
        assert!(around.iter().all(|near| (near.index as usize) < rows && !near.distance.is_nan()));
    }
});
