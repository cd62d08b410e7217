/* utf8.h: whether bytes from outside are UTF-8. What the characters mean is the tokenizer's business. */
#ifndef TUFF_RUNTIME_IO_UTF8_H
#define TUFF_RUNTIME_IO_UTF8_H

#include <stddef.h>

/* The offset of the first byte that does not belong to well-formed UTF-8 (no overlong forms, no surrogates, nothing
 * above U+10FFFF); `size` when all of it is. NUL counts as well-formed. */
size_t tuff__utf8_check(const void *bytes, size_t size);

#endif
