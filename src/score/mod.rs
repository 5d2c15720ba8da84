//! From distances to an answer: image score, anomaly map, threshold and label.
//!
//! Plain functions over plain data. Who calls them brings the neighbours: [`strongest`] picks the patch that
//! decides, the caller looks up the bank rows around that patch's nearest row, and [`reweight`] turns the
//! patch's distances to them into the image score. [`MapPlan`] spreads the patch distances over the image.
//! [`Calibration`] says what a score means.

mod beta;
#[cfg(feature = "train")]
mod calibrate;
mod calibration;
mod good_scores;
pub(crate) mod image;
pub(crate) mod map;
#[cfg(feature = "train")]
mod ranking;
mod regions;
#[cfg(feature = "train")]
mod threshold;

pub use calibration::{Calibration, CalibrationSource, LabelRule, Normalization};
pub use good_scores::{DEFAULT_FALSE_ALARM_RATE, FalseAlarmRate, GoodScores};
pub(crate) use image::{reweight, strongest};
pub(crate) use map::{DEFAULT_SIGMA, MapPlan};
#[cfg(feature = "train")]
pub(crate) use ranking::key;
#[cfg(feature = "train")]
pub use ranking::{Ranking, RankingBuilder};
pub use regions::Region;
pub(crate) use regions::{MapRegion, RegionFinder};
#[cfg(feature = "train")]
pub use threshold::{f1_adaptive, f1_halfway};
