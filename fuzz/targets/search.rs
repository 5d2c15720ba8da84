//! The searches that prune find what the exhaustive one finds, on every instruction set.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use patchcore::kernels::{Isa, Pool};
use patchcore::search::{Index, Precision, Rows, Scratch, Search, SearchKind};
use patchcore::tensor::{Neighbor, Patches};

/// Values of a bank or of queries: few different ones, so that there are ties and duplicates, or any finite number.
fn values(u: &mut Unstructured<'_>, count: usize) -> Result<Vec<f32>> {
    let scale = *u.choose(&[1.0f32, 1e-3, 1e3, 1e-30, 1e19])?;
    let few = u.arbitrary::<bool>()?;
    (0..count)
        .map(|_| {
            Ok(if few {
                f32::from(u.arbitrary::<u8>()? % 4) * scale
            } else {
                let value = f32::from_bits(u.arbitrary()?);
                if value.is_finite() && value.abs() < 1e19 { value } else { scale }
            })
        })
        .collect()
}

fn compare(u: &mut Unstructured<'_>) -> Result<()> {
    let dim = u.int_in_range(1..=40)?;
    let rows = u.int_in_range(1..=200)?;
    let (count, grid_width) = (u.int_in_range(1..=30)?, u.int_in_range(1..=8)?);
    let bank = values(u, rows * dim)?;
    let queries = values(u, count * dim)?;
    let queries = Patches { dim, grid_width, data: &queries };
    let precision = *u.choose(&[Precision::Single, Precision::Half])?;
    let pool = Pool::new(1).expect("one thread");
    for isa in Isa::available() {
        let flat = answers(&bank, precision, queries, SearchKind::Flat, isa, &pool);
        for kind in [SearchKind::Pruned, SearchKind::KdTree] {
            let found = answers(&bank, precision, queries, kind, isa, &pool);
            if let (Some(found), Some(flat)) = (&found, &flat) {
                assert_eq!(found, flat, "{kind:?} {isa:?} {precision:?} {rows} x {dim}");
            }
        }
    }
    Ok(())
}

/// `None` where the search does not take such a bank.
fn answers(
    bank: &[f32],
    precision: Precision,
    queries: Patches<'_>,
    kind: SearchKind,
    isa: Isa,
    pool: &Pool,
) -> Option<[Vec<Neighbor>; 2]> {
    let rows = match precision {
        Precision::Half => Rows::half(bank, queries.dim),
        _ => Rows::single(bank.to_vec().into(), queries.dim),
    };
    let rows = rows.ok()?;
    let index = Index::build(rows, kind, isa, pool).ok()?;
    let mut scratch = Scratch::default();
    let mut nearest = vec![Neighbor::default(); queries.rows()];
    index.nearest(queries, &mut scratch, pool, &mut nearest);
    let mut around = Vec::new();
    index.k_nearest(queries.row(0), 5, &mut scratch, pool, &mut around);
    Some([nearest, around])
}

fuzz_target!(|data: &[u8]| {
    let _ = compare(&mut Unstructured::new(data));
});
