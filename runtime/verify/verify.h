/* verify.h (internal): the report that verify.c fills and report.c writes. */
#ifndef TUFF_RUNTIME_VERIFY_H
#define TUFF_RUNTIME_VERIFY_H

#include "../alloc.h"
#include "tuff/verify.h"

struct tuff_verify_report {
    tuff__arena strings;
    tuff_verify_record *records;
    size_t count, capacity, failures;
    tuff_device_properties device;
    const char *model; /* the folder */
    tuff_verify_info info;
    double seconds;
};

#endif
