/* train.c: `tuff train`: arguments in, progress out. What training does is in runtime/train. */
#include "args.h"

#include "os.h"
#include "tuff/train.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

typedef struct train_options {
    tuff_training_arguments arguments;
    const char *task, *device;
    const char *lr_scheduler_type, *train_sampling_strategy, *metric_for_best_model;
    const char *logging_strategy, *eval_strategy, *save_strategy;
    int64_t train_batch, eval_batch, accumulation, max_steps, max_length, seed;
    int64_t logging_steps, eval_steps, save_steps, max_train_samples, max_eval_samples;
    double dropout;
    bool dropout_given;
} train_options;

/* -- progress ----------------------------------------------------------------------------------------------------- */

typedef struct progress {
    bool terminal;
    bool open;     /* a progress line stands on the terminal, without its newline */
    double latest; /* when it was drawn */
    const char *model, *device_name;
} progress;

static const char *duration(double seconds, char text[32])
{
    const uint64_t whole = seconds > 0 ? (uint64_t)(seconds + 0.5) : 0;
    if (whole >= 3600)
        snprintf(text, 32, "%llu:%02llu:%02llu", (unsigned long long)(whole / 3600),
                 (unsigned long long)(whole / 60 % 60), (unsigned long long)(whole % 60));
    else
        snprintf(text, 32, "%llu:%02llu", (unsigned long long)(whole / 60), (unsigned long long)(whole % 60));
    return text;
}

static void close_line(progress *p)
{
    if (p->open)
        printf("\r\033[K");
    p->open = false;
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

static void print_memory(const progress *p, const tuff_memory_estimate *memory)
{
    printf("memory needed on %s: %.1f MiB (weights %.1f, gradients %.1f, AdamW %.1f, activations %.1f)\n",
           p->device_name, mebibytes(memory->total), mebibytes(memory->weights), mebibytes(memory->gradients),
           mebibytes(memory->optimizer), mebibytes(memory->activations));
}

static void print_begin(const progress *p, const tuff_training_event *event)
{
    printf("training on %s: %llu rows", p->device_name, (unsigned long long)event->train_rows);
    if (event->eval_rows)
        printf(", %llu for evaluation", (unsigned long long)event->eval_rows);
    printf(", %.1f M parameters, %llu updates\n", (double)event->parameter_count / 1e6,
           (unsigned long long)event->total_steps);
    if (event->random_weights)
        printf("every weight starts at random: %s\n", p->model);
}

static void print_step(progress *p, const tuff_training_event *event)
{
    char line[256], left[32];
    snprintf(line, sizeof line, "%3.0f%%  step %llu/%llu  epoch %.2f  loss %.4f  lr %.3g  %.1f samples/s  %s left",
             100.0 * (double)event->step / (double)event->total_steps, (unsigned long long)event->step,
             (unsigned long long)event->total_steps, event->epoch, event->loss, event->learning_rate,
             event->samples_per_second, duration(event->seconds_left, left));
    if (!p->terminal) {
        printf("%s\n", line);
        return;
    }
    const uint32_t columns = tuff__terminal_columns(stdout);
    printf("\r%.*s\033[K", columns > 1 ? (int)columns - 1 : 1, line);
    p->open = true;
    p->latest = tuff__clock_seconds();
}

static bool on_event(void *user, const tuff_training_event *event)
{
    progress *p = user;
    switch (event->type) {
    case TUFF_TRAINING_MEMORY:
        print_memory(p, &event->memory);
        break;
    case TUFF_TRAINING_BEGIN:
        tuff__interrupt_watch(); /* from here on something lies aside; until now a signal ended all at once */
        print_begin(p, event);
        break;
    case TUFF_TRAINING_STEP:
        /* Ten times a second is as often as anyone reads. A file gets the logged steps alone. */
        if (p->terminal && tuff__clock_seconds() - p->latest > 0.1)
            print_step(p, event);
        break;
    case TUFF_TRAINING_LOG:
        if (!p->terminal)
            print_step(p, event);
        break;
    case TUFF_TRAINING_EVALUATE:
        close_line(p);
        printf("epoch %.2f  step %llu  eval_loss %.4f  accuracy %.2f %%  macro F1 %.2f %%\n", event->epoch,
               (unsigned long long)event->step, event->loss, 100 * event->accuracy, 100 * event->macro_f1);
        break;
    case TUFF_TRAINING_SAVE:
        close_line(p);
        printf("step %llu  saved %s\n", (unsigned long long)event->step, event->output_dir);
        break;
    case TUFF_TRAINING_EVALUATE_ROW:
        break;
    }
    if (event->type != TUFF_TRAINING_EVALUATE_ROW)
        fflush(stdout);
    return !tuff__interrupted();
}

static void print_result(const tuff_training_result *result)
{
    char time[32];
    printf("trained %llu updates in %s: %.1f samples/s, mean loss %.4f\n", (unsigned long long)result->steps,
           duration(result->train_seconds, time), result->train_samples_per_second, result->train_loss);
    if (result->evaluated)
        printf("saved weights: eval_loss %.4f, accuracy %.2f %%, macro F1 %.2f %%\n", result->eval_loss,
               100 * result->eval_accuracy, 100 * result->eval_f1);
}

static void report_interrupt(const train_options *o, const tuff_training_result *result)
{
    const char *folder = o->arguments.output_dir;
    fflush(stdout);
    fprintf(stderr, "tuff train: interrupted after %llu updates; ", (unsigned long long)result->steps);
    if (result->saved_steps)
        fprintf(stderr, "%s has what was saved after %llu\n", folder, (unsigned long long)result->saved_steps);
    else
        fprintf(stderr, "nothing was saved, %s is as it was\n", folder);
}

/* -- arguments ---------------------------------------------------------------------------------------------------- */

static tuff_interval_strategy interval(const char *name)
{
    if (!name)
        return TUFF_INTERVAL_DEFAULT;
    return !strcmp(name, "no") ? TUFF_INTERVAL_NO : !strcmp(name, "epoch") ? TUFF_INTERVAL_EPOCH : TUFF_INTERVAL_STEPS;
}

static tuff_lr_scheduler_type scheduler(const char *name)
{
    if (!strcmp(name, "cosine"))
        return TUFF_LR_SCHEDULER_COSINE;
    if (!strcmp(name, "constant"))
        return TUFF_LR_SCHEDULER_CONSTANT;
    return !strcmp(name, "linear") ? TUFF_LR_SCHEDULER_LINEAR : TUFF_LR_SCHEDULER_CONSTANT_WITH_WARMUP;
}

/* What the options say, as the library wants it. The command's own defaults are TrainingArguments': a 0 that the user
 * wrote is a 0, where the library's structs would take it for "default". */
static void fill_arguments(train_options *o)
{
    tuff_training_arguments *a = &o->arguments;
    a->per_device_train_batch_size = (uint32_t)o->train_batch;
    a->per_device_eval_batch_size = (uint32_t)o->eval_batch;
    a->gradient_accumulation_steps = (uint32_t)o->accumulation;
    a->max_steps = o->max_steps > 0 ? (uint64_t)o->max_steps : 0;
    a->max_length = (uint32_t)o->max_length;
    a->seed = (uint64_t)o->seed;
    a->max_train_samples = (uint64_t)o->max_train_samples;
    a->max_eval_samples = (uint64_t)o->max_eval_samples;
    a->logging_steps = (uint64_t)o->logging_steps;
    a->eval_steps = (uint64_t)o->eval_steps;
    a->save_steps = (uint64_t)o->save_steps;
    a->logging_strategy = interval(o->logging_strategy);
    a->eval_strategy = interval(o->eval_strategy);
    a->save_strategy = interval(o->save_strategy);
    a->trainer.lr_scheduler_type = scheduler(o->lr_scheduler_type);
    a->trainer.max_grad_norm = a->trainer.max_grad_norm > 0 ? a->trainer.max_grad_norm : -1;
    a->trainer.dropout = !o->dropout_given ? 0 : o->dropout > 0 ? o->dropout : -1;
    a->train_sampling_strategy =
        strcmp(o->train_sampling_strategy, "random") ? TUFF_TRAIN_SAMPLING_SEQUENTIAL : TUFF_TRAIN_SAMPLING_RANDOM;
    const char *metric = o->metric_for_best_model ? o->metric_for_best_model : "loss";
    a->metric_for_best_model = !strcmp(metric, "accuracy") ? TUFF_METRIC_ACCURACY
                               : !strcmp(metric, "f1")     ? TUFF_METRIC_F1
                                                           : TUFF_METRIC_LOSS;
}

static int require(const char *name, const char *value)
{
    if (value)
        return -1;
    fprintf(stderr, "tuff train: --%s is missing (tuff train --help)\n", name);
    return 2;
}

static bool is_steps(const char *strategy)
{
    return strategy && !strcmp(strategy, "steps");
}

/* Options that would change nothing are refused: their writer believes that they do. */
static int check_options(const train_options *o)
{
    const char *sentence = NULL;
    if (o->eval_steps && !is_steps(o->eval_strategy))
        sentence = "--eval-steps goes with --eval-strategy steps";
    else if (o->save_steps && !is_steps(o->save_strategy))
        sentence = "--save-steps goes with --save-strategy steps";
    else if (o->metric_for_best_model && !o->arguments.load_best_model_at_end)
        sentence = "--metric-for-best-model goes with --load-best-model-at-end";
    else if (o->max_eval_samples && !o->arguments.eval_file)
        sentence = "--max-eval-samples goes with --eval";
    if (!sentence)
        return -1;
    fprintf(stderr, "tuff train: %s (tuff train --help)\n", sentence);
    return 2;
}

static int run(train_options *o)
{
    progress p = {.terminal = tuff__is_terminal(stdout), .model = o->arguments.model};
    tuff_device *device = NULL;
    tuff_training_result result;
    fill_arguments(o);
    tuff__closed_pipes_fail(); /* the folder is what is wanted: it does not depend on who reads along */
    o->arguments.on_event = on_event;
    o->arguments.on_event_user = &p;
    if (tuff_device_create(&(tuff_device_create_info){.device = o->device}, &device) != TUFF_SUCCESS)
        return tuff__report_failure();
    p.device_name = tuff_device_get_properties(device)->name;
    const tuff_status status = tuff_train_text_classification(device, &o->arguments, &result);
    close_line(&p);
    int code = 0;
    if (status != TUFF_SUCCESS)
        code = tuff__report_failure();
    else if (result.complete)
        print_result(&result);
    else
        report_interrupt(o, &result);
    tuff_device_destroy(device);
    return status == TUFF_SUCCESS && !result.complete ? tuff__interrupt_end() : code;
}

/* The options, with the names and defaults of transformers' TrainingArguments and run_classification.py. A row without
 * help is a second name of the row above it. Each function adds its rows and returns how many. */
static size_t data_options(train_options *o, tuff__arg *out_options)
{
    tuff_training_arguments *a = &o->arguments;
    const double most = 1e9;
    const tuff__arg options[] = {
        {"task", TUFF__ARG_CHOICE, &o->task, .choices = "text-classification",
         .help = "what is trained (default: text-classification)"},
        {"model", TUFF__ARG_STRING, &a->model, .metavar = "DIR",
         .help = "folder with config.json and a tokenizer; without weights in it, all start at random"},
        {"model-name-or-path", TUFF__ARG_STRING, &a->model, .help = NULL},
        {"train", TUFF__ARG_STRING, &a->train_file, .metavar = "FILE",
         .help = "training rows: .csv, .tsv, .jsonl or .json"},
        {"train-file", TUFF__ARG_STRING, &a->train_file, .help = NULL},
        {"eval", TUFF__ARG_STRING, &a->eval_file, .metavar = "FILE", .help = "held-out rows (default: none)"},
        {"eval-file", TUFF__ARG_STRING, &a->eval_file, .help = NULL},
        {"validation-file", TUFF__ARG_STRING, &a->eval_file, .help = NULL},
        {"format", TUFF__ARG_CHOICE, &a->format, .choices = "auto|csv|tsv|tsv-raw|jsonl|json",
         .help = "how both files are written, tsv-raw for quotes that are text (default: by each name's extension)"},
        {"text-column", TUFF__ARG_STRING, &a->text_column, .help = "column of the text (default: text)"},
        {"text-pair-column", TUFF__ARG_STRING, &a->text_pair_column,
         .help = "column of a second text (default: single texts)"},
        {"label-column", TUFF__ARG_STRING, &a->label_column, .help = "column of the label's name (default: label)"},
        {"output-dir", TUFF__ARG_STRING, &a->output_dir, .metavar = "DIR",
         .help = "folder for the model, log.jsonl and log.html; written once training has succeeded"},
        {"output", TUFF__ARG_STRING, &a->output_dir, .help = NULL},
        {"device", TUFF__ARG_STRING, &o->device, .metavar = "NAME",
         .help = "cpu, reference, vulkan, vulkan:N or part of a name (default: the best Vulkan GPU, else cpu)"},
        {"random-weights", TUFF__ARG_FLAG, &a->random_weights,
         .help = "initialise every weight from config.json, though the folder has some"},
        {"max-length", TUFF__ARG_INT, &o->max_length, .min = 1, .max = 1e6,
         .help = "tokens a text is cut to (default: what tokenizer and model take)"},
        {"max-train-samples", TUFF__ARG_INT, &o->max_train_samples, .min = 1, .max = most,
         .help = "use the first N training rows (default: all); the labels are those of all rows"},
        {"max-eval-samples", TUFF__ARG_INT, &o->max_eval_samples, .min = 1, .max = most,
         .help = "use the first N held-out rows (default: all)"},
    };
    memcpy(out_options, options, sizeof options);
    return sizeof options / sizeof options[0];
}

static size_t update_options(train_options *o, tuff__arg *out_options)
{
    tuff_training_arguments *a = &o->arguments;
    tuff_trainer_create_info *t = &a->trainer;
    const double many = 9e15;
    const tuff__arg options[] = {
        {"per-device-train-batch-size", TUFF__ARG_INT, &o->train_batch, .min = 1, .max = 65536,
         .help = "rows of a batch (default: 8)"},
        {"per-device-eval-batch-size", TUFF__ARG_INT, &o->eval_batch, .min = 1, .max = 65536,
         .help = "rows of a batch in evaluation (default: 8)"},
        {"gradient-accumulation-steps", TUFF__ARG_INT, &o->accumulation, .min = 1, .max = 65536,
         .help =
             "batches to one update, which follows the mean over all their rows, as do the loss and grad_norm that are "
             "logged (default: 1; transformers 5.24 logs N times that for BERT where no label is smoothed)"},
        {"learning-rate", TUFF__ARG_FLOAT, &t->learning_rate, .min = 1e-30, .max = 1e6,
         .help = "the highest rate (default: 5e-5)"},
        {"weight-decay", TUFF__ARG_FLOAT, &t->weight_decay, .min = 0, .max = 1e6,
         .help = "AdamW's, on all but biases and norms (default: 0)"},
        {"adam-beta1", TUFF__ARG_FLOAT, &t->adam_beta1, .min = 1e-9, .max = 0.9999999,
         .help = "decay of the mean of gradients (default: 0.9)"},
        {"adam-beta2", TUFF__ARG_FLOAT, &t->adam_beta2, .min = 1e-9, .max = 0.9999999,
         .help = "decay of the mean of their squares (default: 0.999)"},
        {"adam-epsilon", TUFF__ARG_FLOAT, &t->adam_epsilon, .min = 1e-30, .max = 1e6,
         .help = "added to the root of that mean (default: 1e-8)"},
        {"max-grad-norm", TUFF__ARG_FLOAT, &t->max_grad_norm, .min = 0, .max = 1e30,
         .help = "gradients are scaled down to this global norm, 0: never (default: 1)"},
        {"label-smoothing-factor", TUFF__ARG_FLOAT, &t->label_smoothing, .min = 0, .max = 0.999,
         .help = "share of the target spread over all labels (default: 0)"},
        {"dropout", TUFF__ARG_FLOAT, &o->dropout, .min = 0, .max = 0.999, .given = &o->dropout_given,
         .help = "in place of every dropout probability (default: config.json's)"},
        {"num-train-epochs", TUFF__ARG_FLOAT, &a->num_train_epochs, .min = 1e-6, .max = 1e6,
         .help = "passes over the training rows (default: 3)"},
        {"max-steps", TUFF__ARG_INT, &o->max_steps, .min = -1, .max = many,
         .help = "updates in all, instead of epochs (default: -1, by epochs)"},
        {"lr-scheduler-type", TUFF__ARG_CHOICE, &o->lr_scheduler_type,
         .choices = "linear|cosine|constant|constant_with_warmup",
         .help = "how the rate goes on after the warm-up (default: linear)"},
        {"warmup-steps", TUFF__ARG_FLOAT, &a->warmup_steps, .min = 0, .max = many,
         .help = "updates in which the rate rises; below 1 a share of all updates (default: 0)"},
        {"warmup-ratio", TUFF__ARG_FLOAT, &a->warmup_ratio, .min = 0, .max = 1,
         .help = "the same as a share of all updates (default: 0)"},
        {"train-sampling-strategy", TUFF__ARG_CHOICE, &o->train_sampling_strategy, .choices = "random|sequential",
         .help = "order of the training rows (default: random, another each epoch)"},
        {"dataloader-drop-last", TUFF__ARG_FLAG, &a->dataloader_drop_last,
         .help = "leave out the last batch of an epoch where it is not full; evaluation leaves out none"},
        {"seed", TUFF__ARG_INT, &o->seed, .min = 0, .max = many,
         .help = "of new weights, order and dropout (default: 42)"},
    };
    memcpy(out_options, options, sizeof options);
    return sizeof options / sizeof options[0];
}

static size_t interval_options(train_options *o, tuff__arg *out_options)
{
    tuff_training_arguments *a = &o->arguments;
    const double many = 9e15;
    const tuff__arg options[] = {
        {"logging-strategy", TUFF__ARG_CHOICE, &o->logging_strategy, .choices = "no|epoch|steps",
         .help = "when a line of log.jsonl is due; unless no, the last update has one too (default: steps)"},
        {"logging-steps", TUFF__ARG_INT, &o->logging_steps, .min = 1, .max = many,
         .help = "updates from one line to the next (default: 10; TrainingArguments' is 500, where a short run draws "
                 "no curve)"},
        {"eval-strategy", TUFF__ARG_CHOICE, &o->eval_strategy, .choices = "no|epoch|steps",
         .help = "when the held-out rows are classified (default: epoch where --eval is given; TrainingArguments' is "
                 "no)"},
        {"eval-steps", TUFF__ARG_INT, &o->eval_steps, .min = 1, .max = many,
         .help = "with --eval-strategy steps: updates from one evaluation to the next (default: --logging-steps)"},
        {"save-strategy", TUFF__ARG_CHOICE, &o->save_strategy, .choices = "no|epoch|steps",
         .help = "when the output is written besides at the end (default: no; TrainingArguments' is steps, which there "
                 "fills a folder of checkpoints)"},
        {"save-steps", TUFF__ARG_INT, &o->save_steps, .min = 1, .max = many,
         .help = "with --save-strategy steps: updates from one saving to the next (default: 500)"},
        {"load-best-model-at-end", TUFF__ARG_FLAG, &a->load_best_model_at_end,
         .help = "save the weights of the best evaluation, not the last"},
        {"metric-for-best-model", TUFF__ARG_CHOICE, &o->metric_for_best_model, .choices = "loss|accuracy|f1",
         .help = "with --load-best-model-at-end: what the best is judged by (default: loss)"},
    };
    memcpy(out_options, options, sizeof options);
    return sizeof options / sizeof options[0];
}

int tuff__cmd_train(int argc, char **argv)
{
    train_options o = {
        .task = "text-classification",
        .lr_scheduler_type = "linear",
        .train_sampling_strategy = "random",
        .train_batch = 8,
        .eval_batch = 8,
        .accumulation = 1,
        .max_steps = -1,
        .seed = 42,
        .arguments.trainer.max_grad_norm = 1,
    };
    tuff__arg options[64] = {{.name = NULL}}; /* what is left ends the table */
    size_t count = data_options(&o, options);
    count += update_options(&o, options + count);
    count += interval_options(&o, options + count);
    assert(count < sizeof options / sizeof options[0]);
    tuff__args args = {
        .command = "train",
        .usage = "--model DIR --train FILE --output-dir DIR",
        .summary = "Fine-tunes a text classifier and saves it as a Hugging Face folder. Options are those of "
                   "transformers' TrainingArguments, with dashes or underscores; where a default is another, it "
                   "says so.",
        .epilogue = "Example:\n  tuff train --model bert-base --train train.csv --eval dev.csv --text-column title "
                    "--label-column topic --output-dir out --learning-rate 3e-5",
        .options = options,
    };
    int code = tuff__args_parse(&args, argc, argv);
    code = code >= 0 ? code : require("model", o.arguments.model);
    code = code >= 0 ? code : require("train", o.arguments.train_file);
    code = code >= 0 ? code : require("output-dir", o.arguments.output_dir);
    code = code >= 0 ? code : check_options(&o);
    return code >= 0 ? code : run(&o);
}
