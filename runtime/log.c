/* log.c: owns this thread's log callback. */
#include "log.h"

#include "env.h"

#include <stdio.h>

static _Thread_local tuff_log_fn log_function;
static _Thread_local void *log_user;

void tuff_set_log(tuff_log_fn log, void *user)
{
    log_function = log;
    log_user = user;
}

static void log_to_stderr(tuff_log_level level, const char *message)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level <= tuff__env()->log_level)
        fprintf(stderr, "tuff: %s: %s\n", names[level], message);
}

void tuff__log(tuff_log_level level, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (log_function)
        log_function(log_user, level, message);
    else
        log_to_stderr(level, message);
}
