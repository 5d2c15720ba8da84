//! Thresholds: what they are, where they come from, and how to change them.

use super::model::PatchcoreModel;
use super::pointer::{exclusive, put, shared};
use super::session::PatchcoreSession;
use super::status::{PatchcoreStatus, guard};
use crate::error::{Error, Result};
use crate::score::{Calibration, CalibrationSource, FalseAlarmRate};

/// The origin of an image threshold.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchcoreCalibrationSource {
    /// There is no threshold: photographs are scored, not judged.
    None = 0,
    /// The highest F1 on labelled photographs.
    BestF1 = 1,
    /// Good photographs alone.
    GoodPhotographs = 2,
    /// A checkpoint of the reference implementation.
    Imported = 3,
    /// It was set by hand.
    Manual = 4,
}

/// How often a good photograph is expected to be called anomalous: rates between 0 and 1, NaN if unknown.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PatchcoreFalseAlarmRate {
    /// The rate that was asked for.
    pub requested: f64,
    /// The rate that is expected: at most the requested one.
    pub expected: f64,
    /// Lower end of the interval that holds the true rate with a probability of 95 %.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
    /// Whether there are too few photographs to show such a rate, so that the tail of their scores was
    /// fitted.
    pub is_fitted: bool,
}

/// The thresholds of a model or a session.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PatchcoreCalibration {
    /// Photographs that score at least this are anomalous (more than this, if the model was imported from a
    /// checkpoint). NaN if there is no threshold.
    pub image_threshold: f32,
    /// Pixels of an anomalous photograph whose map value is at least this may belong to a region, likewise.
    /// NaN if there is no threshold: the regions then lie around the highest values of the map.
    pub pixel_threshold: f32,
    /// Where the image threshold comes from.
    pub source: PatchcoreCalibrationSource,
    /// Good photographs that it was found on; 0 if there were none.
    pub good_photographs: u32,
    /// Defective photographs that it was found on; 0 if there were none.
    pub defective_photographs: u32,
    /// Its false-alarm rate, known if `source` is `PATCHCORE_CALIBRATION_SOURCE_GOOD_PHOTOGRAPHS`.
    pub false_alarm_rate: PatchcoreFalseAlarmRate,
}

impl From<FalseAlarmRate> for PatchcoreFalseAlarmRate {
    fn from(rate: FalseAlarmRate) -> Self {
        let FalseAlarmRate { requested, expected, low, high, is_fitted } = rate;
        Self { requested, expected, low, high, is_fitted }
    }
}

impl From<&Calibration> for PatchcoreCalibration {
    fn from(calibration: &Calibration) -> Self {
        let unknown = PatchcoreFalseAlarmRate {
            requested: f64::NAN,
            expected: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
            is_fitted: false,
        };
        let (source, good, defective, rate) = match calibration.source {
            CalibrationSource::None => (PatchcoreCalibrationSource::None, 0, 0, unknown),
            CalibrationSource::BestF1 { good, defective } => {
                (PatchcoreCalibrationSource::BestF1, good, defective, unknown)
            }
            CalibrationSource::GoodPhotographs { photographs, rate } => {
                (PatchcoreCalibrationSource::GoodPhotographs, photographs, 0, rate.into())
            }
            CalibrationSource::Imported => (PatchcoreCalibrationSource::Imported, 0, 0, unknown),
            CalibrationSource::Manual => (PatchcoreCalibrationSource::Manual, 0, 0, unknown),
        };
        Self {
            image_threshold: calibration.image_threshold().unwrap_or(f32::NAN),
            pixel_threshold: calibration.pixel_threshold().unwrap_or(f32::NAN),
            source,
            good_photographs: good,
            defective_photographs: defective,
            false_alarm_rate: rate,
        }
    }
}

/// Writes the thresholds of `model` to `*calibration`.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `calibration`
/// is NULL, which is an error, or valid for writes of a `PatchcoreCalibration`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_calibration(
    model: *const PatchcoreModel,
    calibration: *mut PatchcoreCalibration,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `put`.
    guard(|| unsafe { put(calibration, "calibration", shared(model, "model")?.model.calibration().into()) })
}

/// Writes the thresholds of `session`, which are the model's unless `patchcore_session_set_thresholds`
/// changed them, to `*calibration`.
///
/// # Safety
/// `session` is NULL, which is an error, or a session that nobody changes or frees during the call.
/// `calibration` is NULL, which is an error, or valid for writes of a `PatchcoreCalibration`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_calibration(
    session: *const PatchcoreSession,
    calibration: *mut PatchcoreCalibration,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `shared` and `put`.
    guard(|| unsafe {
        put(calibration, "calibration", shared(session, "session")?.session.calibration().into())
    })
}

/// Sets the image threshold and the pixel threshold of `session` from the next prediction on; NaN leaves one
/// as it is. The model, and other sessions, keep theirs. A threshold that is not a finite number above 0 is
/// an error, which changes nothing.
///
/// # Safety
/// `session` is NULL, which is an error, or a session that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_session_set_thresholds(
    session: *mut PatchcoreSession,
    image_threshold: f32,
    pixel_threshold: f32,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `exclusive`.
    guard(|| unsafe {
        let session = &mut exclusive(session, "session")?.session;
        session.set_calibration(with_thresholds(*session.calibration(), image_threshold, pixel_threshold)?)
    })
}

/// Sets the image threshold and the pixel threshold of `model`; NaN leaves one as it is. Sessions that exist
/// keep theirs. `patchcore_model_write` keeps the new thresholds. A threshold that is not a finite number
/// above 0 is an error, which changes nothing.
///
/// # Safety
/// `model` is NULL, which is an error, or a model that nobody else uses during the call. Sessions on it may
/// be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_set_thresholds(
    model: *mut PatchcoreModel,
    image_threshold: f32,
    pixel_threshold: f32,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `exclusive`.
    guard(|| unsafe {
        let handle = exclusive(model, "model")?;
        let calibration = with_thresholds(*handle.model.calibration(), image_threshold, pixel_threshold)?;
        handle.model = handle.model.clone().with_calibration(calibration)?;
        Ok(())
    })
}

/// Sets the thresholds of `model` so that a good photograph is called anomalous as rarely as
/// `false_alarm_rate` says: 0.001 stands for one in a thousand. They are found from the scores of good
/// photographs that the model keeps (`good_scores` in `PatchcoreInfo`). Fewer than two such scores, and a
/// rate that is not above 0 and below 1, are errors, which change nothing. Sessions that exist keep their
/// thresholds. `patchcore_model_write` keeps the new ones, and `patchcore_model_calibration` returns the rate
/// that is expected of them.
///
/// # Safety
/// As for `patchcore_model_set_thresholds`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn patchcore_model_calibrate(
    model: *mut PatchcoreModel,
    false_alarm_rate: f64,
) -> PatchcoreStatus {
    // SAFETY: the caller's contract is that of `exclusive`.
    guard(|| unsafe {
        let handle = exclusive(model, "model")?;
        let scores = handle.model.info().good_scores();
        let calibration = scores.calibrate(false_alarm_rate)?;
        if scores.len() < 2 {
            let found = format!("{} kept scores of good photographs", scores.len());
            return Err(Error::argument("model", found, "at least 2")
                .hint("patchcore_model_set_thresholds sets thresholds by hand"));
        }
        handle.model = handle.model.clone().with_calibration(calibration)?;
        Ok(())
    })
}

/// `calibration` with other thresholds, except where these are NaN.
fn with_thresholds(mut calibration: Calibration, image: f32, pixel: f32) -> Result<Calibration> {
    if !image.is_nan() {
        calibration = calibration.with_image_threshold(image)?;
    }
    if !pixel.is_nan() {
        calibration = calibration.with_pixel_threshold(pixel)?;
    }
    Ok(calibration)
}
