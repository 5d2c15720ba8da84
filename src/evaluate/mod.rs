//! How good a model is: data sets on disk, metrics, reports.
//!
//! Metrics are computed on raw scores, exactly: every distinct score is a threshold. Where one class is
//! missing a metric is undefined (`None`), not 0 or 0.5.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod benchmark;
mod dataset;
mod evaluator;
mod folders;
mod mask;
#[cfg(feature = "decode")]
mod mask_report;
pub mod metrics;
mod path_json;
mod published;
mod report;
#[cfg(feature = "decode")]
mod samples;

pub use benchmark::Benchmark;
pub use dataset::{Dataset, Sample};
pub use evaluator::{Evaluator, Ranked};
pub use folders::find_images;
#[doc(hidden)]
pub use folders::{FoundImages, find_images_where_readable};
pub use mask::fit_mask;
#[doc(hidden)]
pub use path_json::insert_path;
pub use report::{Compat, Evaluation, ImageResult};
#[cfg(feature = "decode")]
pub use samples::{check_samples, score_samples};
