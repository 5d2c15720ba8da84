//! Scores in order, with the truth about each: what thresholds and metrics are computed from.

use crate::error::{Error, Result};

/// Collects scores for a [`Ranking`]: 4 bytes a score.
#[derive(Clone, Debug, Default)]
pub struct RankingBuilder {
    good: Vec<u32>,
    defective: Vec<u32>,
}

impl RankingBuilder {
    /// Adds one score and whether it belongs to a defect.
    ///
    /// # Errors
    /// The score is NaN or infinite.
    pub fn push(&mut self, score: f32, defective: bool) -> Result<()> {
        if !score.is_finite() {
            return Err(Error::argument("score", score, "a finite number"));
        }
        if defective { &mut self.defective } else { &mut self.good }.push(key(score));
        Ok(())
    }

    /// Puts the scores in order.
    pub fn rank(mut self) -> Ranking {
        self.good.sort_unstable();
        self.defective.sort_unstable();
        Ranking { good: self.good, defective: self.defective }
    }
}

/// The scores of good and of defective samples (images or pixels), each in ascending order: 4 bytes a score.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    good: Vec<u32>,
    defective: Vec<u32>,
}

/// How many samples of each class score `score` or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub score: f32,
    pub good: usize,
    pub defective: usize,
}

impl Ranking {
    /// The scores of the defective samples, in ascending order.
    pub fn defective_scores(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.defective.iter().map(|&key| value(key))
    }

    /// Ranks `scores`; `defective[i]` is the truth about `scores[i]`.
    ///
    /// # Errors
    /// The lengths differ, or a score is NaN or infinite.
    pub fn new(scores: &[f32], defective: &[bool]) -> Result<Self> {
        if scores.len() != defective.len() {
            return Err(Error::argument(
                "labels",
                defective.len(),
                format!("one for each of {} scores", scores.len()),
            ));
        }
        let mut builder = RankingBuilder::default();
        scores.iter().zip(defective).try_for_each(|(&score, &defective)| builder.push(score, defective))?;
        Ok(builder.rank())
    }

    /// Number of good samples.
    pub fn good(&self) -> usize {
        self.good.len()
    }

    /// Number of defective samples.
    pub fn defective(&self) -> usize {
        self.defective.len()
    }

    /// The lowest and the highest score of either class.
    pub fn range(&self) -> Option<(f32, f32)> {
        let both = || [&self.good, &self.defective].into_iter();
        let min = both().filter_map(|keys| keys.first()).min()?;
        let max = both().filter_map(|keys| keys.last()).max()?;
        Some((value(*min), value(*max)))
    }

    /// Whether there are samples of both classes, without which most metrics are undefined.
    pub(crate) fn has_both(&self) -> bool {
        !self.good.is_empty() && !self.defective.is_empty()
    }

    /// One step for each distinct score, from the highest to the lowest.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> {
        self.steps_of(|score| score)
    }

    /// The steps of the scores `f(score)`. `f` must not decrease.
    pub(crate) fn steps_of(&self, f: impl Fn(f32) -> f32) -> impl Iterator<Item = Step> {
        let (mut good, mut defective) = (self.good.len(), self.defective.len());
        std::iter::from_fn(move || {
            let last = |keys: &[u32], end: usize| keys[..end].last().copied();
            let score = f(value(last(&self.good, good).max(last(&self.defective, defective))?));
            // By key, so that even a NaN of `f` equals itself and the walk goes on.
            let same = |k: &&u32| key(f(value(**k))) == key(score);
            let equal = |keys: &[u32], end: usize| keys[..end].iter().rev().take_while(same).count();
            good -= equal(&self.good, good);
            defective -= equal(&self.defective, defective);
            Some(Step { score, good: self.good.len() - good, defective: self.defective.len() - defective })
        })
    }

    /// How many good and how many defective samples are `anomalous`; it must hold for every score above one
    /// that it holds for.
    pub(crate) fn count(&self, anomalous: impl Fn(f32) -> bool) -> (usize, usize) {
        let above = |keys: &[u32]| keys.len() - keys.partition_point(|&k| !anomalous(value(k)));
        (above(&self.good), above(&self.defective))
    }
}

/// Maps a finite score to an integer of the same order; -0 and 0 are one.
pub(crate) fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 0x8000_0000 } else { !bits }
}

/// The score of a key.
pub(crate) fn value(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 0 { !key } else { key & 0x7FFF_FFFF })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_and_give_the_score_back() {
        let ascending =
            [f32::MIN, -1.5, -f32::MIN_POSITIVE, -1e-45, 0.0, 1e-45, 0.25, 1.0, 1.0000001, f32::MAX];
        assert!(ascending.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert!(ascending.iter().all(|&s| value(key(s)) == s));
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn steps_descend_and_count_ties_together() {
        let ranking = Ranking::new(&[1.0, 3.0, 2.0, 3.0, 0.5], &[false, true, true, false, false]).unwrap();
        let step = |score, good, defective| Step { score, good, defective };
        let steps: Vec<_> = ranking.steps().collect();
        assert_eq!(steps, [step(3.0, 1, 1), step(2.0, 1, 2), step(1.0, 2, 2), step(0.5, 3, 2)]);
        let clamped: Vec<_> = ranking.steps_of(|s| s.clamp(1.0, 2.0)).collect();
        assert_eq!(clamped, [step(2.0, 1, 2), step(1.0, 3, 2)]);
        assert_eq!(ranking.range(), Some((0.5, 3.0)));
        assert_eq!((ranking.count(|s| s > 2.0), ranking.count(|s| s >= 2.0)), ((1, 1), (1, 2)));
    }

    #[test]
    fn mismatched_and_non_finite_input_is_refused() {
        assert!(Ranking::new(&[1.0], &[]).is_err());
        assert!(Ranking::new(&[f32::NAN], &[true]).is_err());
        assert!(Ranking::new(&[f32::INFINITY], &[true]).is_err());
        assert_eq!(Ranking::new(&[], &[]).unwrap().range(), None);
    }
}
