//! The anomaly map of a prediction, its mask and its regions: where the defects are.

use super::pointer::{buffer, fill, put, shared};
use super::session::PatchcoreSession;
use super::status::{PatchcoreStatus, guard};
use crate::error::Error;

/// An area of the photograph that looks defective, in pixels of the photograph.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PatchcoreRegion {
    /// First column of the bounding box.
    pub x: usize,
    /// First row of the bounding box.
    pub y: usize,
    /// Columns of the bounding box.
    pub width: usize,
    /// Rows of the bounding box.
    pub height: usize,
    /// Pixels of the region, to the resolution of the anomaly map.
    pub area: usize,
    /// Column of the anomaly map's highest value in the region.
    pub peak_x: usize,
    /// Row of that value.
    pub peak_y: usize,
    /// That value. It compares with the pixel threshold.
    pub score: f32,
}

/// Writes where the photograph of the last prediction looks defective to `out`, the region with the highest
/// score first: `capacity` regions at most. `*count` is the number that there are, which may be more: ask
/// again with a longer array, or with `capacity` 0 beforehand; 256 are always enough. An anomalous photograph
/// has at least one region, a good one has none; without an image threshold, the regions are where the map
/// reaches the pixel threshold. An error, with `*count` 0, if nothing was predicted yet or the last
/// prediction failed.
///
/// # Safety
/// `session` is NULL, which is an error, or a session that nobody predicts with or frees during the call.
/// `out` is NULL, which is an error unless `capacity` is 0, or valid for writes of `capacity` regions that
/// nobody else uses during the call. `count` is NULL, which is an error, or valid for writes of a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_regions(
    session: *const PatchcoreSession,
    out: *mut PatchcoreRegion,
    capacity: usize,
    count: *mut usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `put`, `shared` and `fill`.
    guard(|| unsafe {
        put(count, "count", 0)?;
        let regions = shared(session, "session")?.session.regions()?;
        let found = regions.len();
        let regions = regions.map(|region| PatchcoreRegion {
            x: region.x,
            y: region.y,
            width: region.width,
            height: region.height,
            area: region.area,
            peak_x: region.peak_x,
            peak_y: region.peak_y,
            score: region.score,
        });
        if capacity > 0 {
            fill(out, capacity, "regions", regions)?;
        }
        put(count, "count", found)
    })
}

/// Writes the anomaly map of the last prediction to `out`: `map_height` rows of `map_width` values, as in
/// `PatchcoreInfo`, in the score's units. `len` must be their product. An error if nothing was predicted yet
/// or the last prediction failed.
///
/// # Safety
/// `session` is NULL, which is an error, or a session that nobody predicts with or frees during the call.
/// `out` is NULL, which is an error, or valid for writes of `len` values that nobody else uses during the
/// call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_map(
    session: *const PatchcoreSession,
    out: *mut f32,
    len: usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `buffer`.
    guard(|| unsafe {
        let map = shared(session, "session")?.session.map()?;
        if len != map.len() {
            return Err(Error::argument("map buffer", format!("{len} values"), map.len()));
        }
        buffer(out, len, "map buffer")?.copy_from_slice(map);
        Ok(())
    })
}

/// Writes the anomaly map of the last prediction to `out`, scaled to the whole photograph: `height` rows of
/// `width` values in the score's units. `len` must be their product, and not 0. Outside a centre crop, which
/// the network does not see, the values are 0. Errors as for `patchcore_session_map`.
///
/// # Safety
/// As for `patchcore_session_map`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_map_over_image(
    session: *const PatchcoreSession,
    width: usize,
    height: usize,
    out: *mut f32,
    len: usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `buffer`.
    guard(|| unsafe {
        let session = &shared(session, "session")?.session;
        session.map_over_image(width, height, buffer(out, len, "map buffer")?)
    })
}

/// Writes the mask of the last prediction to `out`, scaled like `patchcore_session_map_over_image`: 255 in
/// the regions, else 0. The mask of an anomalous photograph is never all 0, and that of a good one always is.
/// Errors as for `patchcore_session_map`.
///
/// # Safety
/// As for `patchcore_session_map`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_mask_over_image(
    session: *const PatchcoreSession,
    width: usize,
    height: usize,
    out: *mut u8,
    len: usize,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `buffer`.
    guard(|| unsafe {
        let session = &shared(session, "session")?.session;
        session.mask_over_image(width, height, buffer(out, len, "mask buffer")?)
    })
}
