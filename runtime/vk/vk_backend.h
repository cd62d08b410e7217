/* vk_backend.h: programs: calls recorded once into command buffers and replayed with one submit. tuff__backend's. */
#ifndef TUFF_RUNTIME_VK_BACKEND_H
#define TUFF_RUNTIME_VK_BACKEND_H

#include "../op.h"

tuff_status tuff__vk_program_create(tuff_device *device, const tuff_op_call *calls, size_t count, size_t *out_refused,
                                    tuff__program **out_program);
void tuff__vk_program_destroy(tuff__program *program);
tuff_status tuff__vk_program_run(tuff__program *program);
tuff_status tuff__vk_program_run_call(tuff__program *program, size_t index, double *out_seconds);
/* FLOPs that one dispatch may have on that type of device so as to fit a batch; 0: any number. */
double tuff__vk_max_dispatch_flops(tuff_device_type type);
/* How much longer than the table of rates says a new program is expected to take, after a run of `estimated` seconds by
 * that table took `seconds`; `scale` is what was expected before. */
double tuff__vk_time_scale(double scale, double estimated, double seconds);
void tuff__vk_program_statistics(const tuff__program *program, tuff__program_statistics *out_statistics);

#endif
