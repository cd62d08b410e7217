/* json_syntax.h (internal): JSON as text, for json.c. */
#ifndef TUFF_RUNTIME_IO_JSON_SYNTAX_H
#define TUFF_RUNTIME_IO_JSON_SYNTAX_H

#include "json.h"

/* INVALID_FILE: "NAME: line L, column C: WHAT", where `offset` lies in the text that begins in `first_line`. */
tuff_status tuff__json_fail_at(const char *name, const char *text, size_t first_line, size_t offset, const char *what);
/* Ahead of cJSON: UTF-8, `limits` (none of them 0), and what a reader of its C strings must not meet. */
tuff_status tuff__json_check_text(const char *name, const char *text, size_t size, const tuff__json_limits *limits);
/* Why cJSON gave nothing for a text that passed: the line and column of the fault, or too little memory. */
tuff_status tuff__json_fail_refused(const char *name, const char *text, size_t size, size_t first_line);

#endif
