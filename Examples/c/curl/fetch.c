/* fetch.c - downloads all URLs that it is given at the same time, on one loop.
 *
 *     fetch FOLDER URL...    the first to FOLDER/0, the second to FOLDER/1, and so on
 *
 *     cc -o fetch fetch.c $(pkg-config --cflags --libs sluice libcurl)
 */
#include <stdio.h>
#include <stdlib.h>

#include "sluice_curl.h"

struct fetch {
    unsigned long running;
    unsigned long failed;
};

struct download {
    FILE *file;
    const char *url;
};

static void done(void *context, CURL *easy, CURLcode result) {
    struct fetch *fetch = context;
    struct download *download;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&download);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (fclose(download->file) != 0 || result != CURLE_OK || status != 200) {
        printf("%s: %s, status %ld\n", download->url, curl_easy_strerror(result), status);
        fetch->failed++;
    }
    fetch->running--;
    curl_easy_cleanup(easy);
}

/* Begins one download, which `done` ends. Returns 0 or -1. */
static int begin(CURLM *multi, struct download *download, const char *folder, int number) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", folder, number);
    download->file = fopen(path, "wb");
    CURL *easy = curl_easy_init();
    if (!download->file || !easy)
        return -1;
    curl_easy_setopt(easy, CURLOPT_URL, download->url);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, download->file); /* by fwrite(3) */
    curl_easy_setopt(easy, CURLOPT_PRIVATE, download);
    return curl_multi_add_handle(multi, easy) == CURLM_OK ? 0 : -1;
}

/* Pulls until all downloads have ended. Returns 0 or 1. */
static int run(sluice_loop *loop, const struct fetch *fetch) {
    while (fetch->running > 0) {
        sluice_event event;
        int code = sluice_next(loop, &event, SLUICE_FOREVER);
        if (code < 0) {
            fprintf(stderr, "fetch: %s\n", sluice_error_message(code));
            return 1;
        }
        sluice_source_dispatch(&event);
    }
    return 0;
}

int main(int count, char **arguments) {
    struct fetch fetch = {0};
    sluice_loop *loop;
    sluice_curl *curl;
    if (count < 2) {
        fprintf(stderr, "usage: fetch FOLDER URL...\n");
        return 2;
    }
    struct download *downloads = calloc((size_t)count, sizeof *downloads);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = !downloads || sluice_open(&loop, NULL) < 0 ||
                 sluice_curl_open(&curl, loop, done, &fetch) < 0;
    for (int i = 0; i < count - 2 && !failed; i++, fetch.running++) {
        downloads[i].url = arguments[i + 2];
        failed = begin(curl->multi, &downloads[i], arguments[1], i) < 0;
    }
    unsigned long most = fetch.running;
    if (failed || run(loop, &fetch) != 0) {
        free(downloads);
        return 1; /* the rest is freed with the program */
    }
    printf("%lu at once, %lu failed\n", most, fetch.failed);
    sluice_curl_close(curl);
    sluice_destroy(loop);
    curl_global_cleanup();
    free(downloads);
    return fetch.failed > 0;
}
