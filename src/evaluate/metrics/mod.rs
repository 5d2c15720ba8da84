//! Metrics over ranked scores.

mod pixels;
mod regions;

pub use pixels::{FPR_LIMIT, PixelRanking, PixelScores};

use crate::score::Ranking;

/// The highest F1 that a threshold can reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct F1Max {
    /// Harmonic mean of precision and recall, 0 to 1.
    pub f1: f64,
    /// The lowest score that reaches it; samples of this score or more are anomalous.
    pub threshold: f32,
}

/// Area under the ROC curve: how often a defective sample scores more than a good one, ties counting half.
/// `None` where one class is missing.
pub fn auroc(ranking: &Ranking) -> Option<f64> {
    auroc_of(ranking, |score| score)
}

/// [`auroc`] of the scores `f(score)`; `f` must not decrease.
pub(crate) fn auroc_of(ranking: &Ranking, f: impl Fn(f32) -> f32) -> Option<f64> {
    if !ranking.has_both() {
        return None;
    }
    // Twice the area, in pairs of one good and one defective sample.
    let (mut area, mut good, mut defective) = (0u128, 0, 0);
    for step in ranking.steps_of(f) {
        area += (step.good - good) as u128 * (step.defective + defective) as u128;
        (good, defective) = (step.good, step.defective);
    }
    let pairs = ranking.good() as f64 * ranking.defective() as f64;
    Some(area as f64 / (2.0 * pairs))
}

/// The highest F1 over all thresholds. `None` where one class is missing.
pub fn f1_max(ranking: &Ranking) -> Option<F1Max> {
    if !ranking.has_both() {
        return None;
    }
    let score_of = |step| f1_of(ranking, step);
    let candidates = ranking
        .steps()
        .map(|step| F1Max { f1: score_of((step.good, step.defective)), threshold: step.score });
    candidates.reduce(|best, next| if next.f1 >= best.f1 { next } else { best })
}

/// F1 of the labels that `anomalous` gives; it must hold for every score above one that it holds for. `None`
/// where one class is missing.
pub fn f1(ranking: &Ranking, anomalous: impl Fn(f32) -> bool) -> Option<f64> {
    ranking.has_both().then(|| f1_of(ranking, ranking.count(anomalous)))
}

/// F1 of (good, defective) samples labelled anomalous.
fn f1_of(ranking: &Ranking, (false_alarms, hits): (usize, usize)) -> f64 {
    let misses = ranking.defective() - hits;
    2.0 * hits as f64 / (2.0 * hits as f64 + false_alarms as f64 + misses as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(samples: &[(f32, bool)]) -> f64 {
        let of = |class: bool| samples.iter().filter(move |&&(_, d)| d == class).map(|&(s, _)| s);
        let wins = |d: f32| {
            of(false)
                .map(|g| {
                    if d > g {
                        1.0
                    } else if d == g {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum::<f64>()
        };
        of(true).map(wins).sum::<f64>() / (of(true).count() * of(false).count()) as f64
    }

    fn f1_at(samples: &[(f32, bool)], threshold: f32) -> f64 {
        let count = |class: bool, above: bool| {
            samples.iter().filter(|&&(s, d)| d == class && (s >= threshold) == above).count() as f64
        };
        2.0 * count(true, true) / (2.0 * count(true, true) + count(false, true) + count(true, false))
    }

    fn rank(samples: &[(f32, bool)]) -> Ranking {
        let (scores, defective): (Vec<f32>, Vec<bool>) = samples.iter().copied().unzip();
        Ranking::new(&scores, &defective).unwrap()
    }

    #[test]
    fn one_class_alone_is_undefined() {
        for class in [false, true] {
            let ranking = rank(&[(1.0, class), (2.0, class)]);
            assert_eq!((auroc(&ranking), f1_max(&ranking), f1(&ranking, |_| true)), (None, None, None));
        }
        assert_eq!(auroc(&Ranking::default()), None);
    }

    #[test]
    fn all_equal_is_a_coin_toss() {
        assert_eq!(auroc(&rank(&[(1.0, true), (1.0, false), (1.0, false)])), Some(0.5));
    }

    proptest! {
        #[test]
        fn metrics_are_what_counting_pairs_and_thresholds_gives(
            samples in prop::collection::vec((0u8..20, any::<bool>()), 2..60),
        ) {
            let samples: Vec<_> = samples.iter().map(|&(s, d)| (f32::from(s) / 8.0 - 1.0, d)).collect();
            let ranking = rank(&samples);
            prop_assume!(ranking.has_both());
            prop_assert!((auroc(&ranking).unwrap() - pairs(&samples)).abs() < 1e-12);

            let best = samples.iter().map(|&(s, _)| f1_at(&samples, s)).fold(0.0, f64::max);
            let found = f1_max(&ranking).unwrap();
            prop_assert_eq!(found.f1, best);
            prop_assert_eq!(f1_at(&samples, found.threshold), best);
            prop_assert!(samples.iter().all(|&(s, _)| s >= found.threshold || f1_at(&samples, s) < best));
            prop_assert_eq!(f1(&ranking, |s| s >= 0.25), Some(f1_at(&samples, 0.25)));

            let clamp = |s: f32| s.clamp(-0.5, 0.5);
            let clamped: Vec<_> = samples.iter().map(|&(s, d)| (clamp(s), d)).collect();
            prop_assert!((auroc_of(&ranking, clamp).unwrap() - pairs(&clamped)).abs() < 1e-12);
        }
    }
}
