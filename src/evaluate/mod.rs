//! How good a model is: data sets on disk, metrics, reports.
//!
//! Metrics are computed on raw scores, exactly: every distinct score is a threshold. Where one class is missing a metric
//! is undefined (`None`), not 0 or 0.5.

mod benchmark;
mod dataset;
mod evaluator;
mod mask;
pub mod metrics;
mod published;
mod report;

pub use benchmark::Benchmark;
pub use dataset::{Dataset, Sample, find_images};
pub use evaluator::{Evaluator, Ranked};
pub use mask::fit_mask;
pub use report::{Compat, Evaluation, ImageResult};
