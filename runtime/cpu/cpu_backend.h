/* cpu_backend.h: the two CPU executions behind backend.h. */
#ifndef TUFF_RUNTIME_CPU_BACKEND_H
#define TUFF_RUNTIME_CPU_BACKEND_H

#include "../backend.h"

/* `backend` is TUFF_BACKEND_CPU (compute_fast) or TUFF_BACKEND_REFERENCE (compute). */
tuff_status tuff__cpu_device_create(tuff_backend backend, const tuff_device_create_info *info,
                                    tuff_device **out_device);
/* What is known of it without creating it: all but the CPU device's `driver`, which is its matrix library's name. */
tuff_device_properties tuff__cpu_properties(tuff_backend backend, uint32_t thread_count);
/* Puts that name in; loads the library to ask it. */
void tuff__cpu_name_library(tuff_device_properties *properties);

#endif
