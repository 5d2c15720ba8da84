/* Inspects frames with one model, as a camera loop does.
 *
 *   inspect MODEL.pcore WIDTH HEIGHT [THRESHOLD] < frames.rgb
 *
 * Reads raw RGB frames of WIDTH x HEIGHT pixels from standard input until it ends, and prints one line a frame: the
 * verdict, and where the defects are. THRESHOLD replaces the model's own.
 * Exit status: 0 all good, 1 something failed or nothing was inspected, 2 wrong usage, 3 at least one frame is anomalous.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "patchcore.h"

enum { SHOWN_REGIONS = 3 };

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

static const char *word(PatchcoreDecision decision)
{
    switch (decision) {
    case PATCHCORE_DECISION_GOOD:
        return "good";
    case PATCHCORE_DECISION_ANOMALOUS:
        return "ANOMALOUS";
    default:
        return "not judged";
    }
}

/* Prints one line. `regions` holds as many of the `count` regions as are shown. */
static void print_verdict(int number, const PatchcoreResult *result, const PatchcoreRegion *regions, size_t count)
{
    printf("frame %d: %s %.2f x threshold, score %.4f", number, word(result->decision), result->threshold_ratio,
           result->score);
    for (size_t i = 0; i < count && i < SHOWN_REGIONS; i++)
        printf(", at %zu,%zu, %zux%zu px", regions[i].x, regions[i].y, regions[i].width, regions[i].height);
    if (count > SHOWN_REGIONS)
        printf(", and %zu more", count - SHOWN_REGIONS);
    printf("\n");
}

/* Inspects every frame of standard input; `data` has room for one. */
static int inspect(PatchcoreSession *session, size_t width, size_t height, uint8_t *data)
{
    size_t bytes = width * height * 3, got;
    PatchcoreFrame frame = {data, bytes, width, height, 0, PATCHCORE_PIXEL_FORMAT_RGB8};
    int status = 0, number;

    for (number = 0; (got = fread(data, 1, bytes, stdin)) == bytes; number++) {
        PatchcoreResult result;
        PatchcoreRegion regions[SHOWN_REGIONS];
        size_t count;
        if (patchcore_session_predict(session, &frame, &result) != PATCHCORE_STATUS_OK
            || patchcore_session_regions(session, regions, SHOWN_REGIONS, &count) != PATCHCORE_STATUS_OK)
            return failed("predict", patchcore_last_error());
        print_verdict(number, &result, regions, count);
        if (result.decision == PATCHCORE_DECISION_ANOMALOUS)
            status = 3;
    }
    if (ferror(stdin))
        return failed("standard input", "cannot be read");
    if (got > 0)
        return failed("standard input", "ends within a frame");
    return number > 0 ? status : failed("standard input", "holds no frame");
}

/* Sets `threshold`, unless it is NaN. Without any threshold the session would judge nothing. */
static int set_threshold(PatchcoreSession *session, float threshold)
{
    PatchcoreCalibration calibration;

    if (patchcore_session_set_thresholds(session, threshold, NAN) != PATCHCORE_STATUS_OK
        || patchcore_session_calibration(session, &calibration) != PATCHCORE_STATUS_OK)
        return failed("threshold", patchcore_last_error());
    if (isnan(calibration.image_threshold))
        return failed("model", "it has no threshold, so that it judges nothing: pass one, or run "
                               "`patchcore calibrate MODEL --data GOOD_PHOTOGRAPHS`");
    return 0;
}

static int with_model(const PatchcoreModel *model, size_t width, size_t height, float threshold)
{
    PatchcoreInfo info;
    PatchcoreSession *session = NULL;
    uint8_t *data;
    int status;

    if (patchcore_model_info(model, &info) != PATCHCORE_STATUS_OK)
        return failed("model", patchcore_last_error());
    if (info.photograph_width != 0 && info.photograph_width * height != info.photograph_height * width)
        fprintf(stderr, "warning: the model was trained on photographs of another shape, %zux%zu\n",
                info.photograph_width, info.photograph_height);
    if (patchcore_session_new(model, 1, &session) != PATCHCORE_STATUS_OK)
        return failed("session", patchcore_last_error());
    data = malloc(width * height * 3);
    status = data ? set_threshold(session, threshold) : failed("frame", "not enough memory");
    if (status == 0)
        status = inspect(session, width, height, data);
    free(data);
    patchcore_session_free(session);
    return status;
}

int main(int argc, char **argv)
{
    PatchcoreModel *model = NULL;
    size_t width = argc >= 4 ? strtoul(argv[2], NULL, 10) : 0, height = argc >= 4 ? strtoul(argv[3], NULL, 10) : 0;
    float threshold = argc == 5 ? strtof(argv[4], NULL) : NAN;
    int status;

    if (argc > 5 || width < 1 || width > 10000 || height < 1 || height > 10000) {
        fprintf(stderr, "usage: inspect MODEL.pcore WIDTH HEIGHT [THRESHOLD] < frames.rgb\n");
        return 2;
    }
    if (patchcore_model_open(argv[1], 0, &model) != PATCHCORE_STATUS_OK)
        return failed("open", patchcore_last_error());
    /* Print each line at once, also into a pipe. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    status = with_model(model, width, height, threshold);
    patchcore_model_free(model);
    return status;
}
