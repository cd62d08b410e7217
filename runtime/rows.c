/* rows.c: owns how tensors larger than one binding are cut into rows. */
#include "recorder.h"

int64_t tuff__rows_per_binding(const tuff__target *target, int64_t rows, uint64_t row_size)
{
    const uint64_t range = target->max_storage_buffer_range;
    if ((uint64_t)rows <= range / row_size)
        return rows;
    const int64_t step = row_size % 4 == 0 ? TUFF__ALIGNMENT / 4 : TUFF__ALIGNMENT / 2;
    return (int64_t)(range / row_size) / step * step;
}

tuff__slice tuff__slice_rows(const tuff__operand *operand, int64_t first, int64_t count, uint64_t row_size)
{
    return tuff__slice_part(operand->slice, (uint64_t)first * row_size, (uint64_t)count * row_size);
}

tuff__slice tuff__slice_part(tuff__slice slice, uint64_t offset, uint64_t size)
{
    return (tuff__slice){
        .buffer = slice.buffer,
        .offset = slice.offset + offset,
        .size = (size + 3) / 4 * 4, /* 16-bit tensors are read as 32-bit words; their memory is padded to one */
    };
}

uint32_t tuff__groups_for(const tuff__target *target, int64_t count, uint32_t per_group)
{
    const int64_t groups = tuff__divide_up(count, per_group);
    if (groups < 1)
        return 1;
    return groups > target->max_workgroup_count[0] ? target->max_workgroup_count[0] : (uint32_t)groups;
}
