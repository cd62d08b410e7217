/* status.h (internal): storing the words of a failure, and passing its status up. */
#ifndef TUFF_RUNTIME_STATUS_H
#define TUFF_RUNTIME_STATUS_H

#include "tuff/status.h"

#include <stdarg.h>

#if defined(__GNUC__)
#define TUFF_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define TUFF_PRINTF(format_index, first_argument)
#endif

/* Stores the message for tuff_last_error() and returns `status`: the one way to report a failure. */
tuff_status tuff__fail(tuff_status status, const char *format, ...) TUFF_PRINTF(2, 3);

/* Stands for "malloc returned NULL": names what did not fit. */
tuff_status tuff__fail_memory(const char *what, size_t size);

/* INVALID_ARGUMENT where the caller gave NULL for `what`, "graph: device": for the public functions in which that is a
 * likely mistake, not for all. */
tuff_status tuff__check_given(const void *pointer, const char *what);

/* INVALID_ARGUMENT where the caller's `value` of the enum `what`, "text-classification: function_to_apply", is none of
 * 0 to last. */
tuff_status tuff__check_enum(unsigned value, unsigned last, const char *what);

/* Passes a failure up; the place that found it has already said why. */
#define TUFF_TRY(call)                                                                                                 \
    do {                                                                                                               \
        const tuff_status tuff_try_status_ = (call);                                                                   \
        if (tuff_try_status_ != TUFF_SUCCESS)                                                                          \
            return tuff_try_status_;                                                                                   \
    } while (0)

#endif
