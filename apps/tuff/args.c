/* args.c: owns the command line's grammar and the look of --help. */
#include "args.h"

#include "io/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tuff__report_failure(void)
{
    fflush(stdout);
    fprintf(stderr, "tuff: %s\n", tuff_last_error());
    return 1;
}

tuff_status tuff__check_output(void)
{
    errno = 0;
    return fflush(stdout) == 0 && !ferror(stdout) ? TUFF_SUCCESS : tuff__fail_write("standard output");
}

/* -- nearest name ------------------------------------------------------------------------------------------------- */

static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t row[LONGEST + 1];
    const size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > LONGEST || b_length > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t best = replaced;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_length];
}

const char *tuff__nearest(const char *word, const char *const *names)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 2 + 2;
    for (; *names; names++) {
        const size_t distance = edit_distance(word, *names);
        if (distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}

/* -- help --------------------------------------------------------------------------------------------------------- */

static const char *metavar_of(const tuff__arg *option)
{
    if (option->metavar)
        return option->metavar;
    switch (option->kind) {
    case TUFF__ARG_FLAG:
        return "";
    case TUFF__ARG_INT:
        return "N";
    case TUFF__ARG_FLOAT:
        return "X";
    case TUFF__ARG_CHOICE:
        return option->choices;
    default:
        return "TEXT";
    }
}

/* Prints `text` from column `indent` on, broken between words at column 100. */
static void print_wrapped(const char *text, int indent)
{
    int column = indent;
    while (*text) {
        const int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > 100) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", length, text);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_help(const tuff__args *args)
{
    enum { COLUMN = 34 };
    printf("Usage: tuff %s%s%s [options]\n\n", args->command, args->usage && args->usage[0] ? " " : "",
           args->usage ? args->usage : "");
    print_wrapped(args->summary, 0);
    printf("\nOptions:\n");
    for (const tuff__arg *option = args->options; option && option->name; option++) {
        if (!option->help) /* another name of the row above it */
            continue;
        const int used = printf("  --%s %s", option->name, metavar_of(option));
        if (used >= COLUMN)
            printf("\n%*s", COLUMN, "");
        else
            printf("%*s", COLUMN - used, "");
        print_wrapped(option->help, COLUMN);
        if (option[1].name && !option[1].help)
            printf("%*s(or", COLUMN, "");
        for (const tuff__arg *other = option + 1; other->name && !other->help; other++)
            printf(" --%s%s", other->name, other[1].name && !other[1].help ? "," : ")\n");
    }
    printf("  %-*s%s\n", COLUMN - 2, "--help", "print this and leave");
    if (args->epilogue)
        printf("\n%s\n", args->epilogue);
}

/* -- parsing ------------------------------------------------------------------------------------------------------ */

static int complain(const tuff__args *args, const char *format, const char *a, const char *b, const char *c)
{
    fprintf(stderr, "tuff %s: ", args->command);
    fprintf(stderr, format, a, b, c);
    fprintf(stderr, " (tuff %s --help)\n", args->command);
    return 2;
}

/* Whether the option's name is `text` up to `length`, '_' and '-' alike. */
static bool names_option(const tuff__arg *option, const char *text, size_t length)
{
    if (strlen(option->name) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((text[i] == '_' ? '-' : text[i]) != option->name[i])
            return false;
    return true;
}

static int unknown_option(const tuff__args *args, const char *text, size_t length)
{
    char word[64] = "";
    const char *names[128] = {"help"};
    size_t count = 1;
    for (size_t i = 0; i < length && i + 1 < sizeof word; i++)
        word[i] = text[i] == '_' ? '-' : text[i];
    for (const tuff__arg *option = args->options; option && option->name && count + 1 < 128; option++)
        names[count++] = option->name;
    names[count] = NULL;
    const char *nearest = tuff__nearest(word, names);
    if (nearest)
        return complain(args, "there is no option --%s; the nearest is --%s%s", word, nearest, "");
    return complain(args, "there is no option --%s%s%s", word, "", "");
}

static bool in_choices(const char *choices, const char *value)
{
    const size_t length = strlen(value);
    for (const char *at = choices; *at;) {
        const size_t choice = strcspn(at, "|");
        if (choice == length && !strncmp(at, value, length))
            return true;
        at += choice + (at[choice] == '|');
    }
    return false;
}

static int store_number(const tuff__args *args, const tuff__arg *option, const char *value)
{
    char *end = NULL, range[96] = "";
    errno = 0;
    const bool integer = option->kind == TUFF__ARG_INT;
    const long long whole = integer ? strtoll(value, &end, 10) : 0;
    const double number = integer ? (double)whole : strtod(value, &end);
    const bool limited = option->max > option->min;
    if (limited && integer)
        snprintf(range, sizeof range, " between %.0f and %.0f", option->min, option->max);
    else if (limited)
        snprintf(range, sizeof range, " between %.9g and %.9g", option->min, option->max);
    if (end == value || *end || errno == ERANGE || !isfinite(number) ||
        (limited && !(number >= option->min && number <= option->max))) {
        fprintf(stderr, "tuff %s: --%s is '%s', wanted a%s number%s (tuff %s --help)\n", args->command, option->name,
                value, integer ? " whole" : "", range, args->command);
        return 2;
    }
    if (integer)
        *(int64_t *)option->value = (int64_t)whole;
    else
        *(double *)option->value = number;
    return -1;
}

/* The flag's word as Python's command lines have it; -1: it is none. */
static int flag_word(const char *text)
{
    static const char *const words[] = {"false", "true", "False", "True"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, words[i]))
            return i % 2;
    return -1;
}

static int store_flag(const tuff__args *args, const tuff__arg *option, const char *value)
{
    const int word = value ? flag_word(value) : true;
    if (word < 0)
        return complain(args, "--%s is '%s', wanted true, false or no value%s", option->name, value, "");
    *(bool *)option->value = word;
    return -1;
}

static int store(const tuff__args *args, const tuff__arg *option, const char *value)
{
    if (option->given)
        *option->given = true;
    switch (option->kind) {
    case TUFF__ARG_FLAG:
        return store_flag(args, option, value);
    case TUFF__ARG_INT:
    case TUFF__ARG_FLOAT:
        return store_number(args, option, value);
    case TUFF__ARG_CHOICE:
        if (!in_choices(option->choices, value))
            return complain(args, "--%s is '%s', wanted one of %s", option->name, value, option->choices);
        break;
    default:
        break;
    }
    *(const char **)option->value = value;
    return -1;
}

/* Handles argv[*at], which begins with "--"; moves *at over its value. */
static int parse_option(tuff__args *args, int argc, char **argv, int *at)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) : strlen(text);
    if (length == 4 && !strncmp(text, "help", 4)) {
        print_help(args);
        return 0;
    }
    const tuff__arg *option = args->options;
    while (option && option->name && !names_option(option, text, length))
        option++;
    if (!option || !option->name)
        return unknown_option(args, text, length);
    if (equals)
        return store(args, option, equals + 1);
    if (option->kind == TUFF__ARG_FLAG) {
        /* Among positionals "true" is a text. */
        const bool word = args->max_positionals == 0 && *at + 1 < argc && flag_word(argv[*at + 1]) >= 0;
        return store(args, option, word ? argv[++*at] : NULL);
    }
    if (*at + 1 >= argc)
        return complain(args, "--%s wants a value: %s%s", option->name, metavar_of(option), "");
    return store(args, option, argv[++*at]);
}

int tuff__args_parse(tuff__args *args, int argc, char **argv)
{
    int kept = 1;
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        if (!options_end && !strcmp(argv[i], "--")) {
            options_end = true;
        } else if (!options_end && !strcmp(argv[i], "-h")) {
            print_help(args);
            return 0;
        } else if (!options_end && !strncmp(argv[i], "--", 2)) {
            const int code = parse_option(args, argc, argv, &i);
            if (code >= 0)
                return code;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1]) {
            return complain(args, "there is no option %s; options begin with two dashes%s%s", argv[i], "", "");
        } else {
            argv[kept++] = argv[i];
        }
    }
    args->positionals = argv + 1;
    args->positional_count = (size_t)(kept - 1);
    if (args->positional_count < args->min_positionals)
        return complain(args, "something is missing; usage: tuff %s %s%s", args->command, args->usage, "");
    if (args->positional_count > args->max_positionals)
        return complain(args, "'%s' is one argument too many; usage: tuff %s %s",
                        args->positionals[args->max_positionals], args->command, args->usage);
    return -1;
}
