/* Inspects frames with one model, as a camera loop does.
 *
 *   inspect MODEL.pcore WIDTH HEIGHT < frames.rgb
 *
 * Reads raw RGB frames of WIDTH x HEIGHT pixels from standard input until it ends and prints one line a frame.
 * Exit status: 0 all good, 1 something failed or nothing was inspected, 2 wrong usage, 3 at least one frame is anomalous.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "patchcore.h"

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

/* Share of the photograph that is defective. */
static double defective_share(const uint8_t *mask, size_t pixels)
{
    size_t marked = 0;
    for (size_t i = 0; i < pixels; i++)
        marked += mask[i] != 0;
    return (double)marked / (double)pixels;
}

static int inspect(PatchcoreSession *session, size_t width, size_t height, uint8_t *data, uint8_t *mask)
{
    size_t pixels = width * height, bytes = pixels * 3, got;
    PatchcoreFrame frame = {data, bytes, width, height, 0, PATCHCORE_PIXEL_FORMAT_RGB8};
    int status = 0, number;

    for (number = 0; (got = fread(data, 1, bytes, stdin)) == bytes; number++) {
        PatchcoreResult result;
        if (patchcore_session_predict(session, &frame, &result) != PATCHCORE_STATUS_OK
            || patchcore_session_mask_over_image(session, width, height, mask, pixels) != PATCHCORE_STATUS_OK)
            return failed("predict", patchcore_last_error());
        printf("frame %d: %s, score %.4f, normalized %.4f, %.2f %% of it defective\n", number,
               result.is_anomalous ? "ANOMALOUS" : "good", result.score, result.normalized_score,
               100 * defective_share(mask, pixels));
        if (result.is_anomalous)
            status = 3;
    }
    if (ferror(stdin))
        return failed("standard input", "cannot be read");
    if (got > 0)
        return failed("standard input", "ends within a frame");
    return number > 0 ? status : failed("standard input", "holds no frame");
}

static int with_model(const PatchcoreModel *model, size_t width, size_t height)
{
    PatchcoreInfo info;
    PatchcoreSession *session = NULL;
    uint8_t *data, *mask;
    int status;

    if (patchcore_model_info(model, &info) != PATCHCORE_STATUS_OK)
        return failed("model", patchcore_last_error());
    if (isnan(info.image_threshold) || isnan(info.pixel_threshold))
        return failed("model", "it has no threshold, so that it calls nothing anomalous");
    if (patchcore_session_new(model, 1, &session) != PATCHCORE_STATUS_OK)
        return failed("session", patchcore_last_error());
    data = malloc(width * height * 3);
    mask = malloc(width * height);
    status = data && mask ? inspect(session, width, height, data, mask) : failed("frame", "not enough memory");
    free(mask);
    free(data);
    patchcore_session_free(session);
    return status;
}

int main(int argc, char **argv)
{
    PatchcoreModel *model = NULL;
    size_t width = argc == 4 ? strtoul(argv[2], NULL, 10) : 0, height = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    int status;

    if (width < 1 || width > 10000 || height < 1 || height > 10000) {
        fprintf(stderr, "usage: inspect MODEL.pcore WIDTH HEIGHT < frames.rgb\n");
        return 2;
    }
    if (patchcore_model_open(argv[1], 0, &model) != PATCHCORE_STATUS_OK)
        return failed("open", patchcore_last_error());
    /* A line reaches whoever reads it when it is printed, also through a pipe. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    status = with_model(model, width, height);
    patchcore_model_free(model);
    return status;
}
