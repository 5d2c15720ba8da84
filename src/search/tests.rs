//! Every search against brute force.

use super::*;
use crate::kernels::{Isa, distance};
use crate::memory_bank::MemoryBank;
use crate::model_file::map::Bytes;
use crate::model_file::sections::{SectionWriter, Sections};
use crate::random::Random;

/// The oracle: every row, nearest first, ties to the lowest index.
fn brute_force(bank: Patches<'_>, query: &[f32], isa: Isa) -> Vec<Neighbor> {
    let compare = |index| {
        let squared = distance::squared(isa, query, bank.row(index));
        Neighbor { index: index as u32, distance: if squared.is_nan() { f32::INFINITY } else { squared } }
    };
    let mut all: Vec<_> = (0..bank.rows()).map(compare).collect();
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.index.cmp(&b.index)));
    all.iter_mut().for_each(|near| near.distance = near.distance.sqrt());
    all
}

/// Kinds of memory banks.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Few directions hold most of the variance, as in features of photographs.
    Features,
    /// Few distinct rows, each many times.
    Duplicates,
    /// Small whole numbers: many equal distances.
    Ties,
    Zeros,
    /// Differences near the rounding of the values.
    Offset,
    /// Squares that underflow, and squares that overflow.
    Tiny,
    Huge,
    /// One row far from all others.
    Outlier,
    /// Rows whose distances from the queries differ in the last bits only.
    NearlyEqual,
}

const KINDS: [Kind; 9] = [
    Kind::Features,
    Kind::Duplicates,
    Kind::Ties,
    Kind::Zeros,
    Kind::Offset,
    Kind::Tiny,
    Kind::Huge,
    Kind::Outlier,
    Kind::NearlyEqual,
];

/// `rows` rows of a bank, or as many queries for one.
fn data(kind: Kind, rows: usize, dim: usize, random: &mut Random) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows * dim);
    let distinct: Vec<f32> = (0..3 * dim).map(|_| random.unit() as f32).collect();
    for row in 0..rows {
        let hidden: Vec<f32> = (0..5).map(|_| random.unit() as f32 - 0.5).collect();
        let pick = random.below(3) * dim;
        for i in 0..dim {
            let noise = random.unit() as f32 - 0.5;
            let feature = hidden[i % 5] * (1.0 + (i % 7) as f32) + hidden[(i + row) % 5] * 0.1 + noise * 0.3;
            out.push(match kind {
                Kind::Features => feature,
                Kind::Duplicates => distinct[pick + i],
                Kind::Ties => random.below(3) as f32,
                Kind::Zeros => 0.0,
                Kind::Offset => 16_777_216.0 + (feature * 4.0).round(),
                Kind::Tiny => feature * 1e-23,
                Kind::Huge => feature * 1e19,
                Kind::Outlier if row == 1 => 1e6,
                Kind::Outlier => feature,
                Kind::NearlyEqual if i == row % dim => 1.0 + (row % 3) as f32 * f32::EPSILON,
                Kind::NearlyEqual => 0.0,
            });
        }
    }
    out
}

fn single(values: &[f32], dim: usize) -> MemoryBank {
    MemoryBank::single(values.to_vec().into(), dim).unwrap()
}

/// The rows in each precision that this build can make.
fn precisions(values: &[f32], dim: usize) -> Vec<MemoryBank> {
    vec![
        single(values, dim),
        #[cfg(feature = "train")]
        MemoryBank::half(values, dim).unwrap(),
    ]
}

fn searches(kind: Kind, rows: &MemoryBank, isa: Isa) -> Vec<(&'static str, Box<dyn Search>)> {
    let pool = Pool::new(1).unwrap();
    #[cfg_attr(not(feature = "kdtree"), allow(unused_mut))]
    let mut all: Vec<(_, Box<dyn Search>)> = vec![
        ("flat", Box::new(Flat::new(rows.clone(), isa))),
        ("pruned", Box::new(Pruned::build(rows.clone(), isa, &pool))),
    ];
    #[cfg(feature = "kdtree")]
    match KdTree::build(rows.clone(), isa, &pool) {
        Ok(tree) => all.push(("k-d tree", Box::new(tree))),
        Err(error) => assert!(matches!(kind, Kind::Huge), "{error}"),
    }
    let _ = kind;
    all
}

fn check(kind: Kind, rows: usize, dim: usize, isa: Isa) {
    let bank = data(kind, rows, dim, &mut Random::new((rows * 4096 + dim) as u64, 0));
    check_rows(kind, &single(&bank, dim), isa);
}

fn check_rows(kind: Kind, bank: &MemoryBank, isa: Isa) {
    let (rows, dim, kept, bank) = (bank.count(), bank.dim(), bank, bank.all());
    let mut queries = data(kind, 37, dim, &mut Random::new((rows * 4096 + dim) as u64, 1));
    // Rows of the bank themselves, one beyond its range, and one whose squares overflow.
    for (i, query) in queries.chunks_exact_mut(dim).enumerate() {
        match i % 8 {
            0 => query.copy_from_slice(&bank[i * 7 % rows * dim..][..dim]),
            1 => query[0] = 1e4,
            2 => query[dim - 1] = -3e38,
            3 => query.iter_mut().for_each(|value| *value *= 1.0 + f32::EPSILON),
            _ => {}
        }
    }
    let bank = Patches { dim, grid_width: 1, data: &bank };
    let queries = Patches { dim, grid_width: 9, data: &queries };
    let expected: Vec<_> = (0..queries.rows()).map(|q| brute_force(bank, queries.row(q), isa)).collect();
    let mut scratch = Scratch::default();
    for (name, search) in searches(kind, kept, isa) {
        let about = format!("{name}, {kind:?}, {rows} x {dim}, {:?}, {isa:?}", kept.precision());
        for threads in [1, 3] {
            let pool = Pool::new(threads).unwrap();
            let mut found = vec![Neighbor::default(); queries.rows()];
            search.nearest(queries, &mut scratch, &pool, &mut found);
            for (q, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found, &expected[0], "{about}, query {q}");
            }
            let strongest = crate::score::strongest(&found);
            found.fill(Neighbor::default());
            search.farthest(queries, &mut scratch, &pool, &mut found);
            assert_eq!(crate::score::strongest(&found), strongest, "{about}");
        }
        let pool = Pool::new(1).unwrap();
        let mut found = Vec::new();
        for q in [0, 1, 2, 3, 4, 5] {
            for k in [0, 1, 2, 9, rows, rows + 3] {
                search.k_nearest(queries.row(q), k, &mut scratch, &pool, &mut found);
                assert_eq!(found, expected[q][..k.min(rows)], "{about}, query {q}, k {k}");
            }
        }
    }
}

#[test]
fn every_search_finds_what_brute_force_finds_in_small_banks() {
    for isa in Isa::available() {
        for kind in KINDS {
            for rows in [1, 2, 31, 32, 33, 100] {
                for dim in [1, 2, 3, 4, 7, 8, 9, 16] {
                    check(kind, rows, dim, isa);
                }
            }
        }
    }
}

#[test]
fn every_search_finds_what_brute_force_finds_in_many_dimensions() {
    for isa in Isa::available() {
        for (i, kind) in KINDS.into_iter().enumerate() {
            for (j, dim) in [31, 62, 63, 64, 65, 126, 127, 128, 129, 384].into_iter().enumerate() {
                check(kind, [70, 200, 333][(i + j) % 3], dim, isa);
            }
        }
        for kind in [Kind::Features, Kind::Offset, Kind::Ties] {
            check(kind, 150, 2048, isa);
        }
    }
}

#[test]
fn every_search_finds_what_brute_force_finds_in_banks_of_several_chunks() {
    for isa in Isa::available() {
        for kind in [Kind::Features, Kind::Duplicates, Kind::Ties, Kind::Outlier] {
            check(kind, 8300, 24, isa);
        }
    }
}

#[cfg(feature = "train")]
#[test]
fn every_search_finds_what_brute_force_finds_among_rows_of_half_precision() {
    for isa in Isa::available() {
        for kind in [Kind::Features, Kind::Duplicates, Kind::Ties, Kind::Zeros, Kind::NearlyEqual] {
            for rows in [1, 33, 333] {
                for dim in [1, 7, 33, 64, 130] {
                    let bank = data(kind, rows, dim, &mut Random::new(rows as u64, 2));
                    check_rows(kind, &MemoryBank::half(&bank, dim).unwrap(), isa);
                }
            }
        }
    }
}

#[test]
fn nan_and_infinite_queries_find_the_first_row_infinitely_far() {
    let bank = data(Kind::Features, 300, 20, &mut Random::new(1, 0));
    for (name, search) in searches(Kind::Features, &single(&bank, 20), Isa::best()) {
        for value in [f32::NAN, f32::INFINITY] {
            let mut query = vec![0.5; 20];
            query[3] = value;
            let mut found = [Neighbor::default()];
            let queries = Patches { dim: 20, grid_width: 1, data: &query };
            search.nearest(queries, &mut Scratch::default(), &Pool::new(1).unwrap(), &mut found);
            assert_eq!(found[0], Neighbor { index: 0, distance: f32::INFINITY }, "{name}");
        }
    }
}

/// A grid of similar queries, as neighbouring patches are, so that they use the rows found for one another.
#[test]
fn grids_of_every_shape_are_searched_alike() {
    let dim = 40;
    let mut random = Random::new(5, 0);
    let bank = data(Kind::Features, 3000, dim, &mut random);
    let bank = Patches { dim, grid_width: 1, data: &bank };
    let search = Pruned::build(single(bank.data, dim), Isa::best(), &Pool::new(2).unwrap());
    for (rows, width) in [(1, 1), (5, 100), (30, 5), (64, 8), (63, 9), (99, 33), (40, 1)] {
        let smooth = |i: usize| (i / dim % width) as f32 * 0.3 + (i / dim / width) as f32 * 0.2;
        let queries: Vec<f32> =
            (0..rows * dim).map(|i| bank.data[i % dim] + (smooth(i) + (i % dim) as f32).sin()).collect();
        let queries = Patches { dim, grid_width: width, data: &queries };
        let mut found = vec![Neighbor::default(); rows];
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads).unwrap();
            search.nearest(queries, &mut Scratch::default(), &pool, &mut found);
            for (q, found) in found.iter().enumerate() {
                let expected = brute_force(bank, queries.row(q), Isa::best())[0];
                assert_eq!(*found, expected, "{rows} in rows of {width}, {threads} threads, query {q}");
            }
        }
    }
}

fn saved(index: &Index) -> Vec<u8> {
    let mut writer = SectionWriter::default();
    index.write(&mut writer);
    let mut file = Vec::new();
    writer.write_to(&mut file).unwrap();
    file
}

fn opened(file: &[u8], dim: usize, verify: bool) -> crate::Result<Index> {
    Index::open(&Sections::parse("m.pcore", Bytes::copy_of(file), verify)?, dim, Isa::best())
}

fn kinds() -> Vec<SearchKind> {
    vec![
        SearchKind::Auto,
        SearchKind::Flat,
        SearchKind::Pruned,
        #[cfg(feature = "kdtree")]
        SearchKind::KdTree,
    ]
}

fn pairs(rows: Vec<MemoryBank>) -> Vec<(MemoryBank, SearchKind)> {
    rows.into_iter().flat_map(|rows| kinds().into_iter().map(move |kind| (rows.clone(), kind))).collect()
}

#[test]
fn an_index_comes_back_from_its_file_and_finds_the_same() {
    let (rows, dim) = (700, 33);
    let mut random = Random::new(9, 0);
    let bank = data(Kind::Features, rows, dim, &mut random);
    let queries = data(Kind::Features, 20, dim, &mut random);
    let queries = Patches { dim, grid_width: 5, data: &queries };
    let pool = Pool::new(2).unwrap();
    let find = |index: &Index| {
        let mut found = vec![Neighbor::default(); 20];
        index.nearest(queries, &mut Scratch::default(), &pool, &mut found);
        found
    };
    for (kept, kind) in pairs(precisions(&bank, dim)) {
        let build = |threads| {
            let pool = Pool::new(threads).unwrap();
            Index::build(kept.clone(), kind, Isa::best(), &pool).unwrap()
        };
        let index = build(1);
        let file = saved(&index);
        assert!(file == saved(&build(3)), "{kind:?}: the file depends on the number of threads");
        let back = opened(&file, dim, true).unwrap();
        assert_eq!(find(&back), find(&index), "{kind:?}");
        assert_eq!(back.describe(), index.describe());
        let about = |index: &Index| (index.bank().precision(), index.bank().rounding());
        assert_eq!(about(&back), about(&index));
        assert!(saved(&back) == file, "{kind:?}");
        for wrong in [0, dim - 1, dim + 1, usize::MAX, 1, rows * dim] {
            // The exhaustive search accepts any whole number of rows; the model's metadata holds the right
            // one.
            let whole = wrong > 0 && (rows * dim).is_multiple_of(wrong);
            if index.describe().starts_with("flat") && whole {
                continue;
            }
            assert!(opened(&file, wrong, true).is_err(), "{kind:?}: opened as rows of {wrong}");
        }
    }
}

/// Damage that checksums would detect, opened without them, gives an error or a result, never a panic.
#[test]
fn a_damaged_index_is_an_error_or_answers() {
    let (rows, dim) = (70, 6);
    let mut random = Random::new(11, 0);
    let bank = data(Kind::Features, rows, dim, &mut random);
    let queries = data(Kind::Features, 20, dim, &mut random);
    let queries = Patches { dim, grid_width: 5, data: &queries };
    let pool = Pool::new(1).unwrap();
    for (kept, kind) in pairs(precisions(&bank, dim)) {
        let file = saved(&Index::build(kept, kind, Isa::best(), &pool).unwrap());
        let mut answers = 0;
        for at in 0..file.len() {
            for value in [0, 0x7f, 0xff, file[at] ^ 0x80] {
                let mut damaged = file.clone();
                damaged[at] = value;
                let Ok(index) = opened(&damaged, dim, false) else { continue };
                let mut found = vec![Neighbor::default(); queries.rows()];
                index.nearest(queries, &mut Scratch::default(), &pool, &mut found);
                assert!(found.iter().all(|near| (near.index as usize) < rows));
                answers += 1;
            }
        }
        assert!(answers > 0);
    }
}

#[test]
fn sections_of_another_length_are_errors_that_name_one() {
    let dim = 6;
    let bank = data(Kind::Features, 70, dim, &mut Random::new(11, 0));
    for (kept, kind) in pairs(precisions(&bank, dim)) {
        let index = Index::build(kept, kind, Isa::best(), &Pool::new(1).unwrap()).unwrap();
        let file = saved(&index);
        let sections = Sections::parse("m.pcore", Bytes::copy_of(&file), true).unwrap();
        let names: Vec<String> = sections.list().map(|(name, _)| name.to_string()).collect();
        for name in names.iter().filter(|name| *name != "search.estimate") {
            let contents: Vec<_> =
                names.iter().map(|name| sections.get::<u8>(name).unwrap().to_vec()).collect();
            let mut writer = SectionWriter::default();
            for (other, content) in names.iter().zip(&contents) {
                let cut = if other == name { content.len().saturating_sub(8) / 8 * 8 } else { content.len() };
                writer.add(other, &content[..cut]);
            }
            let mut shorter = Vec::new();
            writer.write_to(&mut shorter).unwrap();
            let message = match opened(&shorter, dim, true) {
                Ok(_) => panic!("{kind:?}: {name} cut short was opened"),
                Err(error) => error.to_string(),
            };
            assert!(message.contains("search") || message.contains("bank"), "{message}");
        }
    }
}
