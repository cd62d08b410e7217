/* unicode_tables.h: the tables that unicode_tables.py makes; unicode.c reads them. */
#ifndef TUFF_RUNTIME_TEXT_UNICODE_TABLES_H
#define TUFF_RUNTIME_TEXT_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct tuff__code_range {
    uint32_t first, last; /* both belong to it; in the lower-case table: a capital and its small letter */
} tuff__code_range;

extern const tuff__code_range tuff__other_ranges[], tuff__nonspacing_mark_ranges[], tuff__mark_ranges[],
    tuff__punctuation_ranges[], tuff__word_ranges[], tuff__later_decomposition_ranges[], tuff__later_class_ranges[],
    tuff__later_lowercase[];
extern const size_t tuff__other_range_count, tuff__nonspacing_mark_range_count, tuff__mark_range_count,
    tuff__punctuation_range_count, tuff__word_range_count, tuff__later_decomposition_range_count,
    tuff__later_class_range_count, tuff__later_lowercase_count;

#endif
