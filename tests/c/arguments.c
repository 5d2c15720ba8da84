/* Calls the C interface with wrong arguments, and from several threads.
 *
 *   arguments MODEL.pcore [hostile]
 *
 * With `hostile` everything runs in a floating-point environment that traps invalid operations, divisions by zero and
 * overflow, and flushes to zero, as far as the CPU can.
 */
#define _GNU_SOURCE /* feenableexcept */
#include <fcntl.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchcore.h"

enum { WIDTH = 64, HEIGHT = 48, PIXELS = WIDTH * HEIGHT, THREADS = 4 };

static _Atomic int failures;

static void check(bool holds, int line, const char *what)
{
    if (!holds) {
        printf("line %d: %s (last error: %s)\n", line, what, patchcore_last_error());
        failures++;
    }
}
#define CHECK(what) check((what), __LINE__, #what)
#define OK(call) CHECK((call) == PATCHCORE_STATUS_OK)
/* `call` returns the status `name`, and leaves a message that contains `words`. */
#define FAILS(name, words, call) \
    CHECK((call) == PATCHCORE_STATUS_##name && strstr(patchcore_last_error(), (words)) != NULL)

/* The control bits of the CPU's floating-point unit. */
static uint64_t float_environment(void)
{
#if defined(__SSE__)
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return mxcsr & ~0x3fu; /* without the exception flags */
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
#else
    return 0;
#endif
}

static void make_hostile(void)
{
#ifdef __GLIBC__
    /* -1 where the CPU cannot trap. */
    feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
#endif
#if defined(__SSE__)
    uint32_t mxcsr = (uint32_t)float_environment() | 0x8040;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
#elif defined(__aarch64__)
    uint64_t fpcr = float_environment() | 1 << 24;
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
#endif
}

/* As many as the largest format takes, and one. */
static uint8_t pixels[6 * PIXELS + 1];

static PatchcoreFrame frame(PatchcorePixelFormat format, size_t bytes)
{
    PatchcoreFrame frame = {pixels, bytes * PIXELS, WIDTH, HEIGHT, 0, format};
    return frame;
}

/* The whole of `path`, aligned to 64. */
static uint8_t *content(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    if (file && fseek(file, 0, SEEK_END) == 0 && (*len = (size_t)ftell(file)) > 0) {
        rewind(file);
        bytes = aligned_alloc(64, (*len + 64) / 64 * 64);
        if (bytes && fread(bytes, 1, *len, file) != *len)
            *len = 0;
    }
    if (file)
        fclose(file);
    return bytes;
}

struct writing {
    int fd;
    const uint8_t *bytes;
    size_t len;
};

/* Writes all of a `struct writing`, and closes its descriptor. */
static void *put(void *argument)
{
    const struct writing *to_write = argument;
    for (size_t done = 0; done < to_write->len;) {
        ssize_t written = write(to_write->fd, to_write->bytes + done, to_write->len - done);
        CHECK(written > 0);
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    CHECK(close(to_write->fd) == 0);
    return NULL;
}

static float score_of(const PatchcoreModel *model, size_t threads)
{
    PatchcoreSession *session = NULL;
    PatchcoreFrame gray = frame(PATCHCORE_PIXEL_FORMAT_GRAY8, 1);
    PatchcoreResult result;
    OK(patchcore_session_new(model, threads, &session));
    OK(patchcore_session_predict(session, &gray, &result));
    patchcore_session_free(session);
    return result.score;
}

static void opening(const char *path)
{
    size_t len = 0;
    uint8_t *bytes = content(path, &len);
    PatchcoreModel *model = (PatchcoreModel *)&len;
    int fd;

    FAILS(ARGUMENT, "path", patchcore_model_open(NULL, 0, &model));
    CHECK(model == NULL);
    FAILS(ARGUMENT, "model", patchcore_model_open(path, 0, NULL));
    FAILS(ARGUMENT, "flags", patchcore_model_open(path, 0x80000000u, &model));
    FAILS(IO, "no/such/file", patchcore_model_open("no/such/file", 0, &model));
    FAILS(IO, "", patchcore_model_open("/", 0, &model));
    FAILS(ARGUMENT, "data", patchcore_model_open_copy(NULL, len, 0, &model));
    FAILS(ARGUMENT, "data", patchcore_model_open_copy(bytes, SIZE_MAX, 0, &model));
    FAILS(ARGUMENT, "flags", patchcore_model_open_copy(bytes, len, PATCHCORE_OPEN_MAP, &model));
    FAILS(ARGUMENT, "model", patchcore_model_open_copy(bytes, len, 0, NULL));
    FAILS(FORMAT, "", patchcore_model_open_copy(bytes, 0, 0, &model));
    FAILS(FORMAT, "", patchcore_model_open_copy(bytes, len - 1, 0, &model));
    FAILS(ARGUMENT, "64", patchcore_model_open_in_place(bytes + 1, len - 1, 0, &model));
    FAILS(ARGUMENT, "data", patchcore_model_open_in_place(NULL, len, 0, &model));
    FAILS(ARGUMENT, "file descriptor", patchcore_model_open_fd(-1, 0, &model));
    FAILS(IO, "file descriptor", patchcore_model_open_fd(1000, 0, &model));
    /* What never ends is left as soon as it shows that it is no model. */
    fd = open("/dev/zero", O_RDONLY);
    FAILS(FORMAT, "magic", patchcore_model_open_fd(fd, 0, &model));
    CHECK(close(fd) == 0);
    CHECK(model == NULL);
    bytes[len - 1] ^= 1;
    FAILS(FORMAT, "checksum", patchcore_model_open_copy(bytes, len, 0, &model));
    OK(patchcore_model_open_copy(bytes, len, PATCHCORE_OPEN_UNVERIFIED, &model));
    patchcore_model_free(model);
    bytes[len - 1] ^= 1;

    float scores[6];
    OK(patchcore_model_open(path, 0, &model));
    scores[0] = score_of(model, 1);
    patchcore_model_free(model);
    OK(patchcore_model_open(path, PATCHCORE_OPEN_MAP, &model));
    scores[1] = score_of(model, 2);
    patchcore_model_free(model);
    OK(patchcore_model_open_copy(bytes, len, 0, &model));
    scores[2] = score_of(model, 1);
    patchcore_model_free(model);
    OK(patchcore_model_open_in_place(bytes, len, 0, &model));
    scores[3] = score_of(model, 0);
    patchcore_model_free(model);
    fd = open(path, O_RDONLY);
    OK(patchcore_model_open_fd(fd, 0, &model));
    CHECK(close(fd) == 0);
    scores[4] = score_of(model, 1);
    patchcore_model_free(model);
    int ends[2];
    pthread_t writer;
    CHECK(pipe(ends) == 0);
    struct writing piped = {ends[1], bytes, len};
    CHECK(pthread_create(&writer, NULL, put, &piped) == 0);
    OK(patchcore_model_open_fd(ends[0], 0, &model));
    CHECK(pthread_join(writer, NULL) == 0);
    CHECK(close(ends[0]) == 0);
    scores[5] = score_of(model, 1);
    patchcore_model_free(model);
    for (int i = 1; i < 6; i++)
        CHECK(scores[i] == scores[0]);

    OK(patchcore_model_open(path, PATCHCORE_OPEN_REFERENCE, &model));
    CHECK(score_of(model, 1) > 0);
    patchcore_model_free(model);
    patchcore_model_free(NULL);
    free(bytes);
}

static void frames(PatchcoreSession *session)
{
    PatchcoreResult result;
    PatchcoreFrame good = frame(PATCHCORE_PIXEL_FORMAT_RGB8, 3), bad = good;

    FAILS(ARGUMENT, "session", patchcore_session_predict(NULL, &good, &result));
    FAILS(ARGUMENT, "frame", patchcore_session_predict(session, NULL, &result));
    FAILS(ARGUMENT, "result", patchcore_session_predict(session, &good, (PatchcoreResult *)((char *)&result + 1)));
    OK(patchcore_session_predict(session, &good, NULL));
    OK(patchcore_session_predict(session, &good, &result));
    CHECK(result.score > 0 && result.threshold_ratio > 0 && result.timings.backbone_ns > 0);
    CHECK((result.decision == PATCHCORE_DECISION_ANOMALOUS) == (result.threshold_ratio >= 1));

    float score = 0;
    FAILS(ARGUMENT, "session", patchcore_session_score(NULL, &good, &score));
    CHECK(isnan(score));
    FAILS(ARGUMENT, "frame", patchcore_session_score(session, NULL, &score));
    FAILS(ARGUMENT, "score", patchcore_session_score(session, &good, NULL));
    FAILS(ARGUMENT, "score", patchcore_session_score(session, &good, (float *)((char *)&score + 1)));
    OK(patchcore_session_score(session, &good, &score));
    CHECK(score == result.score);
    bad.data = NULL;
    FAILS(ARGUMENT, "frame data", patchcore_session_predict(session, &bad, &result));
    CHECK(isnan(result.score) && isnan(result.threshold_ratio) && isnan(result.normalized_score));
    CHECK(result.decision == PATCHCORE_DECISION_NO_THRESHOLD && result.timings.backbone_ns == 0);
    bad = good, bad.len -= 1;
    FAILS(ARGUMENT, "pixel buffer", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.len = SIZE_MAX;
    FAILS(ARGUMENT, "frame data", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.stride = 3 * WIDTH - 1;
    FAILS(ARGUMENT, "stride", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.stride = 3 * WIDTH + 1;
    FAILS(ARGUMENT, "pixel buffer", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.stride = SIZE_MAX;
    FAILS(ARGUMENT, "pixel buffer", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.width = 0;
    FAILS(ARGUMENT, "image size", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.width = SIZE_MAX;
    FAILS(LIMIT, "image size", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.height = SIZE_MAX;
    FAILS(LIMIT, "image size", patchcore_session_predict(session, &bad, &result));
    bad = good, bad.format = 99;
    FAILS(ARGUMENT, "pixel format", patchcore_session_predict(session, &bad, &result));

    bad = frame(PATCHCORE_PIXEL_FORMAT_RGB16, 6), bad.stride = 6 * WIDTH - 1;
    FAILS(ARGUMENT, "stride", patchcore_session_predict(session, &bad, &result));
    bad = frame(PATCHCORE_PIXEL_FORMAT_GRAY16, 2), bad.len -= 1;
    FAILS(ARGUMENT, "pixel buffer", patchcore_session_predict(session, &bad, &result));

    /* A gray photograph is the same in every format, and with gaps between its rows. Equal bytes are as much of 65,535 as
     * each is of 255, up to rounding. */
    static const size_t bytes[] = {1, 3, 3, 4, 4, 2, 6};
    float scores[7];
    memset(pixels, 99, sizeof pixels);
    for (unsigned format = 0; format < 7; format++) {
        PatchcoreFrame view = frame(format, bytes[format]);
        OK(patchcore_session_predict(session, &view, &result));
        scores[format] = result.score;
    }
    for (int i = 1; i < 5; i++)
        CHECK(scores[i] == scores[0]);
    CHECK(scores[6] == scores[5]);
    CHECK(scores[5] > 0.999f * scores[0] && scores[5] < 1.001f * scores[0]);
    PatchcoreFrame gaps = {pixels, sizeof pixels, WIDTH, HEIGHT, WIDTH + 7, PATCHCORE_PIXEL_FORMAT_GRAY8};
    OK(patchcore_session_predict(session, &gaps, &result));
    CHECK(result.score == scores[0]);
    /* 16 bits at an odd address, in rows an odd number of bytes apart. */
    PatchcoreFrame odd = {pixels + 1, sizeof pixels - 1, WIDTH, HEIGHT, 2 * WIDTH + 1, PATCHCORE_PIXEL_FORMAT_GRAY16};
    OK(patchcore_session_predict(session, &odd, &result));
    CHECK(result.score == scores[5]);
}

/* Of a photograph that is anomalous. */
static void maps(PatchcoreSession *session, const PatchcoreInfo *info)
{
    size_t len = info->map_width * info->map_height;
    float *map = malloc((len + 1) * sizeof *map), *scaled = malloc(PIXELS * sizeof *scaled), highest = 0;
    uint8_t *mask = malloc(PIXELS);
    PatchcoreFrame gray = frame(PATCHCORE_PIXEL_FORMAT_GRAY8, 1);

    FAILS(ARGUMENT, "no prediction", patchcore_session_map(session, map, len));
    FAILS(ARGUMENT, "no prediction", patchcore_session_map_over_image(session, WIDTH, HEIGHT, scaled, PIXELS));
    OK(patchcore_session_predict(session, &gray, NULL));
    FAILS(ARGUMENT, "session", patchcore_session_map(NULL, map, len));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map(session, NULL, len));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map(session, map, len - 1));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map(session, map, SIZE_MAX));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map(session, (float *)((char *)map + 1), len));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map_over_image(session, WIDTH, HEIGHT, NULL, PIXELS));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map_over_image(session, WIDTH, HEIGHT, scaled, PIXELS - 1));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map_over_image(session, SIZE_MAX, 2, scaled, PIXELS));
    FAILS(ARGUMENT, "map buffer", patchcore_session_map_over_image(session, 0, 0, scaled, 0));
    FAILS(ARGUMENT, "mask buffer", patchcore_session_mask_over_image(session, WIDTH, HEIGHT, NULL, PIXELS));
    FAILS(ARGUMENT, "mask buffer", patchcore_session_mask_over_image(session, WIDTH, HEIGHT, mask, SIZE_MAX));
    FAILS(ARGUMENT, "mask buffer", patchcore_session_mask_over_image(session, WIDTH, HEIGHT, mask, PIXELS - 1));
    OK(patchcore_session_map(session, map, len));
    OK(patchcore_session_map_over_image(session, WIDTH, HEIGHT, scaled, PIXELS));
    OK(patchcore_session_mask_over_image(session, WIDTH, HEIGHT, mask, PIXELS));
    for (size_t i = 0; i < len; i++)
        highest = map[i] > highest ? map[i] : highest;
    CHECK(highest > 0);
    size_t marked = 0;
    for (size_t i = 0; i < PIXELS; i++) {
        CHECK(scaled[i] >= 0 && scaled[i] <= highest);
        CHECK(mask[i] == 0 || mask[i] == 255);
        marked += mask[i] != 0;
    }

    /* The regions, and as many of them as there is room for. */
    PatchcoreRegion regions[256] = {{0}}, first[2] = {{0}}, *misaligned = (PatchcoreRegion *)((char *)first + 1);
    size_t count = 7, short_count = 0;
    FAILS(ARGUMENT, "session", patchcore_session_regions(NULL, regions, 256, &count));
    CHECK(count == 0);
    FAILS(ARGUMENT, "regions", patchcore_session_regions(session, NULL, 256, &count));
    FAILS(ARGUMENT, "regions", patchcore_session_regions(session, misaligned, 1, &count));
    FAILS(ARGUMENT, "regions", patchcore_session_regions(session, regions, SIZE_MAX, &count));
    FAILS(ARGUMENT, "count", patchcore_session_regions(session, regions, 256, NULL));
    OK(patchcore_session_regions(session, regions, 256, &count));
    CHECK(count > 0 && count <= 256 && marked > 0 && regions[0].score == highest);
    for (size_t i = 0; i < count; i++) {
        PatchcoreRegion r = regions[i];
        CHECK(r.area > 0 && r.width > 0 && r.x + r.width <= WIDTH && r.height > 0 && r.y + r.height <= HEIGHT);
        CHECK(r.peak_x >= r.x && r.peak_x < r.x + r.width && r.peak_y >= r.y && r.peak_y < r.y + r.height);
        CHECK(mask[r.peak_y * WIDTH + r.peak_x] == 255 && (i == 0 || r.score <= regions[i - 1].score));
    }
    OK(patchcore_session_regions(session, NULL, 0, &short_count));
    CHECK(short_count == count);
    OK(patchcore_session_regions(session, first, 1, &short_count));
    CHECK(short_count == count && first[0].score == highest && first[0].area == regions[0].area);
    CHECK(first[1].area == 0);


    /* A prediction that failed, for whatever reason, leaves no map or mask of the one before. */
    PatchcoreFrame shorter = gray;
    shorter.len -= 1;
    const PatchcoreFrame *wrong[] = {NULL, &shorter};
    for (int i = 0; i < 2; i++) {
        OK(patchcore_session_predict(session, &gray, NULL));
        FAILS(ARGUMENT, "", patchcore_session_predict(session, wrong[i], NULL));
        FAILS(ARGUMENT, "no prediction", patchcore_session_map(session, map, len));
        FAILS(ARGUMENT, "no prediction", patchcore_session_map_over_image(session, WIDTH, HEIGHT, scaled, PIXELS));
        FAILS(ARGUMENT, "no prediction", patchcore_session_mask_over_image(session, WIDTH, HEIGHT, mask, PIXELS));
        FAILS(ARGUMENT, "no prediction", patchcore_session_regions(session, regions, 256, &count));
        CHECK(count == 0);
    }
    OK(patchcore_session_predict(session, &gray, NULL));
    OK(patchcore_session_map(session, map, len));
    free(mask);
    free(scaled);
    free(map);
}

/* Thresholds that are set on a session decide from the next prediction on. */
static void session_thresholds(PatchcoreSession *session, const PatchcoreCalibration *models)
{
    PatchcoreCalibration own;
    PatchcoreResult result;
    PatchcoreFrame gray = frame(PATCHCORE_PIXEL_FORMAT_GRAY8, 1);
    size_t count;

    FAILS(ARGUMENT, "session", patchcore_session_calibration(NULL, &own));
    FAILS(ARGUMENT, "calibration", patchcore_session_calibration(session, NULL));
    FAILS(ARGUMENT, "session", patchcore_session_set_thresholds(NULL, 1, 1));
    FAILS(ARGUMENT, "image threshold", patchcore_session_set_thresholds(session, 0, 1));
    FAILS(ARGUMENT, "image threshold", patchcore_session_set_thresholds(session, INFINITY, 1));
    FAILS(ARGUMENT, "pixel threshold", patchcore_session_set_thresholds(session, 1, -1));
    OK(patchcore_session_set_thresholds(session, NAN, NAN));
    OK(patchcore_session_calibration(session, &own));
    CHECK(own.image_threshold == models->image_threshold && own.pixel_threshold == models->pixel_threshold);
    CHECK(own.source == models->source);

    OK(patchcore_session_predict(session, &gray, &result));
    OK(patchcore_session_set_thresholds(session, result.score * 2, NAN));
    OK(patchcore_session_predict(session, &gray, &result));
    CHECK(result.decision == PATCHCORE_DECISION_GOOD && result.threshold_ratio == 0.5f);
    OK(patchcore_session_regions(session, NULL, 0, &count));
    CHECK(count == 0);
    OK(patchcore_session_set_thresholds(session, result.score, 3));
    OK(patchcore_session_predict(session, &gray, &result));
    CHECK(result.decision == PATCHCORE_DECISION_ANOMALOUS && result.threshold_ratio == 1);
    OK(patchcore_session_calibration(session, &own));
    CHECK(own.image_threshold == result.score && own.pixel_threshold == 3);
    CHECK(own.source == PATCHCORE_CALIBRATION_SOURCE_MANUAL && isnan(own.false_alarm_rate.expected));

    /* What a hostile environment traps or flushes: a signalling NaN, a subnormal threshold, a ratio that overflows. */
    const uint32_t bits = 0x7fa00000;
    float signalling;
    memcpy(&signalling, &bits, sizeof signalling);
    OK(patchcore_session_set_thresholds(session, signalling, NAN));
    OK(patchcore_session_set_thresholds(session, 1e-40f, NAN));
    OK(patchcore_session_predict(session, &gray, &result));
    CHECK(result.decision == PATCHCORE_DECISION_ANOMALOUS && isinf(result.threshold_ratio));
}

/* Photographs of good parts set a model's thresholds, and its kept scores. */
static void calibrator(PatchcoreModel *model)
{
    PatchcoreCalibrator *calibrator = (PatchcoreCalibrator *)pixels;
    PatchcoreCalibration calibration;
    PatchcoreFrame gray = frame(PATCHCORE_PIXEL_FORMAT_GRAY8, 1), none = gray;
    PatchcoreInfo info;
    float score = 0;

    FAILS(ARGUMENT, "model", patchcore_calibrator_new(NULL, 1, &calibrator));
    CHECK(calibrator == NULL);
    FAILS(ARGUMENT, "calibrator", patchcore_calibrator_new(model, 1, NULL));
    patchcore_calibrator_free(NULL);
    OK(patchcore_calibrator_new(model, 1, &calibrator));
    FAILS(ARGUMENT, "calibrator", patchcore_calibrator_add(NULL, &gray, &score));
    CHECK(isnan(score));
    FAILS(ARGUMENT, "frame", patchcore_calibrator_add(calibrator, NULL, NULL));
    none.data = NULL;
    FAILS(ARGUMENT, "data", patchcore_calibrator_add(calibrator, &none, &score));
    OK(patchcore_calibrator_add(calibrator, &gray, &score));
    CHECK(score == score_of(model, 1));
    FAILS(ARGUMENT, "found 1 good photographs", patchcore_calibrator_apply(calibrator, model, 0.01));
    OK(patchcore_calibrator_add(calibrator, &gray, NULL));
    FAILS(ARGUMENT, "calibrator", patchcore_calibrator_apply(NULL, model, 0.01));
    FAILS(ARGUMENT, "model", patchcore_calibrator_apply(calibrator, NULL, 0.01));
    FAILS(ARGUMENT, "false-alarm rate", patchcore_calibrator_apply(calibrator, model, 1));
    OK(patchcore_calibrator_apply(calibrator, model, 0.01));
    patchcore_calibrator_free(calibrator);
    OK(patchcore_model_calibration(model, &calibration));
    CHECK(calibration.good_photographs == 2 && calibration.image_threshold > score);
    OK(patchcore_model_info(model, &info));
    CHECK(info.good_scores == 2);
}

/* Thresholds that are set on a model reach later sessions and the model file, and not the sessions before. */
static void model_thresholds(PatchcoreModel *model)
{
    PatchcoreSession *before = NULL, *after = NULL;
    PatchcoreCalibration calibration, other;
    float threshold;

    FAILS(ARGUMENT, "model", patchcore_model_calibration(NULL, &calibration));
    FAILS(ARGUMENT, "calibration", patchcore_model_calibration(model, NULL));
    FAILS(ARGUMENT, "model", patchcore_model_set_thresholds(NULL, 1, 1));
    FAILS(ARGUMENT, "image threshold", patchcore_model_set_thresholds(model, -1, NAN));
    FAILS(ARGUMENT, "model", patchcore_model_calibrate(NULL, 0.01));
    FAILS(ARGUMENT, "false-alarm rate", patchcore_model_calibrate(model, 0));
    FAILS(ARGUMENT, "false-alarm rate", patchcore_model_calibrate(model, 1));
    FAILS(ARGUMENT, "false-alarm rate", patchcore_model_calibrate(model, NAN));
    OK(patchcore_model_calibration(model, &calibration));
    CHECK(calibration.image_threshold > 0 && calibration.pixel_threshold > 0);

    OK(patchcore_model_calibrate(model, 0.001));
    OK(patchcore_model_calibration(model, &calibration));
    threshold = calibration.image_threshold;
    CHECK(calibration.source == PATCHCORE_CALIBRATION_SOURCE_GOOD_PHOTOGRAPHS && calibration.good_photographs >= 2);
    CHECK(calibration.false_alarm_rate.requested == 0.001 && calibration.false_alarm_rate.expected <= 0.001);
    CHECK(calibration.false_alarm_rate.low <= calibration.false_alarm_rate.high);
    OK(patchcore_model_calibrate(model, 0.1));
    OK(patchcore_model_calibration(model, &calibration));
    CHECK(calibration.image_threshold < threshold);

    calibrator(model);
    OK(patchcore_model_calibrate(model, 0.1));
    OK(patchcore_model_calibration(model, &calibration));

    OK(patchcore_session_new(model, 1, &before));
    OK(patchcore_model_set_thresholds(model, 2 * calibration.image_threshold, NAN));
    OK(patchcore_session_new(model, 1, &after));
    OK(patchcore_session_calibration(before, &other));
    CHECK(other.image_threshold == calibration.image_threshold);
    OK(patchcore_session_calibration(after, &other));
    CHECK(other.image_threshold == 2 * calibration.image_threshold);
    CHECK(other.pixel_threshold == calibration.pixel_threshold);
    patchcore_session_free(before);
    patchcore_session_free(after);

    size_t len = 7, written = 0;
    FAILS(ARGUMENT, "model", patchcore_model_write(NULL, NULL, 0, &len));
    CHECK(len == 0);
    FAILS(ARGUMENT, "len", patchcore_model_write(model, NULL, 0, NULL));
    OK(patchcore_model_write(model, NULL, 0, &len));
    CHECK(len > 0);
    uint8_t *bytes = malloc(len + 1);
    bytes[len - 1] = bytes[len] = 7;
    FAILS(ARGUMENT, "model buffer", patchcore_model_write(model, bytes, SIZE_MAX, &written));
    FAILS(ARGUMENT, "at least", patchcore_model_write(model, bytes, len - 1, &written));
    CHECK(written == len && bytes[len - 1] == 7);
    OK(patchcore_model_write(model, bytes, len, &written));
    CHECK(written == len && bytes[len] == 7);
    PatchcoreModel *again = NULL;
    OK(patchcore_model_open_copy(bytes, len, 0, &again));
    OK(patchcore_model_calibration(again, &calibration));
    CHECK(calibration.image_threshold == other.image_threshold);
    CHECK(calibration.source == PATCHCORE_CALIBRATION_SOURCE_MANUAL);
    CHECK(score_of(again, 1) == score_of(model, 1));
    patchcore_model_free(again);
    free(bytes);
}

static void *inspect(void *model)
{
    float *score = malloc(sizeof *score);
    CHECK(score != NULL);
    *score = score_of(model, 1);
    return score;
}

static void from_several_threads(const PatchcoreModel *model)
{
    pthread_t threads[THREADS];
    float expected = score_of(model, 1);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, inspect, (void *)model) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *score = NULL;
        CHECK(pthread_join(threads[i], &score) == 0);
        CHECK(*(float *)score == expected);
        free(score);
    }
}

int main(int argc, char **argv)
{
    PatchcoreModel *model = NULL;
    PatchcoreSession *session = NULL, *later = NULL;
    PatchcoreInfo info;
    PatchcoreCalibration calibration;
    PatchcoreFrame gray = frame(PATCHCORE_PIXEL_FORMAT_GRAY8, 1);

    if (argc != 2 && !(argc == 3 && strcmp(argv[2], "hostile") == 0)) {
        fprintf(stderr, "usage: arguments MODEL.pcore [hostile]\n");
        return 2;
    }
    if (argc == 3)
        make_hostile();
    const uint64_t environment = float_environment();
    CHECK(strcmp(patchcore_last_error(), "") == 0);
    CHECK(strchr(patchcore_version(), '.') != NULL);
    CHECK(strcmp(patchcore_status_text(PATCHCORE_STATUS_ARGUMENT), "invalid argument") == 0);
    CHECK(strcmp(patchcore_status_text(99), "unknown status") == 0);
    opening(argv[1]);
    if (patchcore_model_open(argv[1], 0, &model) != PATCHCORE_STATUS_OK) {
        fprintf(stderr, "%s\n", patchcore_last_error());
        return 1;
    }
    FAILS(ARGUMENT, "model", patchcore_model_info(NULL, &info));
    FAILS(ARGUMENT, "info", patchcore_model_info(model, NULL));
    OK(patchcore_model_info(model, &info));
    CHECK(info.bank_rows > 0 && info.dim > 0 && info.training_photographs > 0 && info.good_scores > 0);
    CHECK(info.photograph_width > 0 && info.photograph_height > 0 && info.resize_width >= info.map_width);
    CHECK(strlen(info.producer) > 0 && strlen(info.backbone) > 0 && strlen(info.weights) > 0);
    CHECK(strlen(info.search) > 0 && strlen(info.isa) > 0 && info.weights_checksum != 0);
    OK(patchcore_model_calibration(model, &calibration));
    PatchcoreMemory memory = {1, 1}, larger;
    FAILS(ARGUMENT, "model", patchcore_model_memory(NULL, 1, WIDTH, HEIGHT, 0, &memory));
    CHECK(memory.model == 0 && memory.session == 0);
    FAILS(ARGUMENT, "memory", patchcore_model_memory(model, 1, WIDTH, HEIGHT, 0, NULL));
    FAILS(ARGUMENT, "format", patchcore_model_memory(model, 1, WIDTH, HEIGHT, 99, &memory));
    FAILS(ARGUMENT, "image size", patchcore_model_memory(model, 1, 7, HEIGHT, 0, &memory));
    FAILS(LIMIT, "image size", patchcore_model_memory(model, 1, SIZE_MAX, SIZE_MAX, 0, &memory));
    FAILS(LIMIT, "threads", patchcore_model_memory(model, SIZE_MAX, WIDTH, HEIGHT, 0, &memory));
    OK(patchcore_model_memory(model, 1, WIDTH, HEIGHT, 0, &memory));
    OK(patchcore_model_memory(model, 1, 10 * WIDTH, HEIGHT, 0, &larger));
    CHECK(memory.session > 0 && larger.session > memory.session && larger.model == memory.model);
    FAILS(ARGUMENT, "model", patchcore_session_new(NULL, 1, &session));
    FAILS(ARGUMENT, "session", patchcore_session_new(model, 1, NULL));
    FAILS(LIMIT, "threads", patchcore_session_new(model, SIZE_MAX, &session));
    CHECK(session == NULL);
    OK(patchcore_session_new(model, 1, &session));
    maps(session, &info);
    frames(session);
    session_thresholds(session, &calibration);
    from_several_threads(model);
    patchcore_session_free(session);
    patchcore_session_free(NULL);
    model_thresholds(model);

    /* A session outlives the model that it was made with. */
    OK(patchcore_session_new(model, 1, &later));
    patchcore_model_free(model);
    OK(patchcore_session_predict(later, &gray, NULL));
    patchcore_session_free(later);
    CHECK(float_environment() == environment);
    printf("version %s: %d failures\n", patchcore_version(), failures);
    return failures != 0;
}
