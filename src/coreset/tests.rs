//! The lazy selection against the plain loop.

use super::lazy::LazyGreedy;
use super::*;
use crate::random::Random;
use proptest::prelude::*;

fn select_lazily(
    features: Patches<'_>,
    count: usize,
    start: usize,
    candidates: usize,
    isa: Isa,
    threads: usize,
) -> Vec<u32> {
    let pool = Pool::new(threads).unwrap();
    let lazy = LazyGreedy::new(features, start, candidates, isa, &pool).unwrap();
    lazy.select_rows(count, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

#[track_caller]
fn compare(data: &[f32], dim: usize, count: usize, start: usize, candidates: usize) {
    let features = Patches { dim, grid_width: 1, data };
    for isa in Isa::available() {
        let expected = naive::select_naively(features, count, start, isa);
        for threads in [1, 2, 3] {
            let found = select_lazily(features, count, start, candidates, isa, threads);
            assert_eq!(found, expected, "{isa:?}, {threads} threads");
        }
    }
}

/// Kinds of rows that are hard to compare.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Few distinct values: duplicates, ties and zeros.
    Whole,
    Uniform,
    /// Around few points, closer than screening can distinguish.
    Clustered,
    /// Few directions, as real features have, far from the origin.
    LowRank,
}

fn rows(kind: Kind, rows: usize, dim: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    let mut unit = || random.unit() as f32;
    let directions: Vec<f32> = (0..4 * dim).map(|_| unit() - 0.5).collect();
    let mut data = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let own: [f32; 4] = std::array::from_fn(|_| unit());
        for i in 0..dim {
            let at = |k: usize| directions[k * dim + i];
            data.push(match kind {
                Kind::Whole => (unit() * 3.0).floor() - 1.0,
                Kind::Uniform => unit(),
                Kind::Clustered => at((own[0] * 3.0) as usize) + (unit() * 4.0).floor() * 1e-6,
                Kind::LowRank => 20.0 + (0..4).map(|k| own[k] * at(k)).sum::<f32>() + unit() * 1e-3,
            });
        }
    }
    data.iter_mut().for_each(|v| *v *= scale);
    data
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn selection_is_that_of_the_plain_loop(
        kind in prop_oneof![Just(Kind::Whole), Just(Kind::Uniform), Just(Kind::Clustered), Just(Kind::LowRank)],
        n in 1usize..260,
        dim in prop_oneof![1usize..9, 9usize..130, 250usize..420],
        // Squares that underflow, ordinary ones, and squares that overflow.
        scale in prop_oneof![Just(1e-22f32), Just(3e-20), Just(1.0), Just(1e17), Just(3e19)],
        share in 0.0f64..1.0,
        start in 0.0f64..1.0,
        candidates in prop_oneof![Just(1usize), Just(7), Just(50), Just(1000)],
        seed: u64,
    ) {
        let data = rows(kind, n, dim, scale, seed);
        let count = 1 + (share * n as f64) as usize;
        compare(&data, dim, count, (start * n as f64) as usize, candidates);
    }
}

#[test]
fn many_panels_of_centres_and_many_epochs() {
    for kind in [Kind::LowRank, Kind::Uniform] {
        compare(&rows(kind, 3000, 90, 1.0, 5), 90, 700, 17, 200);
    }
}

/// The square of their distances is the largest number there is, or overflows where it is taken of
/// components.
#[test]
fn rows_at_the_edge_of_overflow_are_chosen_as_the_plain_loop_does() {
    let edge = (f32::MAX / 2.0).sqrt();
    for dim in 2..24 {
        let mut data = vec![0.0; (dim + 1) * dim];
        data[0] = -1.01 * edge;
        data[dim..].iter_mut().step_by(dim + 1).for_each(|value| *value = edge);
        compare(&data, dim, dim + 1, 0, 1000);
    }
}

#[test]
fn equal_rows_are_chosen_as_the_plain_loop_does_even_beyond_their_number() {
    compare(&[2.5; 12], 3, 6, 2, 2);
    compare(&[0.0; 5], 1, 5, 4, 1);
    compare(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0], 1, 6, 1, 1);
}

#[test]
fn observer_receives_every_choice_and_may_stop_at_any() {
    let data = rows(Kind::Uniform, 50, 5, 1.0, 1);
    let features = Patches { dim: 5, grid_width: 1, data: &data };
    let pool = Pool::new(1).unwrap();
    let mut received = Vec::new();
    select(features, 10, 0, Isa::best(), &pool, &mut |done, total| {
        received.push((done, total));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(received, (1..=10).map(|done| (done, 10)).collect::<Vec<_>>());
    let stopped = select(features, 10, 0, Isa::best(), &pool, &mut |done, _| match done {
        4 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(stopped.unwrap_err().kind(), crate::error::ErrorKind::Cancelled);
}

#[test]
fn features_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY] {
        let features = Patches { dim: 2, grid_width: 1, data: &[0.0, 1.0, bad, 3.0] };
        let result =
            select(
                features,
                1,
                0,
                Isa::best(),
                &Pool::new(1).unwrap(),
                &mut |_, _| ControlFlow::Continue(()),
            );
        assert!(result.unwrap_err().to_string().contains("patch 1"));
    }
}

#[test]
fn samples_are_ascending_even_and_repeatable() {
    for (total, count) in [(10, 10), (10, 1), (1000, 333), (7, 5)] {
        let rows = sample(total, count, 9);
        assert_eq!(rows, sample(total, count, 9));
        for (i, row) in rows.iter().enumerate() {
            assert!((i * total / count..(i + 1) * total / count).contains(row), "{rows:?}");
        }
    }
    assert_ne!(sample(1000, 300, 1), sample(1000, 300, 2));
}
