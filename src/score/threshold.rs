//! Where to draw the line between good and defective.

use super::ranking::{Ranking, Step};

/// The reference's adaptive threshold (anomalib, `_F1AdaptiveThreshold`): the score that gives the highest F1
/// where "this score or more" is anomalous; of equals the lowest. F1 is rounded to f32 as it is there.
/// Without defective samples it is the highest score, without good ones the lowest, without any `None`.
pub fn f1_adaptive(ranking: &Ranking) -> Option<f32> {
    let (min, max) = ranking.range()?;
    Some(match (ranking.good(), ranking.defective()) {
        (_, 0) => max,
        (0, _) => min,
        _ => best(ranking)?.0.score,
    })
}

/// Our threshold: half-way between the score of [`f1_adaptive`] and the next lower one, so that no sample
/// sits on it. `None` where one class is missing.
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

/// The step with the highest F1, of equals the lowest, and the step below it. There must be defective
/// samples.
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
    }
}
