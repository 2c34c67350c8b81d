/* test_errors.c - the name and the sentence of every code. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct code_name {
    int code;
    int as_errno;
    const char *name;
};

static const struct code_name own[] = {
    {SLUICE_ENOMEM, ENOMEM, "SLUICE_ENOMEM"},       {SLUICE_EBADF, EBADF, "SLUICE_EBADF"},
    {SLUICE_EEXIST, EEXIST, "SLUICE_EEXIST"},       {SLUICE_ENOENT, ENOENT, "SLUICE_ENOENT"},
    {SLUICE_EAGAIN, EAGAIN, "SLUICE_EAGAIN"},       {SLUICE_ENOTSUP, ENOTSUP, "SLUICE_ENOTSUP"},
    {SLUICE_EBACKEND, EINVAL, "SLUICE_EBACKEND"},   {SLUICE_EINTEREST, EINVAL, "SLUICE_EINTEREST"},
    {SLUICE_ETIMEOUT, EINVAL, "SLUICE_ETIMEOUT"},   {SLUICE_ECAPACITY, ERANGE, "SLUICE_ECAPACITY"},
    {SLUICE_ENULL, EFAULT, "SLUICE_ENULL"},         {SLUICE_EADDRESS, EINVAL, "SLUICE_EADDRESS"},
    {SLUICE_EFULL, ENOBUFS, "SLUICE_EFULL"},        {SLUICE_ESTALE, ESTALE, "SLUICE_ESTALE"},
    {SLUICE_EKIND, EINVAL, "SLUICE_EKIND"},         {SLUICE_ETHREAD, EPERM, "SLUICE_ETHREAD"},
    {SLUICE_EINTR, EINTR, "SLUICE_EINTR"},          {SLUICE_ESTATE, EBADFD, "SLUICE_ESTATE"},
    {SLUICE_EOPTION, EINVAL, "SLUICE_EOPTION"},     {SLUICE_ENAME, ENXIO, "SLUICE_ENAME"},
    {SLUICE_ELISTENS, ENOTCONN, "SLUICE_ELISTENS"}, {SLUICE_ENOLISTEN, EINVAL, "SLUICE_ENOLISTEN"},
    {SLUICE_EPORT, EINVAL, "SLUICE_EPORT"},         {SLUICE_EPATH, EINVAL, "SLUICE_EPATH"},
    {SLUICE_ESCOPE, ENODEV, "SLUICE_ESCOPE"},       {SLUICE_ENUMERIC, EINVAL, "SLUICE_ENUMERIC"},
};

static const struct code_name kernels[] = {
    {-ECONNREFUSED, ECONNREFUSED, "ECONNREFUSED"},
    {-EMFILE, EMFILE, "EMFILE"},
    {-EPIPE, EPIPE, "EPIPE"},
    {-EADDRINUSE, EADDRINUSE, "EADDRINUSE"},
    {-EPERM, EPERM, "EPERM"},
};

static void own_codes(void) {
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        assert_string_equal(sluice_error_name(own[i].code), own[i].name);
        /* A sentence, and one of its own: the remedy is there for a reason. */
        const char *message = sluice_error_message(own[i].code);
        assert_true(strlen(message) > strlen("an unknown error code"));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(message, sluice_error_message(own[j].code));
    }
}

/* Sluice's own are from -10001 down to -10999, with gaps, and the list above has them all. */
static void no_code_is_missing(void) {
    size_t known = 0;
    for (int code = -10001; code > -11000; code--)
        known += strcmp(sluice_error_name(code), "UNKNOWN") != 0;
    size_t listed = 0;
    for (size_t i = 0; i < COUNT_OF(own); i++)
        listed += own[i].code <= -10001;
    assert_int_equal(known, listed);
}

static void kernel_codes(void) {
    for (size_t i = 0; i < COUNT_OF(kernels); i++) {
        assert_string_equal(sluice_error_name(kernels[i].code), kernels[i].name);
        assert_string_equal(sluice_error_message(kernels[i].code), strerror(-kernels[i].code));
    }
}

/* Each of Sluice's own is given an errno that there is, and one whose number is an errno's is that.
 */
static void errno_of_each(void) {
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        assert_int_equal(sluice_error_errno(own[i].code), own[i].as_errno);
        assert_string_not_equal(sluice_error_name(-own[i].as_errno), "UNKNOWN");
        if (own[i].code > -10001)
            assert_int_equal(own[i].as_errno, -own[i].code);
    }
    for (size_t i = 0; i < COUNT_OF(kernels); i++)
        assert_int_equal(sluice_error_errno(kernels[i].code), kernels[i].as_errno);
    assert_int_equal(sluice_error_errno(-4095), 4095);
    const int unknown[] = {-4096, -10000, -10999, -99999, INT_MIN + 1, INT_MIN};
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        assert_int_equal(sluice_error_errno(unknown[i]), EIO);
    const int counts[] = {0, 1, INT_MAX};
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        assert_int_equal(sluice_error_errno(counts[i]), 0);
}

static void no_error(void) {
    const int counts[] = {0, 1, INT_MAX};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        assert_string_equal(sluice_error_name(counts[i]), "OK");
        assert_string_equal(sluice_error_message(counts[i]), "no error");
    }
}

static void unknown(void) {
    const int codes[] = {-4095, -10000, -10999, -99999, INT_MIN + 1, INT_MIN};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        assert_string_equal(sluice_error_name(codes[i]), "UNKNOWN");
        assert_string_equal(sluice_error_message(codes[i]), "an unknown error code");
    }
}

int main(void) {
    static const struct test tests[] = {
        {"each of Sluice's codes has a name and a sentence", own_codes, NULL},
        {"no code is missing from this test", no_code_is_missing, NULL},
        {"the kernel's codes", kernel_codes, NULL},
        {"an errno for each code", errno_of_each, NULL},
        {"no error", no_error, NULL},
        {"unknown codes", unknown, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}
