//! Time of a network, step by step.

use std::fmt;
use std::time::Duration;

/// Time of one step of the network.
#[derive(Clone, Debug)]
pub struct StepTiming {
    /// State-dict name of the convolution, or `maxpool`.
    pub name: String,
    /// `direct`, `winograd` or `pool`.
    pub algorithm: &'static str,
    /// Height, width and channels of the output.
    pub output: (usize, usize, usize),
    /// Floating-point operations of the direct sum.
    pub operations: usize,
    /// Time of the step.
    pub time: Duration,
}

/// The steps as a table. GFLOP/s count the operations of the direct sum, so Winograd's can exceed the CPU's
/// peak.
pub(super) struct Table<'a>(pub &'a [StepTiming]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:<9} {:>14} {:>9} {:>8}", "step", "algorithm", "output", "us", "GFLOP/s")?;
        for StepTiming { name, algorithm, output: (height, width, channels), operations, time } in self.0 {
            let output = format!("{height}x{width}x{channels}");
            let us = time.as_secs_f64() * 1e6;
            let rate = *operations as f64 / us / 1e3;
            writeln!(f, "{name:<24} {algorithm:<9} {output:>14} {us:>9.1} {rate:>8.1}")?;
        }
        let total: Duration = self.0.iter().map(|step| step.time).sum();
        write!(f, "{:<24} {:>34.1}", "all", total.as_secs_f64() * 1e6)
    }
}

/// Whether `PATCHCORE_TIMING` asks for the table of each run on standard error.
pub(super) fn is_requested() -> bool {
    std::env::var_os("PATCHCORE_TIMING").is_some_and(|value| !value.is_empty() && value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_rates_and_the_sum() {
        let step = |operations, us| StepTiming {
            name: "layer1.0.conv1".into(),
            algorithm: "winograd",
            output: (64, 64, 64),
            operations,
            time: Duration::from_micros(us),
        };
        let table = Table(&[step(302_000_000, 1000), step(0, 500)]).to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains("64x64x64") && lines[1].ends_with("302.0"), "{table}");
        assert!(lines[3].starts_with("all") && lines[3].ends_with("1500.0"), "{table}");
    }
}
