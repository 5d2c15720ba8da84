//! What is kept of the anomaly map of a good photograph.

/// What is kept of the anomaly map of a good photograph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MapSummary {
    pub lowest: f32,
    pub mean: f32,
    pub peak: f32,
    /// Row and column of the highest value.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    pub peak_at: (usize, usize),
}

impl MapSummary {
    /// The summary of `map`, whose rows have `columns` values.
    pub fn new(map: &[f32], columns: usize) -> Self {
        let highest = |best: (usize, f32), next: (usize, f32)| if next.1 > best.1 { next } else { best };
        let (at, peak) = map.iter().copied().enumerate().fold((0, f32::NEG_INFINITY), highest);
        let sum: f64 = map.iter().copied().map(f64::from).sum();
        Self {
            lowest: map.iter().copied().fold(f32::INFINITY, f32::min),
            mean: (sum / map.len() as f64) as f32,
            peak,
            peak_at: (at / columns, at % columns),
        }
    }
}
