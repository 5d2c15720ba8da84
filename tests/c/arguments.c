/* What the C interface does with wrong arguments, and from several threads: arguments MODEL.pcore */
#include <fcntl.h>
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
    PatchcoreResult result = {-1, -1, false};
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
    CHECK(result.score > 0);
    bad.data = NULL;
    FAILS(ARGUMENT, "frame data", patchcore_session_predict(session, &bad, &result));
    CHECK(result.score == 0 && result.normalized_score == 0 && !result.is_anomalous);
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
    for (size_t i = 0; i < PIXELS; i++) {
        CHECK(scaled[i] >= 0 && scaled[i] <= highest);
        CHECK(mask[i] == (scaled[i] >= info->pixel_threshold ? 255 : 0));
    }

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
    }
    OK(patchcore_session_predict(session, &gray, NULL));
    OK(patchcore_session_map(session, map, len));
    free(mask);
    free(scaled);
    free(map);
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
    PatchcoreFrame gray = frame(PATCHCORE_PIXEL_FORMAT_GRAY8, 1);

    if (argc != 2) {
        fprintf(stderr, "usage: arguments MODEL.pcore\n");
        return 2;
    }
    CHECK(strcmp(patchcore_last_error(), "") == 0);
    CHECK(strchr(patchcore_version(), '.') != NULL);
    opening(argv[1]);
    if (patchcore_model_open(argv[1], 0, &model) != PATCHCORE_STATUS_OK) {
        fprintf(stderr, "%s\n", patchcore_last_error());
        return 1;
    }
    FAILS(ARGUMENT, "model", patchcore_model_info(NULL, &info));
    FAILS(ARGUMENT, "info", patchcore_model_info(model, NULL));
    OK(patchcore_model_info(model, &info));
    CHECK(info.bank_rows > 0 && info.dim > 0 && info.image_threshold > 0 && strlen(info.isa) > 0);
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
    from_several_threads(model);
    patchcore_session_free(session);
    patchcore_session_free(NULL);

    /* A session outlives the model that it was made with. */
    OK(patchcore_session_new(model, 1, &later));
    patchcore_model_free(model);
    OK(patchcore_session_predict(later, &gray, NULL));
    patchcore_session_free(later);
    printf("version %s: %d failures\n", patchcore_version(), failures);
    return failures != 0;
}
