/* status.c: owns the thread-local text of the latest failure. It decides nothing. */
#include "status.h"

#include <stdio.h>

static _Thread_local char last_error[1024];

tuff_status tuff__fail(tuff_status status, const char *format, ...)
{
    /* Callers may quote the previous message in the new one, so format aside first. */
    char message[sizeof last_error];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    snprintf(last_error, sizeof last_error, "%s", message);
    return status;
}

tuff_status tuff__fail_memory(const char *what, size_t size)
{
    return tuff__fail(TUFF_ERROR_OUT_OF_HOST_MEMORY, "%s: no memory for %zu bytes", what, size);
}

tuff_status tuff__check_given(const void *pointer, const char *what)
{
    return pointer ? TUFF_SUCCESS : tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s is NULL", what);
}

tuff_status tuff__check_enum(unsigned value, unsigned last, const char *what)
{
    if (value <= last)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s is %u, wanted 0 to %u", what, value, last);
}

const char *tuff_last_error(void)
{
    return last_error;
}

const char *tuff_status_name(tuff_status status)
{
    switch (status) {
    case TUFF_SUCCESS:
        return "TUFF_SUCCESS";
    case TUFF_ERROR_OUT_OF_HOST_MEMORY:
        return "TUFF_ERROR_OUT_OF_HOST_MEMORY";
    case TUFF_ERROR_OUT_OF_DEVICE_MEMORY:
        return "TUFF_ERROR_OUT_OF_DEVICE_MEMORY";
    case TUFF_ERROR_DEVICE_LOST:
        return "TUFF_ERROR_DEVICE_LOST";
    case TUFF_ERROR_FEATURE_NOT_PRESENT:
        return "TUFF_ERROR_FEATURE_NOT_PRESENT";
    case TUFF_ERROR_INVALID_ARGUMENT:
        return "TUFF_ERROR_INVALID_ARGUMENT";
    case TUFF_ERROR_SHAPE_MISMATCH:
        return "TUFF_ERROR_SHAPE_MISMATCH";
    case TUFF_ERROR_INVALID_FILE:
        return "TUFF_ERROR_INVALID_FILE";
    case TUFF_ERROR_IO:
        return "TUFF_ERROR_IO";
    }
    return "unknown status";
}

const char *tuff_version(void)
{
    return TUFF_VERSION; /* set by CMakeLists.txt, from project() */
}
