/* main.c: owns the choice of a subcommand. */
#include "args.h"

#include "env.h"

#include <stdio.h>
#include <string.h>

#define TUFF_COMMAND(name, meaning) int tuff__cmd_##name(int argc, char **argv);
#include "commands.def"
#undef TUFF_COMMAND

typedef struct command {
    const char *name, *meaning;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
#define TUFF_COMMAND(name, meaning) {#name, meaning, tuff__cmd_##name},
#include "commands.def"
#undef TUFF_COMMAND
    {NULL, NULL, NULL},
};

static int help(FILE *to)
{
    fprintf(to,
            "tuff %s runs and fine-tunes transformers on any vendor's GPU through Vulkan, and can prove every\n"
            "result against the CPU.\n\nUsage: tuff COMMAND [arguments]\n\nCommands:\n",
            tuff_version());
    for (const command *c = commands; c->name; c++)
        fprintf(to, "  %-10s %s\n", c->name, c->meaning);
    fprintf(to, "\nEnvironment:\n");
    for (const tuff__env_row *row = tuff__env_rows(); row->name; row++)
        fprintf(to, "  %-16s %s (%s)\n", row->name, row->meaning, row->values);
    fprintf(to, "\n`tuff COMMAND --help` explains one; `tuff --version` prints the version.\n");
    return to == stdout ? 0 : 2;
}

/* Answers that did not arrive are a failure: the next program of a pipeline must not believe an empty one. A command
 * that has failed has said why. */
static int close_output(int code)
{
    return code || tuff__check_output() == TUFF_SUCCESS ? code : tuff__report_failure();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return close_output(help(stdout));
    if (!strcmp(argv[1], "--version")) {
        printf("tuff %s\n", tuff_version());
        return close_output(0);
    }
    const char *names[sizeof commands / sizeof commands[0]] = {NULL};
    for (const command *c = commands; c->name; c++) {
        names[c - commands] = c->name;
        if (!strcmp(argv[1], c->name))
            return close_output(c->run(argc - 1, argv + 1));
    }
    static const char *const options[] = {"--help", "--version", NULL};
    const bool option = argv[1][0] == '-';
    const char *nearest = tuff__nearest(argv[1], option ? options : names);
    fprintf(stderr, "tuff: there is no %s '%s'%s%s (tuff --help)\n", option ? "option" : "command", argv[1],
            nearest ? "; the nearest is " : "", nearest ? nearest : "");
    return 2;
}
