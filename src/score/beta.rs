//! The beta distribution: what is known of a rate from a sample.

/// The distribution of a rate between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Beta {
    pub a: f64,
    pub b: f64,
}

impl Beta {
    /// The distribution with this mean and variance; `None` where there is none.
    pub fn with_moments(mean: f64, variance: f64) -> Option<Self> {
        let size = mean * (1.0 - mean) / variance - 1.0;
        (size > 0.0 && size.is_finite()).then_some(Self { a: mean * size, b: (1.0 - mean) * size })
    }

    /// The rate below which the share `share` of the distribution lies, by bisection.
    pub fn quantile(self, share: f64) -> f64 {
        // Small rates need a relative precision, so that the logarithm is halved.
        let (mut low, mut high) = (-700.0f64, 0.0f64);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if self.cumulative(middle.exp()) < share { low = middle } else { high = middle }
        }
        high.exp()
    }

    /// The share of the distribution below `x`: the regularised incomplete beta function, by Lentz's
    /// continued fraction (Press et al., "Numerical Recipes", 6.4).
    pub fn cumulative(self, x: f64) -> f64 {
        if x <= 0.0 || x >= 1.0 {
            return if x <= 0.0 { 0.0 } else { 1.0 };
        }
        let Self { a, b } = self;
        let front = (a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b)).exp();
        // The fraction converges quickly on one side of the mean.
        if x < (a + 1.0) / (a + b + 2.0) {
            front * continued_fraction(a, b, x) / a
        } else {
            1.0 - front * continued_fraction(b, a, 1.0 - x) / b
        }
    }
}

fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// The logarithm of the gamma function, for arguments above 0 (Lanczos' approximation with g = 7 and nine
/// terms).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection keeps small arguments precise.
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let sum: f64 = (1..9).map(|i| TERMS[i] / (x + i as f64)).sum::<f64>() + TERMS[0];
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For whole `a` and `b` the share is a binomial sum.
    fn naive(a: u32, b: u32, x: f64) -> f64 {
        let n = a + b - 1;
        let choose = |k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        (a..=n).map(|k| choose(k) * x.powi(k as i32) * (1.0 - x).powi((n - k) as i32)).sum()
    }

    #[test]
    fn shares_are_binomial_sums() {
        for (a, b) in [(1, 1), (1, 50), (2, 49), (5, 7), (12, 49), (30, 1)] {
            for x in [1e-6, 0.001, 0.02, 0.3, 0.5, 0.9, 0.999] {
                let beta = Beta { a: f64::from(a), b: f64::from(b) };
                let (found, expected) = (beta.cumulative(x), naive(a, b, x));
                assert!((found - expected).abs() < 1e-11, "{a} {b} {x}: {found} {expected}");
            }
        }
    }

    #[test]
    fn quantiles_are_the_inverse_and_moments_are_kept() {
        for (mean, variance) in [(0.02, 0.0004), (0.001, 0.000_002), (0.3, 0.01)] {
            let beta = Beta::with_moments(mean, variance).unwrap();
            assert!((beta.a / (beta.a + beta.b) - mean).abs() < 1e-12);
            for share in [0.025, 0.5, 0.975] {
                assert!((beta.cumulative(beta.quantile(share)) - share).abs() < 1e-9, "{mean} {share}");
            }
        }
        assert_eq!(Beta::with_moments(0.5, 0.3), None);
    }
}
