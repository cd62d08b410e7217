/* verify.h (internal): the report that verify.c fills, report.c writes and the command prints. */
#ifndef TUFF_RUNTIME_VERIFY_H
#define TUFF_RUNTIME_VERIFY_H

#include "../alloc.h"
#include "tuff/model.h"
#include "tuff/verify.h"

#include <stdio.h>

struct tuff_verify_report {
    tuff__arena strings;
    tuff_verify_record *records;
    size_t count, capacity, failures;
    bool stopped; /* by the caller's progress function, before the end */
    tuff_device_properties device;
    const char *model; /* the folder */
    tuff_verify_info info;
    double seconds;
};

/* verify.c: what the device needs for it, computed from config.json alone. */
tuff_status tuff__verify_memory(const char *dir, const tuff_verify_info *info, tuff_memory_estimate *out_memory);

/* -- report.c: the records seen together -------------------------------------------------------------------------- */

/* The records of one operator and kernel variant. Strings are the report's. */
typedef struct tuff__verify_group {
    const char *op, *variant;
    size_t records, failures;
    uint64_t elements, bad;
    const tuff_verify_record *worst; /* the record nearest to its allowance, or furthest above it */
    double seconds;
} tuff__verify_group;

enum { TUFF__VERDICT_TEXT = 1024 };

/* In the order of first appearance; free *out_groups with tuff__free. */
tuff_status tuff__verify_groups(const tuff_verify_report *report, tuff__verify_group **out_groups, size_t *out_count);
/* One sentence: how many results agree, on which device and driver, and the first or the worst of them. */
void tuff__verify_verdict(const tuff_verify_report *report, char text[TUFF__VERDICT_TEXT]);
/* "forward", "training", "steps" */
const char *tuff__verify_phase_name(tuff_verify_phase phase);
/* The record's label, or words for having none. */
const char *tuff__verify_place(const tuff_verify_record *record);
/* Text for XML and HTML: marks escaped; bytes that are not UTF-8 and control characters become U+FFFD. */
void tuff__verify_write_escaped(FILE *file, const char *text);

/* report_html.c: the page; a failed write shows at the file's commit. */
tuff_status tuff__verify_write_html(FILE *file, const tuff_verify_report *report, const tuff__verify_group *groups,
                                    size_t count);

#endif
