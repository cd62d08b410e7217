/* env.h: the environment variables tuff reads; they diagnose or say where files are. docs/environment.md tells whether
 * a result depends on one. */
#ifndef TUFF_RUNTIME_ENV_H
#define TUFF_RUNTIME_ENV_H

#include "status.h"

typedef struct tuff__environment {
    tuff_log_level log_level; /* TUFF_LOG=error|warning|info|debug; default warning */
    const char *device;       /* TUFF_DEVICE: what --device says when it is not given; NULL when unset */
    bool check;               /* TUFF_CHECK=1: every operator of every run on the reference too */
    const char *dump;         /* TUFF_DUMP: folder for compiled graphs; NULL when unset */
    bool validation;          /* TUFF_VALIDATION=1: Vulkan's validation layer, with synchronization checks */
    const char *cache_dir;    /* TUFF_CACHE_DIR, see tuff__cache_folder; NULL when unset */
    const char *hf_hub_cache; /* HF_HUB_CACHE: where Hugging Face's tools keep models; NULL when unset */
    const char *hf_home;      /* HF_HOME: the folder whose "hub" that is by default; NULL when unset */
} tuff__environment;

/* Read once, at the first call, and kept: what the application does to its environment later changes nothing here. An
 * empty variable counts as unset. */
const tuff__environment *tuff__env(void);

/* Where pipelines and verdicts are kept: TUFF_CACHE_DIR, else tuff__cache_directory(). Free with tuff__free; NULL where
 * there is no such place. The folder may not exist yet. */
char *tuff__cache_folder(void);

/* One row a variable, for `tuff --help` and docs/environment.md; ends with a NULL name. */
typedef struct tuff__env_row {
    const char *name, *values, *meaning;
} tuff__env_row;
const tuff__env_row *tuff__env_rows(void);

#endif
