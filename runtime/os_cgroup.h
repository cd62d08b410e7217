/*
 * os_cgroup.h: what Linux lets this process have of the machine: a container with two processors and a gigabyte still
 * sees all that its host has. For os_posix.c alone; elsewhere than on Linux there are no such files, and no limit.
 */
#ifndef TUFF_RUNTIME_OS_CGROUP_H
#define TUFF_RUNTIME_OS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The least that the process's own control group and those above it set, of version 2 and of version 1; UINT64_MAX:
 * nothing. `root` stands before "/proc" and "/sys": "" but in tests. */
uint64_t tuff__cgroup_memory(const char *root);     /* bytes */
uint64_t tuff__cgroup_processors(const char *root); /* the quota of their time, rounded up: at least 1 */

/* What the files say, for the test. A text of another form sets no limit. */
uint64_t tuff__cgroup_parse_bytes(const char *text); /* "1073741824", "max" */
uint64_t tuff__cgroup_parse_quota(const char *text); /* "150000 100000" is 2; "max 100000", "-1 100000" */
/* The path of `controller` ("memory"; "" for version 2) in what /proc/self/cgroup says; false where it has none. */
bool tuff__cgroup_parse_path(const char *groups, const char *controller, char *out_path, size_t size);

#endif
