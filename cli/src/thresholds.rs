//! What a model's thresholds are, where they come from, and how defective photographs fare at them.

use patchcore::PatchCore;
use patchcore::evaluate::Ranked;
use patchcore::score::{CalibrationSource, FalseAlarmRate, GoodScores};
use serde_json::{Value, json};

/// False-alarm rates of the table that shows what another choice would give.
const CHOICES: [f64; 7] = [0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001];

/// The thresholds of `model`, where they come from, and what its user can do about them.
pub fn describe(model: &PatchCore) -> Vec<String> {
    let calibration = model.calibration();
    let show = |value: Option<f32>| value.map_or("none".into(), |value| format!("{value:.4}"));
    let mut lines = vec![format!(
        "thresholds: image {}, pixel {}",
        show(calibration.image_threshold()),
        show(calibration.pixel_threshold())
    )];
    match calibration.source {
        CalibrationSource::GoodPhotographs { photographs, rate } => {
            lines.push(format!(
                "from {} that the memory bank had not seen",
                super::counted(photographs, "good photograph")
            ));
            lines.push(rate.to_string());
            if rate.is_fitted {
                lines.push(format!(
                    "fewer than {:.0} good photographs cannot show a rate of {}: it is an extrapolation",
                    needed(rate.requested),
                    rate.requested
                ));
            }
        }
        CalibrationSource::None => lines
            .push("no threshold: two different photographs of good parts are needed, or --threshold".into()),
        source => lines.push(source.to_string()),
    }
    lines
}

/// Good photographs that show a false-alarm rate by themselves.
fn needed(rate: f64) -> f64 {
    (1.0 / rate).ceil() - 1.0
}

pub fn to_json(model: &PatchCore) -> Value {
    let calibration = model.calibration();
    let (photographs, rate) = match calibration.source {
        CalibrationSource::GoodPhotographs { photographs, rate } => (Some(photographs), Some(rate)),
        _ => (None, None),
    };
    let of = |value: fn(&FalseAlarmRate) -> f64| rate.as_ref().map(value);
    json!({
        "image_threshold": calibration.image_threshold(),
        "pixel_threshold": calibration.pixel_threshold(),
        "source": calibration.source.to_string(),
        "good_photographs": photographs,
        "false_alarm_rate": of(|rate| rate.requested),
        "expected_false_alarm_rate": of(|rate| rate.expected),
        "false_alarm_rate_95": rate.map(|rate| [rate.low, rate.high]),
        "is_fitted": rate.map(|rate| rate.is_fitted),
        "photographs_needed": of(|rate| needed(rate.requested)).filter(|_| rate.is_some_and(|r| r.is_fitted)),
    })
}

/// How known defective photographs fare at the threshold.
pub struct Check {
    threshold: f32,
    /// Scores of the defective photographs, in ascending order.
    defective: Vec<f32>,
    good: GoodScores,
}

impl Check {
    /// The check of `model`'s threshold by the defective photographs among `scored`; `None` where there is
    /// neither.
    pub fn new(model: &PatchCore, scored: &Ranked) -> Option<Self> {
        let threshold = model.calibration().image_threshold()?;
        let mut defective: Vec<f32> = scored.images().defective_scores().collect();
        defective.sort_unstable_by(f32::total_cmp);
        let good = model.info().good_scores().clone();
        (!defective.is_empty()).then_some(Self { threshold, defective, good })
    }

    fn found(&self, threshold: f32) -> usize {
        self.defective.iter().filter(|&&score| score >= threshold).count()
    }

    /// `5 of 5 defective photographs found`, and, where some are missed, what another choice would give.
    pub fn lines(&self) -> Vec<String> {
        let (found, all) = (self.found(self.threshold), self.defective.len());
        let weakest = self.defective.iter().copied().find(|&score| score >= self.threshold);
        let weakest = weakest.map_or(String::new(), |score| {
            format!(", the weakest of these at {:.2} times the threshold", score / self.threshold)
        });
        let mut lines = vec![format!("check: {found} of {all} defective photographs found{weakest}")];
        if found < all {
            lines.extend(self.choices().into_iter().map(|choice| choice.line(all)));
            if lines.len() > 1 {
                lines.insert(1, "false-alarm rate  threshold  found".into());
                lines.push("patchcore calibrate MODEL --false-alarm-rate RATE sets another".into());
            }
        }
        lines
    }

    pub fn to_json(&self) -> Value {
        let choice = |choice: &Choice| json!({"false_alarm_rate": choice.rate, "threshold": choice.threshold, "found": choice.found});
        json!({
            "defective": self.defective.len(),
            "found": self.found(self.threshold),
            "weakest_ratio": self.defective.first().map(|score| score / self.threshold),
            "choices": self.choices().iter().map(choice).collect::<Vec<_>>(),
        })
    }

    fn choices(&self) -> Vec<Choice> {
        let choice = |&rate: &f64| {
            let threshold = self.good.calibrate(rate).ok()?.image_threshold()?;
            Some(Choice { rate, threshold, found: self.found(threshold) })
        };
        CHOICES.iter().filter_map(choice).collect()
    }
}

struct Choice {
    rate: f64,
    threshold: f32,
    found: usize,
}

impl Choice {
    fn line(&self, all: usize) -> String {
        format!(
            "{:<16}  {:<9.4}  {} of {all}",
            format!("{} %", self.rate * 100.0),
            self.threshold,
            self.found
        )
    }
}
