/* run.c: `tuff run`: texts from the command line or a file go through a pipeline; answers come in their order. */
#include "args.h"

#include "io/dataset.h"
#include "io/json.h"
#include "tuff/pipeline.h"

#include <stdio.h>
#include <string.h>

/* Texts that go through the pipeline together: enough to sort by length and fill batches. Vectors of every token are
 * large, so fewer of those. */
enum { CHUNK = 1024, TOKEN_CHUNK = 32 };

typedef struct run_options {
    const char *device, *file, *format, *text_column, *text_pair_column;
    int64_t max_length, batch_size, top_k;
    const char *function_to_apply, *pooling;
    bool normalize, no_normalize, json;
    bool format_given, text_column_given; /* the others differ from their defaults */
} run_options;

/* All inputs of one command, borrowed from the arguments or the table. */
typedef struct run_inputs {
    tuff__table *table;
    tuff_text *texts, *pairs; /* [count]; pairs NULL: single texts */
    size_t count;
} run_inputs;

static const struct {
    const char *name;
    tuff_function_to_apply function;
} functions[] = {
    {"softmax", TUFF_FUNCTION_SOFTMAX},
    {"sigmoid", TUFF_FUNCTION_SIGMOID},
    {"none", TUFF_FUNCTION_NONE},
};

static const struct {
    const char *name;
    tuff_pooling pooling;
} poolings[] = {
    {"cls", TUFF_POOLING_CLS},
    {"mean", TUFF_POOLING_MEAN},
    {"max", TUFF_POOLING_MAX},
    {"none", TUFF_POOLING_NONE},
};

/* -- inputs ------------------------------------------------------------------------------------------------------- */

static void inputs_destroy(run_inputs *inputs)
{
    tuff__free(inputs->texts);
    tuff__free(inputs->pairs);
    tuff__table_destroy(inputs->table);
}

static tuff_status inputs_reserve(run_inputs *inputs, size_t count, bool pairs)
{
    inputs->count = count;
    inputs->texts = tuff__calloc(count, sizeof *inputs->texts);
    inputs->pairs = pairs ? tuff__calloc(count, sizeof *inputs->pairs) : NULL;
    if (!inputs->texts || (pairs && !inputs->pairs))
        return tuff__fail_memory("texts", count * sizeof *inputs->texts);
    return TUFF_SUCCESS;
}

static tuff_status inputs_from_arguments(run_inputs *inputs, char **texts, size_t count)
{
    TUFF_TRY(inputs_reserve(inputs, count, false));
    for (size_t i = 0; i < count; i++)
        inputs->texts[i] = (tuff_text){.data = texts[i], .size = strlen(texts[i])};
    return TUFF_SUCCESS;
}

static tuff_text cell_text(const tuff__table *table, size_t row, size_t column)
{
    tuff_text text = {0};
    text.data = tuff__table_cell(table, row, column, &text.size);
    return text;
}

static tuff_status inputs_from_file(run_inputs *inputs, const run_options *options)
{
    tuff__table_format format;
    size_t text_column, pair_column = 0;
    TUFF_TRY(tuff__table_format_parse(options->format, &format));
    TUFF_TRY(tuff__table_open(options->file, format, &inputs->table));
    TUFF_TRY(tuff__table_column(inputs->table, options->text_column, &text_column));
    if (options->text_pair_column)
        TUFF_TRY(tuff__table_column(inputs->table, options->text_pair_column, &pair_column));
    TUFF_TRY(inputs_reserve(inputs, tuff__table_row_count(inputs->table), options->text_pair_column != NULL));
    for (size_t row = 0; row < inputs->count; row++) {
        inputs->texts[row] = cell_text(inputs->table, row, text_column);
        if (inputs->pairs)
            inputs->pairs[row] = cell_text(inputs->table, row, pair_column);
    }
    return TUFF_SUCCESS;
}

/* -- printing ----------------------------------------------------------------------------------------------------- */

/* At most `limit` bytes of a text on one line: line ends and tabs become spaces, and no character is cut. */
static void print_text(const tuff_text *text, size_t limit)
{
    size_t size = text->size;
    if (size > limit)
        for (size = limit; size > 0 && ((unsigned char)text->data[size] & 0xC0) == 0x80;)
            size--;
    for (size_t i = 0; i < size; i++)
        putchar((unsigned char)text->data[i] < 0x20 ? ' ' : text->data[i]);
    if (size < text->size)
        fputs("...", stdout);
}

static tuff_status print_scores_json(const tuff_label_score *scores, size_t top_k)
{
    tuff__json_writer writer = {0};
    tuff__json_begin_array(&writer);
    for (size_t i = 0; i < top_k; i++) {
        tuff__json_begin_object(&writer);
        tuff__json_put_string(&writer, "label", scores[i].label);
        tuff__json_put_float(&writer, "score", scores[i].score);
        tuff__json_end_object(&writer);
    }
    tuff__json_end_array(&writer);
    return tuff__json_finish_line(&writer, stdout, "standard output");
}

static void print_scores(const tuff_text *text, const tuff_label_score *scores, size_t top_k)
{
    for (size_t i = 0; i < top_k; i++) {
        print_text(&(tuff_text){scores[i].label, strlen(scores[i].label)}, SIZE_MAX);
        printf("\t%.4f\t", (double)scores[i].score);
        print_text(text, 100);
        putchar('\n');
    }
}

/* Nine digits tell every float from its neighbours. */
static void print_vector(const float *values, size_t count)
{
    putchar('[');
    for (size_t i = 0; i < count; i++)
        printf(i ? ", %.9g" : "%.9g", (double)values[i]);
    putchar(']');
}

static void print_features_json(const tuff_features *features, size_t columns, bool tokens)
{
    if (tokens)
        putchar('[');
    for (size_t row = 0; row < features->rows; row++) {
        if (row)
            fputs(", ", stdout);
        print_vector(features->values + row * columns, columns);
    }
    puts(tokens ? "]" : "");
}

/* The first numbers of the first vector, and how many there are. */
static void print_features(const tuff_text *text, const tuff_features *features, size_t columns)
{
    enum { SHOWN = 6 };
    printf("[%zu, %zu]", features->rows, columns);
    for (size_t i = 0; i < columns && i < SHOWN; i++)
        printf(" %.5f", (double)features->values[i]);
    fputs(columns > SHOWN ? " ...\t" : "\t", stdout);
    print_text(text, 100);
    putchar('\n');
}

/* -- which text it was -------------------------------------------------------------------------------------------- */

/* Runs one text alone. */
typedef tuff_status (*run_one)(void *pipeline, const tuff_text *text, const tuff_text *pair);

static tuff_status classify_one(void *pipeline, const tuff_text *text, const tuff_text *pair)
{
    tuff_label_score *scores = tuff__calloc(tuff_text_classification_top_k(pipeline), sizeof *scores);
    if (!scores)
        return tuff__fail_memory("scores", sizeof *scores);
    const tuff_status status = tuff_text_classification_run(pipeline, text, pair, 1, scores);
    tuff__free(scores);
    return status;
}

static tuff_status extract_one(void *pipeline, const tuff_text *text, const tuff_text *pair)
{
    tuff_features features;
    const tuff_status status = tuff_feature_extraction_run(pipeline, text, pair, 1, &features);
    tuff_free(features.values);
    return status;
}

/* A chunk has failed: names the text of it that fails alone too, by its place in the file or on the command line. */
static tuff_status fail_text(run_one run, void *pipeline, const run_inputs *inputs, size_t first, size_t count,
                             tuff_status status)
{
    for (size_t i = first; i < first + count && inputs->count > 1; i++) {
        const tuff_status alone = run(pipeline, &inputs->texts[i], inputs->pairs ? &inputs->pairs[i] : NULL);
        if (alone != TUFF_SUCCESS && inputs->table)
            return tuff__fail(alone, "%s: %s %zu: %s", tuff__table_path(inputs->table),
                              tuff__table_line_word(inputs->table), tuff__table_line(inputs->table, i),
                              tuff_last_error());
        if (alone != TUFF_SUCCESS)
            return tuff__fail(alone, "text %zu: %s", i + 1, tuff_last_error());
    }
    return status;
}

/* -- tasks -------------------------------------------------------------------------------------------------------- */

static tuff_status classify_chunk(tuff_text_classification *pipeline, const run_inputs *inputs, size_t first,
                                  size_t count, bool json)
{
    const size_t top_k = tuff_text_classification_top_k(pipeline);
    const tuff_text *texts = inputs->texts + first, *pairs = inputs->pairs ? inputs->pairs + first : NULL;
    tuff_label_score *scores = tuff__calloc(count * top_k, sizeof *scores);
    if (!scores)
        return tuff__fail_memory("scores", count * top_k * sizeof *scores);
    tuff_status status = tuff_text_classification_run(pipeline, texts, pairs, count, scores);
    if (status != TUFF_SUCCESS)
        status = fail_text(classify_one, pipeline, inputs, first, count, status);
    for (size_t i = 0; i < count && status == TUFF_SUCCESS; i++) {
        if (json)
            status = print_scores_json(scores + i * top_k, top_k);
        else
            print_scores(&texts[i], scores + i * top_k, top_k);
    }
    tuff__free(scores);
    return status == TUFF_SUCCESS ? tuff__check_output() : status;
}

static tuff_status run_text_classification(tuff_device *device, const char *dir, const run_options *options,
                                           const run_inputs *inputs)
{
    tuff_text_classification *pipeline = NULL;
    tuff_text_classification_info info = {
        .top_k = (uint32_t)options->top_k,
        .max_length = (uint32_t)options->max_length,
        .batch_size = (uint32_t)options->batch_size,
    };
    for (size_t i = 0; options->function_to_apply && i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, options->function_to_apply) == 0)
            info.function_to_apply = functions[i].function;
    tuff_status status = tuff_text_classification_create(device, dir, &info, &pipeline);
    for (size_t first = 0; first < inputs->count && status == TUFF_SUCCESS; first += CHUNK) {
        const size_t left = inputs->count - first;
        status = classify_chunk(pipeline, inputs, first, left < CHUNK ? left : CHUNK, options->json);
    }
    tuff_text_classification_destroy(pipeline);
    return status;
}

static tuff_status extract_chunk(tuff_feature_extraction *pipeline, const run_inputs *inputs, size_t first,
                                 size_t count, bool json)
{
    const size_t columns = tuff_feature_extraction_dimension(pipeline);
    const bool tokens = tuff_feature_extraction_pooling(pipeline) == TUFF_POOLING_NONE;
    const tuff_text *texts = inputs->texts + first, *pairs = inputs->pairs ? inputs->pairs + first : NULL;
    tuff_features *features = tuff__calloc(count, sizeof *features);
    if (!features)
        return tuff__fail_memory("features", count * sizeof *features);
    tuff_status status = tuff_feature_extraction_run(pipeline, texts, pairs, count, features);
    if (status != TUFF_SUCCESS)
        status = fail_text(extract_one, pipeline, inputs, first, count, status);
    for (size_t i = 0; i < count && status == TUFF_SUCCESS; i++) {
        if (json)
            print_features_json(&features[i], columns, tokens);
        else
            print_features(&texts[i], &features[i], columns);
    }
    for (size_t i = 0; i < count; i++)
        tuff_free(features[i].values);
    tuff__free(features);
    return status == TUFF_SUCCESS ? tuff__check_output() : status;
}

static tuff_status run_feature_extraction(tuff_device *device, const char *dir, const run_options *options,
                                          const run_inputs *inputs)
{
    tuff_feature_extraction *pipeline = NULL;
    tuff_feature_extraction_info info = {
        .normalize = options->normalize      ? TUFF_NORMALIZE_YES
                     : options->no_normalize ? TUFF_NORMALIZE_NO
                                             : TUFF_NORMALIZE_DEFAULT,
        .max_length = (uint32_t)options->max_length,
        .batch_size = (uint32_t)options->batch_size,
    };
    for (size_t i = 0; options->pooling && i < sizeof poolings / sizeof *poolings; i++)
        if (strcmp(poolings[i].name, options->pooling) == 0)
            info.pooling = poolings[i].pooling;
    tuff_status status = tuff_feature_extraction_create(device, dir, &info, &pipeline);
    size_t chunk = CHUNK;
    if (status == TUFF_SUCCESS && tuff_feature_extraction_pooling(pipeline) == TUFF_POOLING_NONE)
        chunk = TOKEN_CHUNK;
    for (size_t first = 0; first < inputs->count && status == TUFF_SUCCESS; first += chunk) {
        const size_t left = inputs->count - first;
        status = extract_chunk(pipeline, inputs, first, left < chunk ? left : chunk, options->json);
    }
    tuff_feature_extraction_destroy(pipeline);
    return status;
}

static const struct task {
    const char *name;
    tuff_status (*run)(tuff_device *device, const char *dir, const run_options *options, const run_inputs *inputs);
} tasks[] = {
    {"text-classification", run_text_classification},
    {"feature-extraction", run_feature_extraction},
};

static const struct task *find_task(const char *name)
{
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (strcmp(tasks[i].name, name) == 0)
            return &tasks[i];
    fprintf(stderr, "tuff: run: there is no task '%s', wanted text-classification or feature-extraction\n", name);
    return NULL;
}

/* Everything between the arguments and the exit code. The texts are read first: a typing error in a column's name
 * should not wait for the weights. */
static tuff_status run_task(const struct task *task, const char *model, const run_options *options,
                            const tuff__args *args)
{
    run_inputs inputs = {0};
    tuff_device *device = NULL;
    char *dir = NULL;
    tuff_status status = options->file
                             ? inputs_from_file(&inputs, options)
                             : inputs_from_arguments(&inputs, args->positionals + 2, args->positional_count - 2);
    if (status == TUFF_SUCCESS)
        status = tuff_model_find(model, &dir);
    if (status == TUFF_SUCCESS)
        status = tuff_device_create(&(tuff_device_create_info){.device = options->device}, &device);
    if (status == TUFF_SUCCESS)
        status = task->run(device, dir, options, &inputs);
    tuff_device_destroy(device);
    tuff_free(dir);
    inputs_destroy(&inputs);
    return status;
}

static int complain(const char *sentence)
{
    fprintf(stderr, "tuff: run: %s\n", sentence);
    return 2;
}

/* Options that would change nothing are refused: their writer believes that they do. */
static int check_options(const run_options *o, const struct task *task, size_t text_count)
{
    const bool classifies = task->run == run_text_classification;
    if ((text_count > 0) == (o->file != NULL))
        return complain(o->file ? "both are given, wanted texts or --file"
                                : "no text is given, wanted texts or --file");
    if (!o->file && (o->format_given || o->text_column_given || o->text_pair_column))
        return complain("--format, --text-column and --text-pair-column say how --file is read, and there is none");
    if (classifies && (o->pooling || o->normalize || o->no_normalize))
        return complain("--pooling, --normalize and --no-normalize are feature-extraction's, found with "
                        "text-classification");
    if (!classifies && (o->top_k || o->function_to_apply))
        return complain("--top-k and --function-to-apply are text-classification's, found with feature-extraction");
    if (o->normalize && o->no_normalize)
        return complain("--normalize and --no-normalize are both given");
    return -1;
}

int tuff__cmd_run(int argc, char **argv)
{
    run_options o = {.format = "auto", .text_column = "text"};
    /* clang-format off */
    const tuff__arg options[] = {
        {.name = "file", .value = &o.file, .metavar = "F",
         .help = "read the texts from this file, or from standard input for \"-\": one text a line, or a table"},
        {.name = "format", .kind = TUFF__ARG_CHOICE, .value = &o.format,
         .choices = "auto|text|csv|tsv|tsv-raw|jsonl|json", .given = &o.format_given,
         .help = "how the file is written, tsv-raw for quotes that are text (default: by its name's extension, else "
                 "one text a line)"},
        {.name = "text-column", .value = &o.text_column, .metavar = "NAME", .given = &o.text_column_given,
         .help = "the table's column with the texts (default: text)"},
        {.name = "text-pair-column", .value = &o.text_pair_column, .metavar = "NAME",
         .help = "the column with the second text of each pair (default: single texts)"},
        {.name = "max-length", .kind = TUFF__ARG_INT, .value = &o.max_length, .min = 1, .max = 1 << 20,
         .help = "cut texts to this many tokens (default: what the model was made for)"},
        {.name = "batch-size", .kind = TUFF__ARG_INT, .value = &o.batch_size, .min = 1, .max = 1 << 16,
         .help = "the most texts run at one time (default: 32)"},
        {.name = "top-k", .kind = TUFF__ARG_INT, .value = &o.top_k, .min = 1, .max = 1 << 20,
         .help = "text-classification: how many labels to print, best first (default: 1)"},
        {.name = "function-to-apply", .kind = TUFF__ARG_CHOICE, .value = &o.function_to_apply,
         .choices = "softmax|sigmoid|none",
         .help = "text-classification: from logits to scores (default: by the model's problem_type)"},
        {.name = "pooling", .kind = TUFF__ARG_CHOICE, .value = &o.pooling, .choices = "cls|mean|max|none",
         .help = "feature-extraction: how the tokens' vectors become one; none prints one a token (default: what the "
                 "folder's modules.json says, else none)"},
        {.name = "normalize", .kind = TUFF__ARG_FLAG, .value = &o.normalize,
         .help = "feature-extraction: scale each vector to length 1 (default: where modules.json says so and the "
                 "pooling is the folder's)"},
        {.name = "no-normalize", .kind = TUFF__ARG_FLAG, .value = &o.no_normalize,
         .help = "feature-extraction: leave each vector as long as it is, whatever modules.json says"},
        {.name = "device", .value = &o.device, .metavar = "NAME",
         .help = "cpu, reference, vulkan, vulkan:N or part of a Vulkan device's name (default: the best GPU, else "
                 "cpu)"},
        {.name = "json", .kind = TUFF__ARG_FLAG, .value = &o.json, .help = "print one line of JSON a text"},
        {0},
    };
    /* clang-format on */
    tuff__args args = {
        .command = "run",
        .usage = "TASK MODEL [TEXT...]",
        .summary = "Runs a model folder (or a repository id that is in the local Hugging Face cache) over texts. TASK "
                   "is text-classification or feature-extraction.",
        .epilogue = "  tuff run text-classification my-model \"a text\" \"another\"\n"
                    "  tuff run feature-extraction all-MiniLM-L6-v2 --file lines.txt --json",
        .options = options,
        .min_positionals = 2,
        .max_positionals = SIZE_MAX,
    };
    const int code = tuff__args_parse(&args, argc, argv);
    if (code >= 0)
        return code;
    const struct task *task = find_task(args.positionals[0]);
    if (!task)
        return 2;
    const int refused = check_options(&o, task, args.positional_count - 2);
    if (refused >= 0)
        return refused;
    return run_task(task, args.positionals[1], &o, &args) == TUFF_SUCCESS ? 0 : tuff__report_failure();
}
