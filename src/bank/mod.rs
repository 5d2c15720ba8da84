//! The model file: a container of aligned sections that is used in place.

pub mod map;
pub mod record;
pub mod sections;
