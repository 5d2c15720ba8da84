//! Where to draw the line between good and defective.

use super::ranking::{Ranking, Step};

/// The quantile of the good scores that [`from_good`] starts from by default: nearly the largest of a few dozen, and
/// short of the stray defective part among hundreds.
pub const GOOD_QUANTILE: f64 = 0.99;

/// The reference's adaptive threshold (anomalib, `_F1AdaptiveThreshold`): the score that gives the highest F1 where
/// "this score or more" is anomalous; of equals the lowest. F1 is rounded to f32 as it is there. Without defective
/// samples it is the highest score, without good ones the lowest, without any `None`.
pub fn f1_adaptive(ranking: &Ranking) -> Option<f32> {
    let (min, max) = ranking.range()?;
    Some(match (ranking.good(), ranking.defective()) {
        (_, 0) => max,
        (0, _) => min,
        _ => best(ranking)?.0.score,
    })
}

/// Our threshold: half-way between the score of [`f1_adaptive`] and the next lower one, so that no sample sits on it.
/// `None` where one class is missing.
pub fn f1_halfway(ranking: &Ranking) -> Option<f32> {
    if !ranking.has_both() {
        return None;
    }
    let (best, lower) = best(ranking)?;
    let Some(lower) = lower else { return Some(best.score) };
    let halfway = ((f64::from(best.score) + f64::from(lower.score)) / 2.0) as f32;
    // Between neighbouring floats it rounds to either of them.
    Some(if halfway > lower.score { halfway } else { best.score })
}

/// A threshold from good samples alone: the `quantile` (0 to 1, linear between samples) of their scores, which are
/// distances, and beyond it a margin of half its distance from their median, at least a twentieth of itself; above 0 even
/// where all scores are 0. `None` without scores.
///
/// The largest of n scores is passed by the next good one once in n + 1 times: too often for a line that stops
/// production. Half the spread once more, with a floor where few images show no spread, makes that a fraction of a
/// percent for the skewed scores that maxima have.
pub fn from_good(scores: &[f32], quantile: f64) -> Option<f32> {
    let mut ascending: Vec<f64> = scores.iter().copied().map(f64::from).collect();
    ascending.sort_unstable_by(f64::total_cmp);
    let top = quantile_of(&ascending, quantile)?;
    let median = quantile_of(&ascending, 0.5)?;
    let margin = ((top - median) / 2.0).max(top.abs() / 20.0);
    Some((top + margin).clamp(f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX)) as f32)
}

fn quantile_of(ascending: &[f64], quantile: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let at = quantile.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (ascending[at as usize], ascending[(at as usize + 1).min(last)]);
    Some(low + (high - low) * at.fract())
}

/// The step with the highest F1, of equals the lowest, and the step below it. There must be defective samples.
fn best(ranking: &Ranking) -> Option<(Step, Option<Step>)> {
    let mut steps = ranking.steps().peekable();
    let mut best: Option<(f32, Step, Option<Step>)> = None;
    while let Some(step) = steps.next() {
        let f1 = reference_f1(step, ranking.defective());
        if best.is_none_or(|(highest, ..)| f1 >= highest) {
            best = Some((f1, step, steps.peek().copied()));
        }
    }
    best.map(|(_, step, lower)| (step, lower))
}

/// F1 with the reference's roundings and its guard against 0/0.
fn reference_f1(step: Step, positives: usize) -> f32 {
    let hits = step.defective as f32;
    let precision = hits / (step.defective + step.good) as f32;
    let recall = hits / positives as f32;
    2.0 * precision * recall / (precision + recall + 1e-10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranking(scores: &[f32], defective: &[bool]) -> Ranking {
        Ranking::new(scores, defective).unwrap()
    }

    /// Tries every score; quadratic.
    fn naive_adaptive(scores: &[f32], defective: &[bool]) -> f32 {
        let f1 = |t: f32| {
            let count =
                |class: bool| scores.iter().zip(defective).filter(|&(&s, &d)| s >= t && d == class).count();
            let (hits, positives) = (count(true) as f32, defective.iter().filter(|&&d| d).count() as f32);
            let (precision, recall) = (hits / (hits + count(false) as f32), hits / positives);
            2.0 * precision * recall / (precision + recall + 1e-10)
        };
        let lower_wins = |a: f32, b: f32| if f1(b) > f1(a) || (f1(b) == f1(a) && b < a) { b } else { a };
        scores.iter().copied().reduce(lower_wins).unwrap()
    }

    #[test]
    fn adaptive_takes_the_lowest_of_the_best() {
        let ranking = ranking(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, true]);
        assert_eq!(f1_adaptive(&ranking), Some(3.0));
        assert_eq!(f1_halfway(&ranking), Some(2.5));
    }

    #[test]
    fn one_class_alone() {
        let good = ranking(&[1.0, 2.0], &[false, false]);
        let defective = ranking(&[1.0, 2.0], &[true, true]);
        assert_eq!((f1_adaptive(&good), f1_adaptive(&defective)), (Some(2.0), Some(1.0)));
        assert_eq!((f1_halfway(&good), f1_halfway(&defective)), (None, None));
        assert_eq!(f1_adaptive(&Ranking::default()), None);
    }

    #[test]
    fn halfway_between_neighbouring_floats_is_the_upper() {
        let (low, high) = (1.0f32, 1.0f32.next_up());
        assert_eq!(f1_halfway(&ranking(&[low, high], &[false, true])), Some(high));
        assert_eq!(f1_halfway(&ranking(&[f32::MIN, f32::MAX], &[false, true])), Some(0.0));
        assert_eq!(
            f1_halfway(&ranking(&[2.0, 1.0], &[false, true])),
            Some(1.0),
            "nothing lower than the candidate"
        );
    }

    #[test]
    fn good_samples_alone_are_all_below_their_threshold() {
        for n in [1, 2, 3, 30, 99] {
            let scores: Vec<f32> = (0..n).map(|i| 2.0 + (i * 37 % 101) as f32 / 100.0).collect();
            let threshold = from_good(&scores, 1.0).unwrap();
            assert!(scores.iter().all(|&s| s < threshold), "{n} scores: {threshold}");
        }
        assert_eq!(from_good(&[2.0], 1.0), Some(2.1));
        assert_eq!(from_good(&[1.0, 2.0, 4.0], 1.0), Some(5.0));
        assert_eq!(from_good(&[1.0, 2.0, 4.0], 0.75), Some(3.5));
        assert_eq!(from_good(&[0.0, 0.0], 1.0), Some(f32::MIN_POSITIVE));
        assert_eq!(from_good(&[], 1.0), None);
        assert_eq!(from_good(&[f32::MAX], 1.0), Some(f32::MAX));
    }

    #[test]
    fn one_stray_part_among_hundreds_does_not_move_the_default_threshold_far() {
        let mut scores: Vec<f32> = (0..300).map(|i| 2.0 + (i * 37 % 101) as f32 / 100.0).collect();
        let before = from_good(&scores, GOOD_QUANTILE).unwrap();
        scores[0] = 50.0;
        assert!(from_good(&scores, GOOD_QUANTILE).unwrap() < before * 1.05);
    }

    proptest! {
        #[test]
        fn adaptive_is_what_trying_every_score_finds(
            samples in prop::collection::vec((0u8..12, any::<bool>()), 1..40),
        ) {
            let scores: Vec<f32> = samples.iter().map(|&(s, _)| f32::from(s) / 4.0 - 1.0).collect();
            let defective: Vec<bool> = samples.iter().map(|&(_, d)| d).collect();
            let ranking = ranking(&scores, &defective);
            prop_assume!(ranking.has_both());
            let expected = naive_adaptive(&scores, &defective);
            prop_assert_eq!(f1_adaptive(&ranking), Some(expected));
            let halfway = f1_halfway(&ranking).unwrap();
            let labels = |t: f32| scores.iter().map(|&s| s >= t).collect::<Vec<_>>();
            prop_assert_eq!(labels(halfway), labels(expected));
            prop_assert!(halfway == expected || !scores.contains(&halfway));
        }

        #[test]
        fn a_higher_quantile_is_a_higher_threshold(
            scores in prop::collection::vec(0.0f32..10.0, 1..40), a in 0.0..=1.0, b in 0.0..=1.0,
        ) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(from_good(&scores, low) <= from_good(&scores, high));
        }
    }
}
