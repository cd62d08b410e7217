/*
 * train.h: fine-tuning. Two levels: tuff_trainer makes one update from one batch of token ids and knows no file; and
 * tuff_train_text_classification does the whole job, from a table of texts to a saved Hugging Face folder.
 *
 * Names and meanings are those of transformers' TrainingArguments. Two runs with equal arguments on one device give
 * bitwise equal weights, logs and files.
 */
#ifndef TUFF_TRAIN_H
#define TUFF_TRAIN_H

#include "tuff/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tuff_lr_scheduler_type {
    TUFF_LR_SCHEDULER_LINEAR =
        0, /* update k, from 0, uses lr·k/warmup_steps, then lr·(total - k)/(total - warmup_steps) */
    TUFF_LR_SCHEDULER_COSINE = 1, /* warm-up as above, then half a cosine */
    TUFF_LR_SCHEDULER_CONSTANT = 2,
    TUFF_LR_SCHEDULER_CONSTANT_WITH_WARMUP = 3,
} tuff_lr_scheduler_type;

typedef enum tuff_interval_strategy {
    TUFF_INTERVAL_DEFAULT = 0,
    TUFF_INTERVAL_NO = 1,
    TUFF_INTERVAL_EPOCH = 2,
    TUFF_INTERVAL_STEPS = 3,
} tuff_interval_strategy;

/* -- one update at a time ----------------------------------------------------------------------------------------- */

typedef struct tuff_trainer tuff_trainer; /* weights, gradients and AdamW state on the device, and compiled graphs */

typedef struct tuff_trainer_create_info {
    double learning_rate; /* default (0): 5e-5 */
    double weight_decay;  /* of weights, not of biases and norms; default 0 */
    double adam_beta1;    /* default (0): 0.9 */
    double adam_beta2;    /* default (0): 0.999 */
    double adam_epsilon;  /* default (0): 1e-8 */
    double max_grad_norm; /* gradients are scaled down to this global norm; default (0): 1; negative: never */
    double dropout;       /* in place of every probability of config.json; default (0): config.json's; negative: none */
    double label_smoothing; /* of the loss, in evaluations too; default 0 */
    tuff_lr_scheduler_type lr_scheduler_type;
    uint64_t warmup_steps; /* default 0 */
    uint64_t total_steps;  /* where the schedule ends; must be given unless it is constant */
    uint64_t seed;         /* of dropout; default 0 */
    /* A smaller batch is filled up to this many rows, which do not count, so that it needs no graph of its own; default
     * (0): it is not. */
    uint32_t per_device_train_batch_size;
} tuff_trainer_create_info;

/* Rows of one batch, padded to max_length columns by the caller or shorter: row r has lengths[r] valid ids. */
typedef struct tuff_batch {
    size_t count;                  /* rows; at least 1 */
    size_t max_length;             /* columns of the arrays below */
    const int32_t *input_ids;      /* [count, max_length], from 0 to vocab_size - 1; from lengths[r] on not looked at */
    const int32_t *token_type_ids; /* the same, to type_vocab_size - 1, or NULL: all 0 */
    const int32_t *lengths;        /* [count], from 1 to max_length */
    const int32_t *labels;         /* [count], from 0 to num_labels - 1, or -100: not counted */
} tuff_batch;

typedef struct tuff_step_result {
    double loss;          /* mean over the counted rows, before the update */
    double grad_norm;     /* global, before clipping */
    double learning_rate; /* of this update */
    uint64_t step;        /* updates done, this one included */
} tuff_step_result;

/* Trains `model` (borrowed, and must outlive the trainer) in place, on its device: each step changes its weights. The
 * model must have a single-label sequence classification head. Errors: FEATURE_NOT_PRESENT for another head,
 * OUT_OF_DEVICE_MEMORY, INVALID_ARGUMENT for a setting outside its range, naming it, INVALID_FILE for a parameter that
 * is not finite, naming it. NULL `info` means all defaults. */
TUFF_API tuff_status tuff_trainer_create(tuff_model *model, const tuff_trainer_create_info *info,
                                         tuff_trainer **out_trainer);
TUFF_API void tuff_trainer_destroy(tuff_trainer *trainer);

/* One update from the mean gradient over all rows of `count` batches (gradient_accumulation_steps: more than one).
 * Compiles a graph the first time that a batch size and length bucket is met. A loss or gradient that is not finite
 * fails with INVALID_ARGUMENT and names the step; the weights are then of no use. */
TUFF_API tuff_status tuff_trainer_step(tuff_trainer *trainer, const tuff_batch *batches, size_t count,
                                       tuff_step_result *out_result);

/* -- from a table of texts to a saved folder ---------------------------------------------------------------------- */

typedef enum tuff_train_sampling_strategy {
    TUFF_TRAIN_SAMPLING_RANDOM = 0,     /* a new order each epoch, from seed and epoch */
    TUFF_TRAIN_SAMPLING_SEQUENTIAL = 1, /* the order of the file */
} tuff_train_sampling_strategy;

typedef enum tuff_metric_for_best_model {
    TUFF_METRIC_LOSS = 0, /* the lowest; the others: the highest */
    TUFF_METRIC_ACCURACY = 1,
    TUFF_METRIC_F1 = 2,
} tuff_metric_for_best_model;

typedef enum tuff_training_event_type {
    TUFF_TRAINING_BEGIN = 0,        /* everything is read; the first step comes next */
    TUFF_TRAINING_STEP = 1,         /* an update is done */
    TUFF_TRAINING_LOG = 2,          /* a line of training figures went to the log */
    TUFF_TRAINING_EVALUATE = 3,     /* a line of evaluation figures went to the log */
    TUFF_TRAINING_SAVE = 4,         /* the output folder is in place */
    TUFF_TRAINING_MEMORY = 5,       /* the first event: the memory needed is known, and nothing is taken yet */
    TUFF_TRAINING_EVALUATE_ROW = 6, /* a held-out row is classified */
} tuff_training_event_type;

typedef struct tuff_training_event {
    tuff_training_event_type type;
    uint64_t step, total_steps; /* updates done, and wanted in all */
    double epoch;
    double loss;                             /* of the evaluation; else the mean since the log line before */
    double grad_norm, learning_rate;         /* of the latest step */
    double accuracy, macro_f1;               /* of the evaluation */
    double samples_per_second, seconds_left; /* of training alone; 0 before the first step */
    uint64_t train_rows, eval_rows, parameter_count;
    tuff_memory_estimate memory; /* of the device, with the largest batch */
    bool random_weights;         /* the model folder had no weights */
    const char *output_dir;
} tuff_training_event;
/* Called on the thread that trains; `event` is valid for the call. Returning false ends the training early: what was
 * saved stays, and no more is saved. */
typedef bool (*tuff_training_event_fn)(void *user, const tuff_training_event *event);

typedef struct tuff_training_arguments {
    const char *model;            /* folder: config.json, tokenizer, weights or none of them; must be given */
    const char *train_file;       /* CSV, TSV or JSON Lines; must be given */
    const char *eval_file;        /* default: none, nothing is evaluated */
    const char *format;           /* of both files: csv, tsv, tsv-raw, jsonl, json; default: by each one's suffix */
    const char *text_column;      /* default: "text" */
    const char *text_pair_column; /* default: none */
    const char *label_column;     /* default: "label" */
    const char *output_dir;       /* must be given; written once training succeeded */
    uint64_t max_train_samples, max_eval_samples; /* first rows of the files; default (0): all. The labels
                                                    are those of all rows */
    uint32_t max_length; /* tokens a text is cut to; default (0): what the tokenizer and the model take */
    bool random_weights; /* initialise every weight by the field's rule; default: only without any file of them */

    uint32_t per_device_train_batch_size, per_device_eval_batch_size; /* default (0): 8 */
    uint32_t gradient_accumulation_steps; /* batches to one update, with the mean over all their rows; default (0): 1 */
    double num_train_epochs;              /* default (0): 3 */
    uint64_t max_steps;                   /* updates in all, instead of epochs; default (0): by epochs */
    double warmup_steps;                  /* from 1 up: a count; below 1: a share of all steps */
    double warmup_ratio;                  /* the older way to say the share, where warmup_steps is 0 */
    tuff_trainer_create_info trainer;     /* learning_rate, ...; its steps and batch sizes are set from the above */
    tuff_train_sampling_strategy train_sampling_strategy;
    bool dataloader_drop_last; /* leave out an epoch's last batch where it is not full */
    uint64_t seed;             /* of new weights, order and dropout; default 0 */

    /* Three defaults differ from TrainingArguments': a run of a minute should draw a curve (there logging_steps is
     * 500), held-out rows are given to be looked at (there eval_strategy is no), and output_dir is one model that the
     * end writes, not a folder of checkpoints (there save_strategy is steps). */
    tuff_interval_strategy logging_strategy; /* default: steps */
    uint64_t logging_steps;                  /* default (0): 10 */
    tuff_interval_strategy eval_strategy;    /* default: epoch where there is an eval_file, else no; needs one */
    uint64_t eval_steps;                     /* default (0): logging_steps */
    tuff_interval_strategy save_strategy;    /* when output_dir is replaced besides at the end; default: no */
    uint64_t save_steps;                     /* default (0): 500 */
    bool load_best_model_at_end;             /* save the weights of the best evaluation instead of the last */
    tuff_metric_for_best_model metric_for_best_model;

    tuff_training_event_fn on_event; /* default: none */
    void *on_event_user;
} tuff_training_arguments;

typedef struct tuff_training_result {
    uint64_t steps;
    bool complete;        /* false: on_event ended it early */
    uint64_t saved_steps; /* updates behind what is in output_dir; 0: nothing was saved, it is as it was */
    double train_loss;    /* mean over all steps */
    bool evaluated;       /* the figures below are of the weights that were saved, where they were evaluated */
    double eval_loss, eval_accuracy, eval_f1;
    double train_seconds, train_samples_per_second; /* without evaluation and saving */
} tuff_training_result;

/* Fine-tunes a single-label text classifier. Labels are names: those of config.json's id2label where all of the
 * training file's are among them, else the training file's, sorted (as numbers where all are whole numbers); the head
 * is kept, with a warning, where it has as many, and new elsewhere.
 *
 * output_dir receives model.safetensors, config.json with id2label, the tokenizer's files, log.jsonl (one object for
 * each logged step and evaluation) and log.html (the same drawn, with the confusion matrix); it is written aside and
 * renamed, so that a kill or a failure leaves an earlier one as it was. An output_dir that holds files and is no
 * model's folder is refused, as is one that cannot be renamed, a file system's root, and that before anything is read;
 * of a link, the folder it leads to is replaced. Should nothing but the last renaming fail, the new folder stays aside
 * and the sentence names it. While training, the log grows in OUTPUT_DIR.log-<process id>.jsonl, which a failure and an
 * early end remove and a kill leaves: the next training to that folder warns of it.
 *
 * Errors: those of loading; INVALID_FILE naming file, line and value for a label that the table of labels does not
 * have, and for a weight that is not finite; INVALID_ARGUMENT for arguments that make no sense and for a loss that is
 * not finite; OUT_OF_DEVICE_MEMORY, before anything is taken, where the device has less than the computed need: what is
 * wanted, there and missing, and what to lower. */
TUFF_API tuff_status tuff_train_text_classification(tuff_device *device, const tuff_training_arguments *arguments,
                                                    tuff_training_result *out_result);

#ifdef __cplusplus
}
#endif

#endif
