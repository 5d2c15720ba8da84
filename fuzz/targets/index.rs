//! The sections of a search hold anything: it opens or not; when it does, searches end and answer with rows of the bank.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::bank::map::Bytes;
use patchcore::bank::sections::Sections;
use patchcore::kernels::{Isa, Pool};
use patchcore::search::{Index, Scratch, Search};
use patchcore::tensor::{Neighbor, Patches};
use patchcore_fuzz::mend_model;

fuzz_target!(|data: &[u8]| {
    let Some((&[dim, query, isa], file)) = data.split_first_chunk() else { return };
    let mut file = file.to_vec();
    mend_model(&mut file);
    let Ok(sections) = Sections::parse("m.pcore", Bytes::copy_of(&file), false) else { return };
    let dim = usize::from(dim);
    let all = Isa::available();
    let Ok(index) = Index::open(&sections, dim, all[usize::from(isa) % all.len()]) else { return };
    let rows = index.rows().count();
    let queries: Vec<f32> =
        (0..20 * dim).map(|i| ((i * 7 + usize::from(query)) % 23) as f32 * 0.25).collect();
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
