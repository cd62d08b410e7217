/*
 * os_cgroup.c: owns where Linux's control groups keep their limits of memory and processors, and how they are written
 * (the kernel's Documentation/admin-guide: cgroup-v2.rst, cgroup-v1/memory.rst; scheduler/sched-bwc.rst).
 *
 * It takes what it finds: a file that is missing, or says something else, sets no limit.
 */
#include "os_cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4096 };

/* -- what the files say ------------------------------------------------------------------------------------------- */

/* A whole number and what stands behind it; 0 where there is none. */
static uint64_t parse_number(const char *text, const char **out_end)
{
    *out_end = text + strspn(text, "0123456789");
    return *out_end > text ? strtoull(text, NULL, 10) : 0;
}

static bool is_end(const char *text)
{
    return text[strspn(text, "\n")] == '\0';
}

uint64_t tuff__cgroup_parse_bytes(const char *text)
{
    const char *end = NULL;
    const uint64_t bytes = parse_number(text, &end);
    return bytes && is_end(end) ? bytes : UINT64_MAX;
}

uint64_t tuff__cgroup_parse_quota(const char *text)
{
    const char *end = NULL;
    const uint64_t quota = parse_number(text, &end);
    const uint64_t period = *end == ' ' ? parse_number(end + 1, &end) : 0;
    return quota && period && is_end(end) ? quota / period + (quota % period != 0) : UINT64_MAX;
}

/* Whether a word of "cpu,cpuacct:" is `controller`. */
static bool is_listed(const char *list, const char *controller)
{
    const size_t wanted = strlen(controller);
    for (;;) {
        const size_t length = strcspn(list, ",:\n");
        if (length == wanted && memcmp(list, controller, length) == 0)
            return true;
        if (list[length] != ',')
            return false;
        list += length + 1;
    }
}

/* Lines like "4:memory:/path" and, for version 2, "0::/path". */
bool tuff__cgroup_parse_path(const char *groups, const char *controller, char *out_path, size_t size)
{
    for (const char *line = groups; *line; line += *line == '\n') {
        const char *list = strchr(line, ':');
        const char *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            return false;
        const size_t length = strcspn(path + 1, "\n");
        if (is_listed(list + 1, controller) && path[1] == '/' && length < size) {
            memcpy(out_path, path + 1, length);
            out_path[length] = '\0';
            return true;
        }
        line = path + 1 + length;
    }
    return false;
}

/* -- where they are ----------------------------------------------------------------------------------------------- */

/* The content of folder/name, cut to what fits; empty where there is no such file. */
static void read_file(const char *folder, const char *name, char *out, size_t size)
{
    char path[LONGEST];
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = length > 0 && length < LONGEST ? fopen(path, "rb") : NULL;
    out[file ? fread(out, 1, size - 1, file) : 0] = '\0';
    if (file)
        fclose(file);
}

static uint64_t memory_of_v2(const char *folder)
{
    char text[64];
    read_file(folder, "memory.max", text, sizeof text);
    return tuff__cgroup_parse_bytes(text);
}

static uint64_t memory_of_v1(const char *folder)
{
    char text[64];
    read_file(folder, "memory.limit_in_bytes", text, sizeof text); /* without a limit: nearly 2^63 */
    return tuff__cgroup_parse_bytes(text);
}

static uint64_t processors_of_v2(const char *folder)
{
    char text[64];
    read_file(folder, "cpu.max", text, sizeof text);
    return tuff__cgroup_parse_quota(text);
}

static uint64_t processors_of_v1(const char *folder)
{
    char text[130], quota[64], period[64];
    read_file(folder, "cpu.cfs_quota_us", quota, sizeof quota);
    read_file(folder, "cpu.cfs_period_us", period, sizeof period);
    snprintf(text, sizeof text, "%.*s %s", (int)strcspn(quota, "\n"), quota, period);
    return tuff__cgroup_parse_quota(text);
}

/* The least in the process's group of `controller` and in those above. A container may see its own group as the root of
 * what is mounted, while the path is still the host's: then only that root is found. */
static uint64_t find_least(const char *root, const char *controller, const char *mount,
                           uint64_t (*limit_of)(const char *folder))
{
    char text[2 * LONGEST], folder[LONGEST], path[LONGEST];
    uint64_t least = UINT64_MAX;
    read_file(root, "proc/self/cgroup", text, sizeof text);
    if (!tuff__cgroup_parse_path(text, controller, path, sizeof path))
        return least;
    const int length = snprintf(folder, sizeof folder, "%s%s%s", root, mount, path);
    if (length < 0 || length >= LONGEST)
        return least;
    char *const top = folder + strlen(root) + strlen(mount);
    char *slash = NULL;
    do {
        const uint64_t limit = limit_of(folder);
        least = limit < least ? limit : least;
        slash = strrchr(top, '/');
        if (slash)
            *slash = '\0';
    } while (slash);
    return least;
}

uint64_t tuff__cgroup_memory(const char *root)
{
    const uint64_t v2 = find_least(root, "", "/sys/fs/cgroup", memory_of_v2);
    const uint64_t v1 = find_least(root, "memory", "/sys/fs/cgroup/memory", memory_of_v1);
    return v1 < v2 ? v1 : v2;
}

uint64_t tuff__cgroup_processors(const char *root)
{
    const uint64_t v2 = find_least(root, "", "/sys/fs/cgroup", processors_of_v2);
    const uint64_t v1 = find_least(root, "cpu", "/sys/fs/cgroup/cpu", processors_of_v1);
    return v1 < v2 ? v1 : v2;
}
