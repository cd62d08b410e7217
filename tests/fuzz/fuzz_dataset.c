/* fuzz_dataset.c: the first byte chooses a format; the rest is refused, or gives cells that are whole strings. */
#include "../../runtime/io/dataset.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit_column(const tuff__table *table, size_t column)
{
    size_t found = 0;
    const bool complete = tuff__table_column(table, tuff__table_column_name(table, column), &found) == TUFF_SUCCESS;
    for (size_t row = 0; row < tuff__table_row_count(table); row++) {
        size_t length = 0;
        const char *cell = tuff__table_cell(table, row, column, &length);
        if (cell ? strlen(cell) != length : complete)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tuff__table *table = NULL;
    size_t column = 0;
    if (size == 0 || tuff__table_parse("fuzz", (const char *)data + 1, size - 1, (tuff__table_format)(data[0] % 7),
                                       &table) != TUFF_SUCCESS)
        return 0;
    for (column = 0; column < tuff__table_column_count(table) && column < 64; column++)
        visit_column(table, column);
    if (tuff__table_row_count(table) == 0 || tuff__table_line(table, 0) == 0)
        abort();
    (void)tuff__table_column(table, "no such column", &column);
    tuff__table_destroy(table);
    return 0;
}
