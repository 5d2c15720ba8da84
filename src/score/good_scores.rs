//! Thresholds from good photographs, with the false-alarm rate that they stand for.
//!
//! `n` good photographs are scored, each by a memory bank that has not seen it. A new good photograph is as
//! likely to come at any place in their order as at any other (conformal prediction; Vovk, Gammerman and
//! Shafer, "Algorithmic Learning in a Random World", 2005). Just above the `k`-th highest of the `n` scores,
//! therefore,
//!
//! ```text
//! expected false-alarm rate = k / (n + 1),    rate ~ Beta(k, n + 1 - k)
//! ```
//!
//! whatever the scores' distribution. A rate below `1 / (n + 1)` is beyond what the photographs show. There
//! the upper tail is fitted: the exceedances of the `m` highest scores over the next one, `u`, are taken to
//! be exponential with the mean `s` that they have, a limit that many tails approach (Pickands, "Statistical
//! Inference Using Extreme Order Statistics", 1975), and
//!
//! ```text
//! threshold = max(u + s x, just above all scores),    E[rate] = (m + 1) / (n + 1) (1 + x / m)^-m
//! ```
//!
//! where the power, instead of `exp(-x)`, pays for `s` being estimated from `m` scores: `s / true s ~
//! Gamma(m) / m`. The rate's second moment is `(m + 1) (m + 2) / ((n + 1) (n + 2)) (1 + 2 x / m)^-m`, and the
//! beta distribution with these two moments stands for what is known of the rate.

use super::beta::Beta;
use super::{Calibration, CalibrationSource, LabelRule, Normalization};
use crate::error::{Error, Result};
use crate::image::Frame;
use std::fmt;

/// The false-alarm rate that thresholds are set for by default: one good photograph in two hundred.
pub const DEFAULT_FALSE_ALARM_RATE: f64 = 0.005;
/// Share of the scores that the tail is fitted to, and how many at least.
const TAIL_SHARE: f64 = 0.5;
const TAIL_LEAST: usize = 5;
/// Where the scores show no spread, as when all photographs are one, a twentieth of the score stands for it.
const LEAST_SPREAD: f64 = 0.05;

/// How often a good photograph is expected to be called anomalous.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FalseAlarmRate {
    /// The rate that was asked for, above 0 and below 1.
    pub requested: f64,
    /// The rate that is expected of the threshold: at most the requested one.
    pub expected: f64,
    /// Lower end of the interval that holds the true rate with a probability of 95 %.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
    /// Whether the rate is beyond what the photographs show, so that the tail of their scores was fitted.
    pub is_fitted: bool,
}

/// Scores of good photographs, each by a memory bank that has not seen it. A model keeps them, so that its
/// thresholds can be set anew without photographs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GoodScores {
    checksums: Vec<u32>,
    scores: Vec<f32>,
    peaks: Vec<f32>,
    map_range: (f32, f32),
}

impl GoodScores {
    /// A number that stands for each photograph's pixels, its score, and the highest value of its map, in the
    /// order of the photographs; of all maps together the lowest value and the typical one, `map_range`.
    ///
    /// # Errors
    /// The lengths differ, or a number is not finite.
    pub(crate) fn new(
        checksums: Vec<u32>,
        scores: Vec<f32>,
        peaks: Vec<f32>,
        map_range: (f32, f32),
    ) -> Result<Self> {
        let subject = "scores of good photographs";
        if scores.len() != peaks.len() || scores.len() != checksums.len() {
            let found = format!("{} peaks and {} checksums", peaks.len(), checksums.len());
            return Err(Error::format(subject, found, format!("{} of each", scores.len())));
        }
        let numbers = scores.iter().chain(&peaks).chain([&map_range.0, &map_range.1]);
        if let Some(number) = numbers.copied().find(|number| !number.is_finite()) {
            return Err(Error::format(subject, number, "finite numbers"));
        }
        Ok(Self { checksums, scores, peaks, map_range })
    }

    /// Numbers that stand for the photographs' pixels.
    pub(crate) fn checksums(&self) -> &[u32] {
        &self.checksums
    }

    /// The score of the photograph in `frame`, if it is one of these, pixel by pixel.
    pub fn find(&self, frame: &Frame<'_>) -> Option<f32> {
        let checksum = frame.checksum();
        let at = self.checksums.iter().position(|&other| other == checksum)?;
        self.scores.get(at).copied()
    }

    /// The image scores, in the order of the photographs.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// The highest value of each photograph's anomaly map.
    pub fn peaks(&self) -> &[f32] {
        &self.peaks
    }

    /// The lowest and the typical value of all maps: the lowest of all, and the median of each map's mean.
    pub fn map_range(&self) -> (f32, f32) {
        self.map_range
    }

    /// Photographs.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The smallest false-alarm rate that the photographs show by themselves: `1 / (n + 1)`.
    pub fn least_shown_rate(&self) -> f64 {
        1.0 / (self.len() + 1) as f64
    }

    /// Thresholds that a good photograph reaches as rarely as `false_alarm_rate` says, with its score as with
    /// its map. [`Calibration::NONE`] with fewer than two photographs.
    ///
    /// # Errors
    /// The rate is not above 0 and below 1.
    pub fn calibrate(&self, false_alarm_rate: f64) -> Result<Calibration> {
        if !(false_alarm_rate > 0.0 && false_alarm_rate < 1.0) {
            return Err(Error::argument("false-alarm rate", false_alarm_rate, "a number above 0, below 1"));
        }
        if self.len() < 2 {
            return Ok(Calibration::NONE);
        }
        let (image, rate) = threshold(&self.scores, false_alarm_rate);
        let (pixel, _) = threshold(&self.peaks, false_alarm_rate);
        let lowest = self.scores.iter().copied().fold(f32::INFINITY, f32::min);
        let (map_lowest, typical) = self.map_range;
        Ok(Calibration {
            image: Normalization::above_good(lowest, image),
            pixel: Normalization::above_good(map_lowest, pixel),
            rule: LabelRule::AtOrAbove,
            typical_map_value: typical,
            source: CalibrationSource::GoodPhotographs {
                photographs: u32::try_from(self.len()).unwrap_or(u32::MAX),
                rate,
            },
        })
    }
}

/// The threshold that a new score reaches at most as often as `requested` says, and its rate; see the
/// module's page. There are at least two scores.
fn threshold(scores: &[f32], requested: f64) -> (f32, FalseAlarmRate) {
    let mut descending: Vec<f64> = scores.iter().copied().map(f64::from).collect();
    descending.sort_unstable_by(|a, b| b.total_cmp(a));
    let (n, shown) = (descending.len(), (requested * (descending.len() + 1) as f64) as usize);
    let (threshold, mean, variance) = match shown {
        0 => fitted(&descending, requested),
        k => {
            let beta = Beta { a: k as f64, b: (n + 1 - k) as f64 };
            let (mean, size) = (beta.a / (n + 1) as f64, (n + 2) as f64);
            (f64::from((descending[k - 1] as f32).next_up()), mean, mean * (1.0 - mean) / size)
        }
    };
    let (low, high) = Beta::with_moments(mean, variance)
        .map_or((0.0, 1.0), |beta| (beta.quantile(0.025), beta.quantile(0.975)));
    let rate = FalseAlarmRate { requested, expected: mean, low, high, is_fitted: shown == 0 };
    (threshold.clamp(f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX)) as f32, rate)
}

/// A threshold beyond the highest of `descending`, with the mean and variance of its rate.
fn fitted(descending: &[f64], requested: f64) -> (f64, f64, f64) {
    let n = descending.len();
    let tail = ((n as f64 * TAIL_SHARE) as usize).max(TAIL_LEAST).min(n - 1);
    let start = descending[tail];
    let mean_excess = descending[..tail].iter().map(|score| score - start).sum::<f64>() / tail as f64;
    let spread = mean_excess.max(LEAST_SPREAD * descending[0].abs() / tail as f64);
    let (m, n) = (tail as f64, n as f64);
    let steps = m * ((requested * (n + 1.0) / (m + 1.0)).powf(-1.0 / m) - 1.0);
    let mean = (m + 1.0) / (n + 1.0) * (1.0 + steps / m).powf(-m);
    let square = (m + 1.0) * (m + 2.0) / ((n + 1.0) * (n + 2.0)) * (1.0 + 2.0 * steps / m).powf(-m);
    // None of the photographs is beyond what they show themselves.
    let above_all = f64::from((descending[0] as f32).next_up());
    ((start + spread * steps).max(above_all), mean, (square - mean * mean).max(f64::MIN_POSITIVE))
}

/// As `at most 1 in 1000 good photographs`.
impl fmt::Display for FalseAlarmRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |rate: f64| Percent(100.0 * rate);
        write!(
            f,
            "expected false alarms {} of good photographs (95 % interval {} to {}{})",
            percent(self.expected),
            percent(self.low),
            percent(self.high),
            if self.is_fitted { ", from a fitted tail" } else { "" }
        )
    }
}

/// A percentage with two significant digits.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0 {
            percent if percent < 0.001 => return write!(f, "below 0.001 %"),
            percent => (1.0 - percent.log10().floor()).max(0.0) as usize,
        };
        write!(f, "{:.*} %", digits, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    fn scores(values: &[f32]) -> GoodScores {
        GoodScores::new(vec![0; values.len()], values.to_vec(), values.to_vec(), (0.0, 0.1)).unwrap()
    }

    fn rate(calibration: &Calibration) -> FalseAlarmRate {
        match calibration.source {
            CalibrationSource::GoodPhotographs { rate, .. } => rate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rate_that_the_photographs_show_is_a_rank_among_them() {
        let values: Vec<f32> = (1..=99).map(|i| i as f32).collect();
        let found = scores(&values).calibrate(0.05).unwrap();
        // Five of a hundred places, the fifth highest score itself being good.
        assert_eq!(found.image_threshold(), Some(95f32.next_up()));
        let rate = rate(&found);
        assert_eq!((rate.expected, rate.is_fitted), (0.05, false));
        assert!(rate.low > 0.015 && rate.low < 0.05 && rate.high > 0.05 && rate.high < 0.11, "{rate:?}");
    }

    #[test]
    fn beyond_that_the_tail_is_fitted_and_says_so() {
        let values: Vec<f32> = (1..=24).map(|i| 1.0 + i as f32 / 100.0).collect();
        let found = scores(&values).calibrate(0.005).unwrap();
        let rate = rate(&found);
        assert!(rate.is_fitted && (rate.expected - 0.005).abs() < 1e-9, "{rate:?}");
        assert!(found.image_threshold().unwrap() > 1.24);
        assert!(rate.to_string().contains("expected false alarms 0.50 % of good photographs"), "{rate}");
        assert!(rate.to_string().contains("from a fitted tail"), "{rate}");
    }

    #[test]
    fn scores_without_spread_get_a_threshold_above_them() {
        for value in [0.0, 0.7, 3e38] {
            let found = scores(&[value; 12]).calibrate(0.005).unwrap();
            assert!(found.image_threshold().unwrap() > value || value > 1e38, "{found:?}");
            assert_eq!(found.is_anomalous(value), Some(false));
        }
        assert_eq!(scores(&[1.0]).calibrate(0.005).unwrap().source, CalibrationSource::None);
        for rate in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(scores(&[1.0, 2.0]).calibrate(rate).is_err());
        }
    }

    /// The most that a beta-binomial variable of `trials` stays below with a probability of at least `share`.
    fn beta_binomial_quantile(beta: Beta, trials: usize, share: f64) -> usize {
        // The probability of 0, then each from the one before.
        let (a, b, n) = (beta.a, beta.b, trials as f64);
        let mut probability: f64 =
            (0..trials).map(|i| ((b + i as f64) / (a + b + i as f64)).ln()).sum::<f64>().exp();
        let mut sum = 0.0;
        for k in 0..=trials {
            sum += probability;
            if sum >= share {
                return k;
            }
            let k = k as f64;
            probability *= (n - k) * (a + k) / ((k + 1.0) * (b + n - k - 1.0));
        }
        trials
    }

    /// Draws photographs from one distribution, sets the threshold by some, and counts false alarms among 400
    /// others.
    fn covered(draw: impl Fn(&mut Random) -> f64, photographs: usize, requested: f64) -> usize {
        let mut random = Random::new(photographs as u64, 7);
        let mut draws = |count: usize| -> Vec<f32> { (0..count).map(|_| draw(&mut random) as f32).collect() };
        let within = |_: &usize| {
            let calibration = scores(&draws(photographs)).calibrate(requested).unwrap();
            let (threshold, rate) = (calibration.image_threshold().unwrap(), rate(&calibration));
            let alarms = draws(400).iter().filter(|&&score| score >= threshold).count();
            let n = photographs as f64;
            let beta = match rate.is_fitted {
                false => Beta { a: rate.expected * (n + 1.0), b: (1.0 - rate.expected) * (n + 1.0) },
                true => fitted_beta(photographs, requested),
            };
            let (low, high) =
                (beta_binomial_quantile(beta, 400, 0.025), beta_binomial_quantile(beta, 400, 0.975));
            (low..=high).contains(&alarms)
        };
        (0..100).filter(within).count()
    }

    /// What is known of the rate of a fitted threshold depends on the number of photographs alone.
    fn fitted_beta(photographs: usize, requested: f64) -> Beta {
        let descending: Vec<f64> = (0..photographs).rev().map(|i| i as f64).collect();
        let (_, mean, variance) = fitted(&descending, requested);
        Beta::with_moments(mean, variance).unwrap()
    }

    #[test]
    fn false_alarms_lie_in_the_prediction_interval() {
        let uniform = |random: &mut Random| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let exponential = move |random: &mut Random| 1.0 - (1.0 - uniform(random)).ln();
        let bell = move |random: &mut Random| 10.0 + (0..12).map(|_| uniform(random)).sum::<f64>();
        for photographs in [24, 60, 250] {
            for requested in [0.05, 0.02, 0.005] {
                let found =
                    [covered(exponential, photographs, requested), covered(bell, photographs, requested)];
                assert!(found.iter().all(|&covered| covered >= 90), "{photographs} {requested}: {found:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_lower_rate_is_no_lower_threshold(
            values in prop::collection::vec(0.1f32..10.0, 2..80), a in 0.0001..0.4, b in 0.0001..0.4,
        ) {
            let (rare, frequent) = if a < b { (a, b) } else { (b, a) };
            let threshold = |rate| scores(&values).calibrate(rate).unwrap().image_threshold().unwrap();
            prop_assert!(threshold(rare) >= threshold(frequent), "{} {}", threshold(rare), threshold(frequent));
        }
    }
}
