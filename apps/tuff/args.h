/*
 * args.h: command-line arguments of every subcommand, from one table each: parsing, --help, and the nearest known name
 * for an unknown option. Options take dashes or underscores alike, "--name value" or "--name=value".
 */
#ifndef TUFF_APPS_ARGS_H
#define TUFF_APPS_ARGS_H

#include "tuff/status.h"

typedef enum tuff__arg_kind {
    TUFF__ARG_STRING = 0, /* const char * */
    TUFF__ARG_FLAG = 1,   /* bool: true when given; "--name=false", or "--name false" of commands without positionals */
    TUFF__ARG_INT = 2,    /* int64_t, between min and max where max > min */
    TUFF__ARG_FLOAT = 3,  /* double, between min and max where max > min */
    TUFF__ARG_CHOICE = 4, /* const char *, one of "a|b|c" in `choices` */
} tuff__arg_kind;

typedef struct tuff__arg {
    const char *name; /* without dashes, words joined by '-'; NULL ends the table */
    tuff__arg_kind kind;
    void *value;         /* where to store; holds the default before */
    const char *choices; /* of CHOICE */
    double min, max;     /* of INT and FLOAT */
    const char *metavar; /* "DIR"; default: by kind */
    const char *help;    /* one sentence, lower case, with the default; NULL: a second name of the row above */
    bool *given;         /* set when the option was given; may be NULL */
} tuff__arg;

typedef struct tuff__args {
    const char *command;  /* "train" */
    const char *usage;    /* "MODEL [TEXT...]" */
    const char *summary;  /* one or two sentences */
    const char *epilogue; /* examples; may be NULL */
    const tuff__arg *options;
    size_t min_positionals, max_positionals; /* max 0: none; SIZE_MAX: any number */
    /* filled by tuff__args_parse */
    char **positionals;
    size_t positional_count;
} tuff__args;

/* Parses argv[1..]. Returns -1 to go on, else the exit code to leave with: 0 after --help, 2 after printing one clear
 * sentence to stderr. "--" ends the options; "-" alone is a positional. argv is reordered. */
int tuff__args_parse(tuff__args *args, int argc, char **argv);

/* "tuff: <words of tuff_last_error()>" to stderr; returns the exit code 1. */
int tuff__report_failure(void);

/* Whether all that was printed has arrived. */
tuff_status tuff__check_output(void);

/* The nearest of `names` (NULL-terminated) to `word` by edit distance, NULL when none is near. */
const char *tuff__nearest(const char *word, const char *const *names);

#endif
