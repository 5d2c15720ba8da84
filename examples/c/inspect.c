/* Inspects frames with one model, as a camera loop does.
 *
 *   inspect MODEL.pcore WIDTH HEIGHT < frames.rgb
 *
 * Reads raw RGB frames of WIDTH x HEIGHT pixels from standard input until it ends and prints one line a frame.
 * Exit status: 0 all good, 1 something failed, 2 wrong usage, 3 at least one frame is anomalous.
 */
#include <stdio.h>
#include <stdlib.h>

#include "patchcore.h"

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, patchcore_last_error());
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

static int inspect(PatchcoreSession *session, size_t width, size_t height)
{
    size_t pixels = width * height;
    uint8_t *data = malloc(pixels * 3);
    uint8_t *mask = malloc(pixels);
    PatchcoreFrame frame = {data, pixels * 3, width, height, 0, PATCHCORE_PIXEL_FORMAT_RGB8};
    int status = data && mask ? 0 : 1;

    for (int number = 0; status != 1 && fread(data, 3, pixels, stdin) == pixels; number++) {
        PatchcoreResult result;
        if (patchcore_session_predict(session, &frame, &result) != PATCHCORE_STATUS_OK
            || patchcore_session_mask_over_image(session, width, height, mask, pixels) != PATCHCORE_STATUS_OK) {
            status = failed("predict");
            break;
        }
        printf("frame %d: %s, score %.4f, normalized %.4f, %.2f %% of it defective\n", number,
               result.is_anomalous ? "ANOMALOUS" : "good", result.score, result.normalized_score,
               100 * defective_share(mask, pixels));
        if (result.is_anomalous)
            status = 3;
    }
    free(mask);
    free(data);
    return status;
}

int main(int argc, char **argv)
{
    PatchcoreModel *model = NULL;
    PatchcoreSession *session = NULL;
    size_t width = argc == 4 ? strtoul(argv[2], NULL, 10) : 0, height = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    int status;

    if (width < 1 || width > 10000 || height < 1 || height > 10000) {
        fprintf(stderr, "usage: inspect MODEL.pcore WIDTH HEIGHT < frames.rgb\n");
        return 2;
    }
    if (patchcore_model_open(argv[1], 0, &model) != PATCHCORE_STATUS_OK)
        return failed("open");
    status = patchcore_session_new(model, 1, &session) == PATCHCORE_STATUS_OK ? inspect(session, width, height)
                                                                              : failed("session");
    patchcore_session_free(session);
    patchcore_model_free(model);
    return status;
}
