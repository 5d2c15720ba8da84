/* PatchCore anomaly detection for CPUs, from C.
 *
 * Errors: a function that returns a PatchcoreStatus other than PATCHCORE_STATUS_OK has left a
 * message for patchcore_last_error. "Is an error" means that such a status is returned; the
 * content of output buffers is then of no use, unless the function's text says otherwise.
 *
 * Memory: running out of memory aborts the process; call patchcore_model_memory first. Only the
 * memory for a model file that is read is asked for with care (PATCHCORE_STATUS_IO).
 *
 * Floating point: every function computes in the default environment (nothing traps, nothing is
 * flushed to zero, rounding to nearest) and leaves the caller's as it was, on x86, on 64-bit ARM
 * and on 32-bit ARM with the hard-float ABI.
 *
 * Compatibility: within 0.1 structs and the values of enumerations stay as they are, and functions
 * are only added. Treat an unknown status as a failure. A library of another 0.x may differ in
 * everything, and has another soname.
 *
 * Written by cbindgen from src/capi; do not edit. */

#ifndef PATCHCORE_H
#define PATCHCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Header version. patchcore_version returns that of the library. */
#define PATCHCORE_VERSION_MAJOR 0
#define PATCHCORE_VERSION_MINOR 1

/**
 * How a call ended.
 */
typedef enum {
  /**
   * Success.
   */
  PATCHCORE_STATUS_OK = 0,
  /**
   * The operating system refused to read.
   */
  PATCHCORE_STATUS_IO = 1,
  /**
   * The model is damaged, or the data are not a model.
   */
  PATCHCORE_STATUS_FORMAT = 2,
  /**
   * An argument is out of its range, null or misaligned, or a buffer has the wrong size.
   */
  PATCHCORE_STATUS_ARGUMENT = 3,
  /**
   * The work would exceed a stated limit, or the operating system starts no more threads.
   */
  PATCHCORE_STATUS_LIMIT = 4,
  /**
   * The caller asked to stop; no function returns it yet.
   */
  PATCHCORE_STATUS_CANCELLED = 5,
  /**
   * A defect of this library. Free the handles of the call, do nothing else with them, and report it.
   */
  PATCHCORE_STATUS_PANIC = 6,
  /**
   * The model is whole, but has another format version, or needs a feature that this build does not have.
   */
  PATCHCORE_STATUS_UNSUPPORTED = 7,
} PatchcoreStatus;

/**
 * The origin of an image threshold.
 */
typedef enum {
  /**
   * There is no threshold: photographs are scored, not judged.
   */
  PATCHCORE_CALIBRATION_SOURCE_NONE = 0,
  /**
   * The highest F1 on labelled photographs.
   */
  PATCHCORE_CALIBRATION_SOURCE_BEST_F1 = 1,
  /**
   * Good photographs alone.
   */
  PATCHCORE_CALIBRATION_SOURCE_GOOD_PHOTOGRAPHS = 2,
  /**
   * A checkpoint of the reference implementation.
   */
  PATCHCORE_CALIBRATION_SOURCE_IMPORTED = 3,
  /**
   * It was set by hand.
   */
  PATCHCORE_CALIBRATION_SOURCE_MANUAL = 4,
} PatchcoreCalibrationSource;

/**
 * A model's decision about a photograph.
 */
typedef enum {
  /**
   * The score is below the image threshold.
   */
  PATCHCORE_DECISION_GOOD = 0,
  /**
   * The score reaches the image threshold.
   */
  PATCHCORE_DECISION_ANOMALOUS = 1,
  /**
   * The model has no image threshold, so that it does not judge; or the prediction failed. Not the same as
   * good.
   */
  PATCHCORE_DECISION_NO_THRESHOLD = 2,
} PatchcoreDecision;

/**
 * How to open a model: 0, or the sum of some of these.
 */
typedef enum {
  /**
   * Map the file instead of reading it into memory: processes share the memory bank, and opening is
   * quicker. Nobody may change or shorten the file while the model or a session on it lives; renaming
   * another file over it is safe. For `patchcore_model_open` alone.
   */
  PATCHCORE_OPEN_MAP = 1,
  /**
   * Skip the comparison of checksums.
   */
  PATCHCORE_OPEN_UNVERIFIED = 2,
  /**
   * Convolve in the order of the definition instead of the quicker one.
   */
  PATCHCORE_OPEN_REFERENCE = 4,
} PatchcoreOpen;

/**
 * The bytes of a pixel.
 */
typedef enum {
  /**
   * One byte.
   */
  PATCHCORE_PIXEL_FORMAT_GRAY8 = 0,
  /**
   * Red, green, blue.
   */
  PATCHCORE_PIXEL_FORMAT_RGB8 = 1,
  /**
   * Blue, green, red.
   */
  PATCHCORE_PIXEL_FORMAT_BGR8 = 2,
  /**
   * Red, green, blue, ignored.
   */
  PATCHCORE_PIXEL_FORMAT_RGBA8 = 3,
  /**
   * Blue, green, red, ignored.
   */
  PATCHCORE_PIXEL_FORMAT_BGRA8 = 4,
  /**
   * Two bytes in the machine's byte order. Full scale is 65,535: shift samples of 10 or 12 bits up.
   */
  PATCHCORE_PIXEL_FORMAT_GRAY16 = 5,
  /**
   * Red, green, blue, each like `Gray16`.
   */
  PATCHCORE_PIXEL_FORMAT_RGB16 = 6,
} PatchcorePixelFormat;

/**
 * Collects the scores of good photographs that a model has not learned from, for thresholds that fit the
 * present camera, light and parts. Use it from one thread at a time.
 */
typedef struct PatchcoreCalibrator PatchcoreCalibrator;

/**
 * A trained model. Threads may share it while none of them changes it. Its sessions keep what they need of
 * it, so that it may be changed or freed before them.
 */
typedef struct PatchcoreModel PatchcoreModel;

/**
 * Scores frames with one model, in working memory of its own. While one thread predicts with a session,
 * changes it or frees it, no other thread may use it; make one session for each thread. Maps, masks and
 * regions only read: several threads may ask for them at once.
 */
typedef struct PatchcoreSession PatchcoreSession;

/**
 * How often a good photograph is expected to be called anomalous: rates between 0 and 1, NaN if unknown.
 */
typedef struct {
  /**
   * The rate that was asked for.
   */
  double requested;
  /**
   * The rate that is expected: at most the requested one.
   */
  double expected;
  /**
   * Lower end of the interval that holds the true rate with a probability of 95 %.
   */
  double low;
  /**
   * Upper end of that interval.
   */
  double high;
  /**
   * Whether there are too few photographs to show such a rate, so that the tail of their scores was
   * fitted.
   */
  bool is_fitted;
} PatchcoreFalseAlarmRate;

/**
 * The thresholds of a model or a session.
 */
typedef struct {
  /**
   * Photographs that score at least this are anomalous (more than this, if the model was imported from a
   * checkpoint). NaN if there is no threshold.
   */
  float image_threshold;
  /**
   * Pixels of an anomalous photograph whose map value is at least this may belong to a region, likewise.
   * NaN if there is no threshold: the regions then lie around the highest values of the map.
   */
  float pixel_threshold;
  /**
   * Where the image threshold comes from.
   */
  PatchcoreCalibrationSource source;
  /**
   * Good photographs that it was found on; 0 if there were none.
   */
  uint32_t good_photographs;
  /**
   * Defective photographs that it was found on; 0 if there were none.
   */
  uint32_t defective_photographs;
  /**
   * Its false-alarm rate, known if `source` is `PATCHCORE_CALIBRATION_SOURCE_GOOD_PHOTOGRAPHS`.
   */
  PatchcoreFalseAlarmRate false_alarm_rate;
} PatchcoreCalibration;

/**
 * A photograph in the caller's memory: at most 100,000,000 pixels.
 */
typedef struct {
  /**
   * The first byte of the first row, at any address: 16-bit samples need not be aligned.
   */
  const uint8_t *data;
  /**
   * Bytes at `data`: at least `(height - 1) * stride` and one row.
   */
  size_t len;
  /**
   * Pixels a row, 8 to 65,535.
   */
  size_t width;
  /**
   * Rows, 8 to 65,535.
   */
  size_t height;
  /**
   * Bytes from one row to the next; 0 if there are no gaps between rows.
   */
  size_t stride;
  /**
   * One of `PatchcorePixelFormat`.
   */
  uint32_t format;
} PatchcoreFrame;

/**
 * The description of a model. The strings are valid until the model is freed.
 */
typedef struct {
  /**
   * Program and version that made the model.
   */
  const char *producer;
  /**
   * Architecture of the backbone, such as "resnet18".
   */
  const char *backbone;
  /**
   * Origin of the backbone's weights: the name of an embedded backbone, or a file name.
   */
  const char *weights;
  /**
   * The search that answers, and why it was chosen.
   */
  const char *search;
  /**
   * The instruction set that predictions use, such as "avx2" or "neon".
   */
  const char *isa;
  /**
   * CRC-32 of the backbone's weights.
   */
  uint32_t weights_checksum;
  /**
   * Whether the weights are those that the library embeds, and the model file does not repeat them.
   */
  bool weights_are_embedded;
  /**
   * Columns of the anomaly map and of the network's input.
   */
  size_t map_width;
  /**
   * Rows of the anomaly map and of the network's input.
   */
  size_t map_height;
  /**
   * Width that photographs are scaled to. The network sees their centre, `map_width` pixels wide.
   */
  size_t resize_width;
  /**
   * Height that photographs are scaled to. The network sees their centre, `map_height` pixels high.
   */
  size_t resize_height;
  /**
   * Embeddings in the memory bank.
   */
  size_t bank_rows;
  /**
   * Values of an embedding.
   */
  size_t dim;
  /**
   * Photographs that the model was trained on; 0 if an imported model does not record it.
   */
  uint64_t training_photographs;
  /**
   * Width of most of these photographs in pixels; 0 if it is unknown. Frames of another size or shape
   * score differently.
   */
  size_t photograph_width;
  /**
   * Height of most of these photographs in pixels; 0 if it is unknown.
   */
  size_t photograph_height;
  /**
   * Bits that the camera uses of samples of 16 bits, 9 to 16; 0 if all. The samples of a frame are at full
   * scale: multiply those of 12 bits by 65535 / 4095.
   */
  uint32_t bit_depth;
  /**
   * Whether photographs are taken as their files store them, and not turned by the orientation that EXIF
   * or a tag states.
   */
  bool ignores_orientation;
  /**
   * Scores of good photographs that the model keeps for `patchcore_model_calibrate`, which needs two.
   */
  size_t good_scores;
} PatchcoreInfo;

/**
 * Bytes of memory.
 */
typedef struct {
  /**
   * What the model takes, which its sessions share.
   */
  size_t model;
  /**
   * What each session takes, once it has predicted.
   */
  size_t session;
} PatchcoreMemory;

/**
 * An area of the photograph that looks defective, in pixels of the photograph.
 */
typedef struct {
  /**
   * First column of the bounding box.
   */
  size_t x;
  /**
   * First row of the bounding box.
   */
  size_t y;
  /**
   * Columns of the bounding box.
   */
  size_t width;
  /**
   * Rows of the bounding box.
   */
  size_t height;
  /**
   * Pixels of the region, to the resolution of the anomaly map.
   */
  size_t area;
  /**
   * Column of the anomaly map's highest value in the region.
   */
  size_t peak_x;
  /**
   * Row of that value.
   */
  size_t peak_y;
  /**
   * That value. It compares with the pixel threshold.
   */
  float score;
} PatchcoreRegion;

/**
 * The time that each stage of a prediction took, in nanoseconds.
 */
typedef struct {
  /**
   * Resize, crop, normalise.
   */
  uint64_t preprocess_ns;
  /**
   * The network.
   */
  uint64_t backbone_ns;
  /**
   * Patch embeddings from the network's maps.
   */
  uint64_t patches_ns;
  /**
   * Nearest neighbours of all patches.
   */
  uint64_t search_ns;
  /**
   * Image score, anomaly map and regions.
   */
  uint64_t score_ns;
} PatchcoreTimings;

/**
 * The result of a prediction.
 */
typedef struct {
  /**
   * Distance in embedding space, from 0 up. NaN if the prediction failed.
   */
  float score;
  /**
   * The score in units of the image threshold: 1 is the limit. NaN if the model has no threshold.
   */
  float threshold_ratio;
  /**
   * The score scaled to the range 0 to 1, with the model's own threshold at 0.5. NaN if the model knows no
   * range of scores. It does not follow the sensitivity of an imported model: judge by `decision`.
   */
  float normalized_score;
  /**
   * Whether the photograph is anomalous.
   */
  PatchcoreDecision decision;
  /**
   * How long it took.
   */
  PatchcoreTimings timings;
} PatchcoreResult;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Writes the thresholds of `model` to `*calibration`.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `calibration`
 * is NULL, which is an error, or valid for writes of a `PatchcoreCalibration`.
 */
PatchcoreStatus patchcore_model_calibration(const PatchcoreModel *model,
                                            PatchcoreCalibration *calibration);

/**
 * Writes the thresholds of `session`, which are the model's unless `patchcore_session_set_thresholds`
 * changed them, to `*calibration`.
 *
 * # Safety
 * `session` is NULL, which is an error, or a session that nobody changes or frees during the call.
 * `calibration` is NULL, which is an error, or valid for writes of a `PatchcoreCalibration`.
 */
PatchcoreStatus patchcore_session_calibration(const PatchcoreSession *session,
                                              PatchcoreCalibration *calibration);

/**
 * Sets the image threshold and the pixel threshold of `session` from the next prediction on; NaN leaves one
 * as it is. The model, and other sessions, keep theirs. A threshold that is not a finite number above 0 is
 * an error, which changes nothing.
 *
 * # Safety
 * `session` is NULL, which is an error, or a session that nobody else uses during the call.
 */
PatchcoreStatus patchcore_session_set_thresholds(PatchcoreSession *session,
                                                 float image_threshold,
                                                 float pixel_threshold);

/**
 * Sets the image threshold and the pixel threshold of `model`; NaN leaves one as it is. Sessions that exist
 * keep theirs. `patchcore_model_write` keeps the new thresholds. A threshold that is not a finite number
 * above 0 is an error, which changes nothing.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that nobody else uses during the call. Sessions on it may
 * be used.
 */
PatchcoreStatus patchcore_model_set_thresholds(PatchcoreModel *model,
                                               float image_threshold,
                                               float pixel_threshold);

/**
 * Sets the thresholds of `model` so that a good photograph is called anomalous as rarely as
 * `false_alarm_rate` says: 0.001 stands for one in a thousand. They are found from the scores of good
 * photographs that the model keeps (`good_scores` in `PatchcoreInfo`). Fewer than two such scores, and a
 * rate that is not above 0 and below 1, are errors, which change nothing. Sessions that exist keep their
 * thresholds. `patchcore_model_write` keeps the new ones, and `patchcore_model_calibration` returns the rate
 * that is expected of them.
 *
 * # Safety
 * As for `patchcore_model_set_thresholds`.
 */
PatchcoreStatus patchcore_model_calibrate(PatchcoreModel *model,
                                          double false_alarm_rate);

/**
 * Makes a calibrator that scores with `model` on `threads` threads (as for `patchcore_session_new`), and
 * sets `*calibrator`, which `patchcore_calibrator_free` frees; to NULL if it fails.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `calibrator`
 * is NULL, which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_calibrator_new(const PatchcoreModel *model,
                                         size_t threads,
                                         PatchcoreCalibrator **calibrator);

/**
 * Scores `frame`, which shows a good part, and writes its score to `*score`, unless that is NULL; NaN if it
 * fails. A frame that fails does not count, and others may follow. Errors as for
 * `patchcore_session_predict`.
 *
 * # Safety
 * `calibrator` is NULL, which is an error, or a calibrator that nobody else uses during the call. `frame` as
 * for `patchcore_session_predict`. `score` is NULL or valid for writes of a `float`.
 */
PatchcoreStatus patchcore_calibrator_add(PatchcoreCalibrator *calibrator,
                                         const PatchcoreFrame *frame,
                                         float *score);

/**
 * Sets the thresholds of `model` as `patchcore_model_calibrate` does, from the photographs added to
 * `calibrator`, whose scores `model` then keeps in place of those it had. `model` is the one that the
 * calibrator was made with, or another of the same file. Fewer than two photographs, and a rate that is not
 * above 0 and below 1, are errors, which change nothing. More photographs may be added afterwards.
 *
 * # Safety
 * `calibrator` is NULL, which is an error, or a calibrator that nobody changes or frees during the call.
 * `model` as for `patchcore_model_set_thresholds`.
 */
PatchcoreStatus patchcore_calibrator_apply(const PatchcoreCalibrator *calibrator,
                                           PatchcoreModel *model,
                                           double false_alarm_rate);

/**
 * Frees `calibrator`; NULL is ignored. Its threads end as those of a session.
 *
 * # Safety
 * `calibrator` is NULL or a calibrator that was not freed before, and nobody uses it during or after the
 * call.
 */
void patchcore_calibrator_free(PatchcoreCalibrator *calibrator);

/**
 * Writes the description of `model` to `*info`.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `info` is
 * NULL, which is an error, or valid for writes of a `PatchcoreInfo`.
 */
PatchcoreStatus patchcore_model_info(const PatchcoreModel *model,
                                     PatchcoreInfo *info);

/**
 * Writes to `*memory` how much memory `model` takes, and how much a session with `threads` threads (0: one
 * for each core; at most 1024) on frames of `width` times `height` pixels of `format`, one of
 * `PatchcorePixelFormat`, would take. The limits on sizes are those of `patchcore_session_predict`. The
 * stacks of the threads that a session of more than one starts, the pages of a mapped model, and the memory
 * of a k-d tree are not counted.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `memory` is
 * NULL, which is an error, or valid for writes of a `PatchcoreMemory`.
 */
PatchcoreStatus patchcore_model_memory(const PatchcoreModel *model,
                                       size_t threads,
                                       size_t width,
                                       size_t height,
                                       uint32_t format,
                                       PatchcoreMemory *memory);

/**
 * Writes where the photograph of the last prediction looks defective to `out`, the region with the highest
 * score first: `capacity` regions at most. `*count` is the number that there are, which may be more: ask
 * again with a longer array, or with `capacity` 0 beforehand; 256 are always enough. An anomalous photograph
 * has at least one region, a good one has none; without an image threshold, the regions are where the map
 * reaches the pixel threshold. An error, with `*count` 0, if nothing was predicted yet or the last
 * prediction failed.
 *
 * # Safety
 * `session` is NULL, which is an error, or a session that nobody predicts with or frees during the call.
 * `out` is NULL, which is an error unless `capacity` is 0, or valid for writes of `capacity` regions that
 * nobody else uses during the call. `count` is NULL, which is an error, or valid for writes of a `size_t`.
 */
PatchcoreStatus patchcore_session_regions(const PatchcoreSession *session,
                                          PatchcoreRegion *out,
                                          size_t capacity,
                                          size_t *count);

/**
 * Writes the anomaly map of the last prediction to `out`: `map_height` rows of `map_width` values, as in
 * `PatchcoreInfo`, in the score's units. `len` must be their product. An error if nothing was predicted yet
 * or the last prediction failed.
 *
 * # Safety
 * `session` is NULL, which is an error, or a session that nobody predicts with or frees during the call.
 * `out` is NULL, which is an error, or valid for writes of `len` values that nobody else uses during the
 * call.
 */
PatchcoreStatus patchcore_session_map(const PatchcoreSession *session,
                                      float *out,
                                      size_t len);

/**
 * Writes the anomaly map of the last prediction to `out`, scaled to the whole photograph: `height` rows of
 * `width` values in the score's units. `len` must be their product, and not 0. Outside a centre crop, which
 * the network does not see, the values are 0. Errors as for `patchcore_session_map`.
 *
 * # Safety
 * As for `patchcore_session_map`.
 */
PatchcoreStatus patchcore_session_map_over_image(const PatchcoreSession *session,
                                                 size_t width,
                                                 size_t height,
                                                 float *out,
                                                 size_t len);

/**
 * Writes the mask of the last prediction to `out`, scaled like `patchcore_session_map_over_image`: 255 in
 * the regions, else 0. The mask of an anomalous photograph is never all 0, and that of a good one always is.
 * Errors as for `patchcore_session_map`.
 *
 * # Safety
 * As for `patchcore_session_map`.
 */
PatchcoreStatus patchcore_session_mask_over_image(const PatchcoreSession *session,
                                                  size_t width,
                                                  size_t height,
                                                  uint8_t *out,
                                                  size_t len);

/**
 * Opens the model file `path`, and sets `*model`, which `patchcore_model_free` frees; to NULL if it fails.
 * `flags` is 0, or some of `PatchcoreOpen`. By default the file is read into memory, so that later changes
 * of it do not matter. `PATCHCORE_OPEN_MAP` maps it. A file of more than 8 GiB is `PATCHCORE_STATUS_LIMIT`,
 * and so is a network input of more than 4,194,304 pixels (2048 x 2048, or other sides). The environment
 * variable `PATCHCORE_ISA` names the instruction set to use; one that the CPU lacks is
 * `PATCHCORE_STATUS_ARGUMENT`.
 *
 * # Safety
 * `path` is NULL, which is an error, or a string that ends with a zero and that nobody changes during the
 * call. `model` is NULL, which is an error, or valid for writes of a pointer. With `PATCHCORE_OPEN_MAP`,
 * nobody changes or shortens the file until the model and every session on it are freed.
 */
PatchcoreStatus patchcore_model_open(const char *path,
                                     uint32_t flags,
                                     PatchcoreModel **model);

/**
 * Opens a copy of the model file whose `len` bytes are at `data`, which may be freed afterwards. Otherwise
 * as `patchcore_model_open`.
 *
 * # Safety
 * `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes during the
 * call. `model` is NULL, which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_model_open_copy(const uint8_t *data,
                                          size_t len,
                                          uint32_t flags,
                                          PatchcoreModel **model);

/**
 * Opens the model file whose `len` bytes are at `data`, for instance in flash, without copying the memory
 * bank. An address that is not a multiple of 64 is an error. Otherwise as `patchcore_model_open`.
 *
 * # Safety
 * `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes or frees until
 * the model and every session on it are freed. `model` is NULL, which is an error, or valid for writes of a
 * pointer.
 */
PatchcoreStatus patchcore_model_open_in_place(const uint8_t *data,
                                              size_t len,
                                              uint32_t flags,
                                              PatchcoreModel **model);

/**
 * Reads the model file from the descriptor `fd`, from its current position to its end. It may be a file, a
 * pipe or a socket. Reading stops early if the first bytes are not those of a model file, or if there are
 * more than they announce. The descriptor stays open. Otherwise as `patchcore_model_open`.
 *
 * # Safety
 * `fd` is negative, which is an error, or open for reading, and nobody closes it during the call. `model` is
 * NULL, which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_model_open_fd(int32_t fd,
                                        uint32_t flags,
                                        PatchcoreModel **model);

/**
 * Writes the model file of `model`, with the thresholds that it has now, to the `capacity` bytes at `out`,
 * and its length to `*len`. If `out` is NULL, only the length is written: ask for it first. A buffer that is
 * too short is an error; `*len` is then the length that is needed, and the buffer's content is of no use. To
 * replace a model file safely, write the bytes to a temporary file in the same folder, sync it, and rename
 * it.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `out` is
 * NULL, or valid for writes of `capacity` bytes that nobody else uses during the call. `len` is NULL, which
 * is an error, or valid for writes of a `size_t`.
 */
PatchcoreStatus patchcore_model_write(const PatchcoreModel *model,
                                      uint8_t *out,
                                      size_t capacity,
                                      size_t *len);

/**
 * Frees `model`; NULL is ignored. Sessions on it stay usable.
 *
 * # Safety
 * `model` is NULL or a model that was not freed before, and nobody uses it during or after the call.
 */
void patchcore_model_free(PatchcoreModel *model);

/**
 * Makes a session on `model` with `threads` threads (0: one for each core; 1: the caller's alone; at most
 * 1024), and sets `*session`, which `patchcore_session_free` frees; to NULL if it fails. More threads than
 * that, or than the system starts, are `PATCHCORE_STATUS_LIMIT`.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that nobody changes or frees during the call. `session` is
 * NULL, which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_session_new(const PatchcoreModel *model,
                                      size_t threads,
                                      PatchcoreSession **session);

/**
 * Frees `session`; NULL is ignored. The threads of a session of several end by themselves, perhaps after
 * this has returned, which matters before `fork` and before the library is unloaded; a session of one thread
 * starts none.
 *
 * # Safety
 * `session` is NULL or a session that was not freed before, and nobody uses it during or after the call.
 */
void patchcore_session_free(PatchcoreSession *session);

/**
 * Scores `frame`, decides whether it is anomalous, and writes both to `*result`, unless that is NULL. If it
 * fails, the result holds NaN and `PATCHCORE_DECISION_NO_THRESHOLD`, and there is no map, mask or region. A
 * frame with a side below 8 is `PATCHCORE_STATUS_ARGUMENT`; one with a side above 65,535 or more than
 * 100,000,000 pixels is `PATCHCORE_STATUS_LIMIT`. `PATCHCORE_STATUS_FORMAT` means that the model is damaged:
 * the score is not a finite number.
 *
 * A frame allocates if it is the first, has another size than the one before, has more samples a pixel than
 * any before, or fails. Other frames do not allocate, except with a model that was trained for the search by
 * k-d tree. A library without the feature `kdtree` searches such a model exhaustively: it finds the same,
 * and allocates as for other models.
 *
 * # Safety
 * `session` is NULL, which is an error, or a session that nobody else uses during the call. `frame` is NULL,
 * which is an error, or valid for reads of a `PatchcoreFrame`; its `data` is NULL, which is an error, or
 * valid for reads of its `len` bytes, which nobody changes during the call. `result` is NULL or valid for
 * writes of a `PatchcoreResult`.
 */
PatchcoreStatus patchcore_session_predict(PatchcoreSession *session,
                                          const PatchcoreFrame *frame,
                                          PatchcoreResult *result);

/**
 * Writes the score of `frame` alone to `*score`; NaN if it fails. It is the score that
 * `patchcore_session_predict` gives, found sooner, because patches that cannot be the strongest are skipped.
 * The map, mask and regions stay those of the last prediction. The score compares with `image_threshold` of
 * `patchcore_session_calibration`. Errors and allocations as for `patchcore_session_predict`.
 *
 * # Safety
 * As for `patchcore_session_predict`; `score` is NULL, which is an error, or valid for writes of a `float`.
 */
PatchcoreStatus patchcore_session_score(PatchcoreSession *session,
                                        const PatchcoreFrame *frame,
                                        float *score);

/**
 * The message of this thread's last call that failed, as one line of UTF-8: what was found and what was
 * expected. Empty if no call failed. Never NULL. The string belongs to the thread: it stays valid and
 * unchanged until the thread's next failed call, or its end.
 */
const char *patchcore_last_error(void);

/**
 * The meaning of `status`, a `PatchcoreStatus`, in a few words, such as "invalid argument"; "unknown status"
 * for any other number. Never NULL, always valid. `patchcore_last_error` has the details.
 */
const char *patchcore_status_text(uint32_t status);

/**
 * The version of the library, such as "0.1.0". Never NULL, always valid.
 */
const char *patchcore_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PATCHCORE_H */
