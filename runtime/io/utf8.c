/* utf8.c: owns the one check of bytes from outside against UTF-8. It repairs and replaces nothing. */
#include "utf8.h"

#include <stdint.h>
#include <string.h>

/* Length of the well-formed sequence at `p`, of which `left` bytes may be read; 0 if there is none. The second byte's
 * range depends on the first (Unicode, table 3-7): that is what excludes overlong forms and surrogates. */
static size_t sequence_length(const unsigned char *p, size_t left)
{
    const unsigned char first = p[0];
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (left < length)
        return 0;
    const unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

size_t tuff__utf8_check(const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    size_t at = 0;
    while (at < size) {
        uint64_t word;
        if (size - at >= sizeof word) { /* most text of most files is ASCII: eight bytes at a time */
            memcpy(&word, p + at, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                at += sizeof word;
                continue;
            }
        }
        const size_t length = sequence_length(p + at, size - at);
        if (length == 0)
            return at;
        at += length;
    }
    return size;
}
