/* folders.c - folders of a test's own: they are made empty, and removed after the test, with
 * everything in them.
 */
#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_FOLDERS 4

static char folders[MOST_FOLDERS][sizeof "/tmp/sluice-test-XXXXXX"];
static size_t folder_count;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void remove_last(void *unused) {
    (void)unused;
    nftw(folders[--folder_count], remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *test_folder(void) {
    assert_true(folder_count < MOST_FOLDERS);
    char *folder = strcpy(folders[folder_count], "/tmp/sluice-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    folder_count++;
    defer(remove_last, NULL);
    return folder;
}

static void leave(void *unused) {
    (void)unused;
    assert_int_equal(chdir("/"), 0);
}

const char *enter_test_folder(void) {
    const char *folder = test_folder();
    defer(leave, NULL);
    assert_int_equal(chdir(folder), 0);
    return folder;
}
