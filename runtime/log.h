/* log.h: the only way the library speaks. Messages read "module: lower-case sentence". */
#ifndef TUFF_RUNTIME_LOG_H
#define TUFF_RUNTIME_LOG_H

#include "status.h"

void tuff__log(tuff_log_level level, const char *format, ...) TUFF_PRINTF(2, 3);

#endif
