//! The searches that prune find what the exhaustive one finds, on every instruction set.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use patchcore::Isa;
use patchcore::Pool;
use patchcore::internals::score::strongest;
use patchcore::internals::search::{Index, MemoryBank, Precision, Scratch, Search, SearchKind};
use patchcore::internals::tensor::{Neighbor, Patches};
use std::ops::RangeInclusive;

/// Values a row: within the coarse sketch, about as many as it has, beyond it, beyond the fine one and what
/// is rounded at once. To fit many axes takes long, so that most are few.
const DIMS: [RangeInclusive<usize>; 6] = [1..=8, 1..=16, 8..=40, 60..=70, 64..=100, 126..=300];
/// MemoryBank: of few blocks, of many, and of more than a chunk of the sweep.
const ROWS: [RangeInclusive<usize>; 3] = [1..=40, 30..=300, 300..=1500];
/// Values of the whole bank: more take longer and reach no other code.
const MOST_VALUES: usize = 120_000;

/// Numbers that follow from a seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// From -1 to 1.
    fn value(&mut self) -> f32 {
        self.next() as f32 / (1u32 << 31) as f32 - 1.0
    }
}

/// MemoryBank around centres, apart in a few directions more than in others: there is something to prune.
fn clustered(u: &mut Unstructured<'_>, rows: usize, dim: usize) -> Result<Vec<f32>> {
    let scale = *u.choose(&[1.0, 1.0, 1.0, 1e3, 1e-30, 1e19])?;
    let offset = *u.choose(&[0.0, 0.0, 1.0, 16_777_216.0])?;
    let spread = *u.choose(&[0.0, 1e-6, 0.03, 0.3, 0.3, 3.0])?;
    let (centers, directions) = (u.int_in_range(1..=40)?, u.int_in_range(1..=dim)?);
    // Few different values: ties and duplicates.
    let whole = u.ratio(1, 4)?;
    let mut noise = Noise(u.arbitrary::<u32>()?.into());
    let centers: Vec<f32> = (0..centers * dim).map(|_| noise.value()).collect();
    let mut all = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let center = noise.next() as usize % (centers.len() / dim);
        let along: Vec<f32> = (0..directions).map(|_| noise.value()).collect();
        for (i, center) in centers[center * dim..][..dim].iter().enumerate() {
            let value = offset + center + spread * (along[i % directions] + 0.1 * noise.value());
            all.push(scale * if whole { value.round() } else { value });
        }
    }
    Ok(all)
}

/// A value at the edges of what f32 holds, or any finite one.
fn special(u: &mut Unstructured<'_>) -> Result<f32> {
    let any = f32::from_bits(u.arbitrary()?);
    let any = if any.is_finite() { any } else { 65_504.0 };
    Ok(*u.choose(&[-0.0, 1e-40, -1e-22, 1e4, -1e19, 3e38, any])?)
}

/// Puts what the input chooses where it chooses.
fn plant(u: &mut Unstructured<'_>, all: &mut [f32], dim: usize) -> Result<()> {
    let (at, from) = (u.choose_index(all.len())?, u.choose_index(all.len())?);
    let row = at / dim * dim;
    match u.int_in_range(0..=3)? {
        0 => all[at] = special(u)?,
        1 => all[row..][..dim].fill(special(u)?),
        2 => all.copy_within(from / dim * dim..from / dim * dim + dim, row),
        _ => all[at] *= 1.0 + f32::EPSILON,
    }
    Ok(())
}

fn compare(u: &mut Unstructured<'_>) -> Result<()> {
    let (dims, rows) = (u.choose(&DIMS)?.clone(), u.choose(&ROWS)?.clone());
    let dim = u.int_in_range(dims)?;
    let rows = u.int_in_range(rows)?.min(MOST_VALUES / dim);
    let (count, grid_width) = (u.int_in_range(1..=40)?, u.int_in_range(1..=9)?);
    let precision = *u.choose(&[Precision::Single, Precision::Half])?;
    let isa = *u.choose(&Isa::available())?;
    let mut all = clustered(u, rows + count, dim)?;
    for _ in 0..u.int_in_range(0..=12)? {
        plant(u, &mut all, dim)?;
    }
    let (bank, queries) = all.split_at(rows * dim);
    let queries = Patches { dim, grid_width, data: queries };
    let flat = answers(bank, precision, queries, SearchKind::Flat, isa);
    for kind in [SearchKind::Pruned, SearchKind::KdTree] {
        let found = answers(bank, precision, queries, kind, isa);
        if let (Some(found), Some(flat)) = (&found, &flat) {
            assert_eq!(found, flat, "{kind:?} {isa:?} {precision:?} {rows} x {dim}");
        }
    }
    Ok(())
}

/// What a search finds.
#[derive(Debug, PartialEq)]
struct Answers {
    nearest: Vec<Neighbor>,
    strongest: Option<(usize, Neighbor)>,
    around: Vec<Vec<Neighbor>>,
}

/// `None` where the search does not take such a bank.
fn answers(
    bank: &[f32],
    precision: Precision,
    queries: Patches<'_>,
    kind: SearchKind,
    isa: Isa,
) -> Option<Answers> {
    let rows = match precision {
        Precision::Half => MemoryBank::half(bank, queries.dim),
        _ => MemoryBank::single(bank.to_vec().into(), queries.dim),
    };
    let rows = rows.ok()?;
    let pool = Pool::new(1).expect("one thread");
    let index = Index::build(rows, kind, isa, &pool).ok()?;
    let mut scratch = Scratch::default();
    let mut nearest = vec![Neighbor::default(); queries.rows()];
    index.nearest(queries, &mut scratch, &pool, &mut nearest);
    let mut farthest = vec![Neighbor::default(); queries.rows()];
    index.farthest(queries, &mut scratch, &pool, &mut farthest);
    let mut around = vec![Vec::new(); queries.rows()];
    for (q, around) in around.iter_mut().enumerate() {
        index.k_nearest(queries.row(q), q % 10, &mut scratch, &pool, around);
    }
    Some(Answers { nearest, strongest: strongest(&farthest), around })
}

fuzz_target!(|data: &[u8]| {
    let _ = compare(&mut Unstructured::new(data));
});
