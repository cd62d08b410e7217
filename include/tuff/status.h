/*
 * status.h: how tuff reports failure, and the words for it.
 *
 * Every function that can fail returns a tuff_status and nothing else; tuff_last_error() then says, in one sentence,
 * what failed, where, what was found and what was wanted.
 *
 * Pointers must not be NULL unless the declaration says that they may.
 */
#ifndef TUFF_STATUS_H
#define TUFF_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(TUFF_SHARED)
#ifdef TUFF_BUILD
#define TUFF_API __declspec(dllexport)
#else
#define TUFF_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define TUFF_API __attribute__((visibility("default")))
#else
#define TUFF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Named as Vulkan names them where Vulkan has the idea. */
typedef enum tuff_status {
    TUFF_SUCCESS = 0,
    TUFF_ERROR_OUT_OF_HOST_MEMORY = -1,
    TUFF_ERROR_OUT_OF_DEVICE_MEMORY = -2,
    TUFF_ERROR_DEVICE_LOST = -3,         /* the device stopped answering; destroy it and all made from it */
    TUFF_ERROR_FEATURE_NOT_PRESENT = -4, /* a device, driver or build that cannot do what was asked */
    TUFF_ERROR_INVALID_ARGUMENT = -5,    /* the caller's values make no sense together */
    TUFF_ERROR_SHAPE_MISMATCH = -6,      /* tensors whose shapes or dtypes do not fit the operator */
    TUFF_ERROR_INVALID_FILE = -7,        /* bytes from outside that break their format's rules */
    TUFF_ERROR_IO = -8,                  /* the system could not open, read, write or rename */
} tuff_status;

/* This thread's latest failure in words, without a trailing full stop or newline; never NULL. Valid until the next
 * failure on this thread. */
TUFF_API const char *tuff_last_error(void);

/* "TUFF_ERROR_INVALID_FILE" and so on; never NULL. */
TUFF_API const char *tuff_status_name(tuff_status status);

/* "0.1.0" */
TUFF_API const char *tuff_version(void);

typedef enum tuff_log_level {
    TUFF_LOG_ERROR = 0,
    TUFF_LOG_WARNING = 1, /* something works, but not as the caller may believe */
    TUFF_LOG_INFO = 2,    /* once per object */
    TUFF_LOG_DEBUG = 3,   /* once per graph */
} tuff_log_level;

/* `message` is "module: lower-case sentence", without newline; valid for the call only. */
typedef void (*tuff_log_fn)(void *user, tuff_log_level level, const char *message);

/* Sends this thread's messages to `log`; NULL restores the default: messages up to the level of TUFF_LOG (default
 * warning) to stderr. */
TUFF_API void tuff_set_log(tuff_log_fn log, void *user);

#ifdef __cplusplus
}
#endif

#endif
