//! The frames of a WebP file.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

/// Frames of an animation, or 1.
pub(super) fn count_frames(bytes: &[u8]) -> usize {
    let mut frames = 0;
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some(([kind @ .., l0, l1, l2, l3], content)) = rest.split_first_chunk::<8>() {
        frames += usize::from(kind == b"ANMF");
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        rest = content.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    frames.max(1)
}
