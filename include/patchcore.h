/* PatchCore anomaly detection for CPUs, from C.
 *
 * Every function that returns a PatchcoreStatus leaves a message for patchcore_last_error where that is not
 * PATCHCORE_STATUS_OK. "Is an error" means that such a status is returned; what a buffer then
 * holds is of no meaning. Where memory runs out there is no status: the process aborts, except
 * that room for a model file that is read is asked for first (PATCHCORE_STATUS_IO).
 * patchcore_model_memory says what a session will take; `patchcore info` says what opening takes.
 *
 * Within 0.1 structs and the values of enumerations stay as they are; functions are added, none is
 * changed or taken away. Take a status that you do not know for a failure. Libraries of another
 * 0.x may differ in everything: their soname does.
 *
 * Written by cbindgen from src/capi; do not edit. */

#ifndef PATCHCORE_H
#define PATCHCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of this header. The library that runs says its own by patchcore_version. */
#define PATCHCORE_VERSION_MAJOR 0
#define PATCHCORE_VERSION_MINOR 1

/**
 * How a call ended.
 */
typedef enum {
  /**
   * It did what it should.
   */
  PATCHCORE_STATUS_OK = 0,
  /**
   * The operating system refused to read.
   */
  PATCHCORE_STATUS_IO = 1,
  /**
   * The model is damaged, unsupported or not a model.
   */
  PATCHCORE_STATUS_FORMAT = 2,
  /**
   * An argument is out of its range, null or misaligned, or a buffer has another size.
   */
  PATCHCORE_STATUS_ARGUMENT = 3,
  /**
   * The work would pass a stated limit, or the system's of threads.
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
} PatchcoreStatus;

/**
 * How to open a model: 0, or some of these added.
 */
typedef enum {
  /**
   * Map the file instead of reading it into memory: processes share the memory bank, and opening is quicker, but
   * nobody may change the file in place while the model or a session on it lives. Of `patchcore_model_open` alone.
   */
  PATCHCORE_OPEN_MAP = 1,
  /**
   * Do not compare checksums.
   */
  PATCHCORE_OPEN_UNVERIFIED = 2,
  /**
   * Convolve in the order of the definition instead of the quicker one.
   */
  PATCHCORE_OPEN_REFERENCE = 4,
} PatchcoreOpen;

/**
 * How a pixel lies in memory.
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
   * Two bytes, in the byte order of the machine; full scale is 65,535: samples of 10 or 12 bits are to be shifted up.
   */
  PATCHCORE_PIXEL_FORMAT_GRAY16 = 5,
  /**
   * Red, green, blue, each as that of `Gray16`.
   */
  PATCHCORE_PIXEL_FORMAT_RGB16 = 6,
} PatchcorePixelFormat;

/**
 * A trained model. Threads may share it; the sessions on it keep what they need of it, so that it may be freed
 * before them.
 */
typedef struct PatchcoreModel PatchcoreModel;

/**
 * Scores frames with one model, in working memory of its own. While one thread predicts with it or frees it, no other may
 * use it; make one for each thread. Maps and masks only read: several threads may ask for them at once.
 */
typedef struct PatchcoreSession PatchcoreSession;

/**
 * What a model is.
 */
typedef struct {
  /**
   * Columns of the anomaly map.
   */
  size_t map_width;
  /**
   * Rows of the anomaly map.
   */
  size_t map_height;
  /**
   * Embeddings in the memory bank.
   */
  size_t bank_rows;
  /**
   * Values of an embedding.
   */
  size_t dim;
  /**
   * The score from which a photograph is anomalous (above which, where the model was imported from a checkpoint), the
   * model's sensitivity included. NaN where the model labels no photograph: `is_anomalous` is then always false, which
   * does not mean good.
   */
  float image_threshold;
  /**
   * The map's value from which a pixel is, likewise. NaN where the model marks no pixel: masks are then 0.
   */
  float pixel_threshold;
  /**
   * The instruction set that predictions use, such as "avx2" or "neon". Valid until the model is freed.
   */
  const char *isa;
} PatchcoreInfo;

/**
 * Bytes of memory.
 */
typedef struct {
  /**
   * Of the model, which its sessions share.
   */
  size_t model;
  /**
   * Of each session, once it has predicted.
   */
  size_t session;
} PatchcoreMemory;

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
   * Bytes from one row to the next; 0 where the rows lie without gaps.
   */
  size_t stride;
  /**
   * One of `PatchcorePixelFormat`.
   */
  uint32_t format;
} PatchcoreFrame;

/**
 * What a frame was found to be.
 */
typedef struct {
  /**
   * Distance in embedding space, from 0 up.
   */
  float score;
  /**
   * The score brought to 0 to 1, with the model's own threshold at 0.5. The sensitivity of an imported model moves the
   * label and not this: take `is_anomalous`. Equal to `score`, so not bounded by 1, where the model knows no range of
   * scores.
   */
  float normalized_score;
  /**
   * Whether the score reaches the model's `image_threshold`; always false where that is NaN.
   */
  bool is_anomalous;
} PatchcoreResult;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Opens the model file `path`, and sets `*model`, which is for `patchcore_model_free`; to NULL where it fails.
 * `flags` are those of `PatchcoreOpen`. A file of more than 8 GiB is `PATCHCORE_STATUS_LIMIT`, and so is a model whose
 * network takes more than 2048 x 2048 pixels (4,194,304, whatever the sides). `PATCHCORE_ISA` in the environment names the
 * instruction set to use; one that the CPU has not is `PATCHCORE_STATUS_ARGUMENT`.
 *
 * # Safety
 * `path` is NULL, which is an error, or a string that ends with a zero and that nobody changes during the call.
 * `model` is NULL, which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_model_open(const char *path,
                                     uint32_t flags,
                                     PatchcoreModel **model);

/**
 * Opens a copy of the model file whose `len` bytes lie at `data`, which may be freed afterwards. Else as
 * `patchcore_model_open`.
 *
 * # Safety
 * `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes during the call. `model`
 * is NULL, which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_model_open_copy(const uint8_t *data,
                                          size_t len,
                                          uint32_t flags,
                                          PatchcoreModel **model);

/**
 * Opens the model file whose `len` bytes lie at `data`, in flash for instance, without copying the memory bank.
 * `data` must be aligned to 64; if it is not, that is an error. Else as `patchcore_model_open`.
 *
 * # Safety
 * `data` is NULL, which is an error, or valid for reads of `len` bytes, which nobody changes or frees until the model
 * and every session on it are freed. `model` is NULL, which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_model_open_in_place(const uint8_t *data,
                                              size_t len,
                                              uint32_t flags,
                                              PatchcoreModel **model);

/**
 * Opens the model file that the file descriptor `fd` gives from where it stands to its end: of a file, a pipe, a
 * socket. Where its first bytes are not those of a model file, or it gives more than they say, no more is read. The
 * descriptor stays open. Else as `patchcore_model_open`.
 *
 * # Safety
 * `fd` is negative, which is an error, or open for reading, and nobody closes it during the call. `model` is NULL,
 * which is an error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_model_open_fd(int32_t fd,
                                        uint32_t flags,
                                        PatchcoreModel **model);

/**
 * Says what `model` is in `*info`.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that is not freed during the call. `info` is NULL, which is an
 * error, or valid for writes of a `PatchcoreInfo`.
 */
PatchcoreStatus patchcore_model_info(const PatchcoreModel *model,
                                     PatchcoreInfo *info);

/**
 * Frees `model`; NULL is nothing to free. Sessions on it stay usable.
 *
 * # Safety
 * `model` is NULL or a model that was not freed before, and nobody uses it during or after the call.
 */
void patchcore_model_free(PatchcoreModel *model);

/**
 * Says in `*memory` what `model` takes, and what a session with `threads` threads (0: one for each core; at most 1024) on
 * frames of `width` times `height` pixels of `format`, one of `PatchcorePixelFormat`, would take, before there is one.
 * The sizes are those of `patchcore_session_predict`. Not counted are the stacks of the threads that a session of more
 * than one starts, the pages of a mapped model, and what a k-d tree takes.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that is not freed during the call. `memory` is NULL, which is an
 * error, or valid for writes of a `PatchcoreMemory`.
 */
PatchcoreStatus patchcore_model_memory(const PatchcoreModel *model,
                                       size_t threads,
                                       size_t width,
                                       size_t height,
                                       uint32_t format,
                                       PatchcoreMemory *memory);

/**
 * Makes a session on `model` with `threads` threads (0: one for each core; 1: the caller's alone; at most 1024), and
 * sets `*session`, which is for `patchcore_session_free`; to NULL where it fails. More threads than that, or than the system
 * starts, are `PATCHCORE_STATUS_LIMIT`.
 *
 * # Safety
 * `model` is NULL, which is an error, or a model that is not freed during the call. `session` is NULL, which is an
 * error, or valid for writes of a pointer.
 */
PatchcoreStatus patchcore_session_new(const PatchcoreModel *model,
                                      size_t threads,
                                      PatchcoreSession **session);

/**
 * Frees `session`; NULL is nothing to free. The threads of a session of several end by themselves, perhaps after this
 * has returned, which matters before `fork` and before the library is unloaded; a session of one thread starts none.
 *
 * # Safety
 * `session` is NULL or a session that was not freed before, and nobody uses it during or after the call.
 */
void patchcore_session_free(PatchcoreSession *session);

/**
 * Scores `frame` and writes what it was found to be to `*result`, unless that is NULL; zeros where it fails.
 * Where it fails there is also no map or mask any more. A frame with a side below 8 is
 * `PATCHCORE_STATUS_ARGUMENT`, one with a side above 65,535 or more than 100,000,000 pixels `PATCHCORE_STATUS_LIMIT`; a
 * model whose score for it is no finite number is damaged, `PATCHCORE_STATUS_FORMAT`.
 *
 * A frame allocates if it is the first, of another size than the one before, has more samples a pixel than any before, or
 * fails; others do not. With a model that was trained for the search by k-d tree every frame allocates. A library without
 * the feature `kdtree` searches such a model exhaustively: it finds the same, and allocates as for other models.
 *
 * # Safety
 * `session` is NULL, which is an error, or a session that nobody else uses during the call. `frame` is NULL, which is
 * an error, or valid for reads of a `PatchcoreFrame`; its `data` is NULL, which is an error, or valid for reads of
 * its `len` bytes, which nobody changes during the call. `result` is NULL or valid for writes of a
 * `PatchcoreResult`.
 */
PatchcoreStatus patchcore_session_predict(PatchcoreSession *session,
                                          const PatchcoreFrame *frame,
                                          PatchcoreResult *result);

/**
 * Writes the anomaly map of the last prediction to `out`: `map_height` rows of `map_width` values, as
 * `patchcore_model_info` gives them, which `len` must be the product of; in the score's units. An error where nothing
 * was predicted yet, or the last prediction failed.
 *
 * # Safety
 * `session` is NULL, which is an error, or a session that nobody predicts with or frees during the call. `out` is NULL, which
 * is an error, or valid for writes of `len` values that nobody else uses during the call.
 */
PatchcoreStatus patchcore_session_map(const PatchcoreSession *session,
                                      float *out,
                                      size_t len);

/**
 * Writes the anomaly map of the last prediction to `out`, scaled to the `height` rows of `width` pixels of the whole
 * photograph, which `len` must be the product of, and not 0; in the score's units. Outside a centre crop, where nothing was
 * looked at, it is 0. Errors as `patchcore_session_map`.
 *
 * # Safety
 * As `patchcore_session_map`.
 */
PatchcoreStatus patchcore_session_map_over_image(const PatchcoreSession *session,
                                                 size_t width,
                                                 size_t height,
                                                 float *out,
                                                 size_t len);

/**
 * Writes the mask of the last prediction to `out`, scaled like `patchcore_session_map_over_image`: 255 where the map
 * reaches the model's `pixel_threshold`, else 0; all 0 where that is NaN.
 *
 * # Safety
 * As `patchcore_session_map`.
 */
PatchcoreStatus patchcore_session_mask_over_image(const PatchcoreSession *session,
                                                  size_t width,
                                                  size_t height,
                                                  uint8_t *out,
                                                  size_t len);

/**
 * What went wrong in the last call of this thread that did not return `PATCHCORE_STATUS_OK`, as one line of UTF-8;
 * empty where there was none. Never null. The string is this thread's: it is valid, and stays as it is, until the next such
 * call of this thread or the thread's end.
 */
const char *patchcore_last_error(void);

/**
 * The version of the library, such as "0.1.0". Never null; valid for ever.
 */
const char *patchcore_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PATCHCORE_H */
