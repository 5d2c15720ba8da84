//! Residual networks from named tensors: batch norm folded, convolutions planned and packed once.

mod architecture;
mod backbone;
mod embedded;
mod plan;
mod timing;

pub use architecture::{Architecture, Layer};
pub use backbone::Backbone;
pub use plan::{Arena, Maps, Mode, Network};
pub use timing::StepTiming;
