//! The model file: a container of aligned sections that is used in place.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

pub mod codec;
mod header;
pub mod map;
pub mod sections;
