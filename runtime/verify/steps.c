/*
 * steps.c: owns the last part of `tuff verify --train`: several whole steps on the device beside the same steps on the
 * reference. Where they differ by more than most models make of rounding, the model itself is asked: the reference
 * takes the same steps again from weights that are moved by one unit in their last place.
 */
#include "verification.h"

#include "../model/model.h"
#include "../train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Allowances of whole steps, in units of 2^-23 (docs/numerics.md says where they come from). A step's rounding errors
 * pass through every layer twice and are then carried on by the weights, so they are wider than an operator's.
 */
static const double unit = 0x1p-23;
static const double loss_allowance = 64, norm_allowance = 512, gradient_allowance = 2048, parameter_allowance = 512;

/* AdamW's step is sure to 1/8 of itself where the gradient is this many of its allowances; below it is not judged. */
static const double decided_from = 8;

/* A tensor whose largest gradient is less than this many units of the model's largest is 0 but for rounding, and may be
 * off by as much: the queries and keys of a sequence of one token, of which softmax makes 1 whatever they are. */
static const double noise_allowance = 256;

/* What is allowed besides, in multiples of how far the reference moved. The largest of three moves counts, because
 * where an activation has a kink one alone may miss it. */
static const double moves_allowed = 64;
enum { MOVES = 3 };

/* A step whose loss or gradient norm moves by more than this share of itself, and all that follow it, are not judged:
 * there one rounding decides where the training goes. */
static const double most_moved = 0x1p-12;

/* One side of the comparison: a model of its own, trained from the folder's weights. */
typedef struct side {
    tuff_model *model;
    tuff_trainer *trainer;
} side;

/* What a side came to. Arrays of floats are laid out as the model's arena. */
typedef struct outcome {
    double *losses, *norms; /* [steps] */
    float *gradient;        /* of the latest step */
    float *weights;         /* after all */
} outcome;

/* How far the reference's own results moved; zeros until that is asked. */
typedef struct sensitivity {
    double *losses, *norms;         /* [steps] */
    double *gradients, *parameters; /* [parameter_count]: the largest element's; the norm over what is judged */
} sensitivity;

typedef struct comparison {
    tuff_model *model; /* the reference's: names and places */
    outcome got, want;
    sensitivity moved;
    double *layer_largest; /* [parameter_count]: see rounding_level */
    double model_largest;
    bool *undecided; /* [arena_count]: in one of the steps the gradient said no more than its own rounding */
    uint32_t kept;   /* steps whose records are in the report */
    uint32_t stable; /* steps, from the first, that can be judged */
    double *numbers; /* what the arrays above are parts of */
    float *arrays;
} comparison;

static void close_side(side *s)
{
    tuff_trainer_destroy(s->trainer);
    tuff_model_destroy(s->model);
}

static tuff_status open_side(const tuff__verification *v, tuff_device *device, side *s)
{
    const tuff_trainer_create_info info = tuff__verification_trainer(v);
    TUFF_TRY(tuff_model_create(device, v->dir, &(tuff_model_create_info){.seed = v->info.seed}, &s->model));
    return tuff_trainer_create(s->model, &info, &s->trainer);
}

/* One step; its gradient stays readable until the next. */
static tuff_status take_step(const tuff__verification *v, const side *s, uint32_t step, outcome *out)
{
    tuff_step_result result;
    const tuff_batch batch = tuff__verification_batch(v);
    TUFF_TRY(tuff_trainer_step(s->trainer, &batch, 1, &result));
    out->losses[step] = result.loss;
    out->norms[step] = result.grad_norm;
    return tuff_buffer_read(tuff__trainer_gradients(s->trainer), 0, out->gradient,
                            (size_t)s->model->arena_count * sizeof(float));
}

static tuff_status read_weights(const side *s, outcome *out)
{
    return tuff_buffer_read(s->model->weights, 0, out->weights, (size_t)s->model->arena_count * sizeof(float));
}

/* -- what rounding decides ---------------------------------------------------------------------------------------- */

static double largest(const float *x, size_t count)
{
    double value = 0;
    for (size_t i = 0; i < count; i++)
        if (fabs((double)x[i]) > value) /* not by fmax, which gcc 12 for arm64 breaks down on */
            value = fabs((double)x[i]);
    return value;
}

static double root_mean_square(const float *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)count);
}

static size_t place_of(const tuff__parameter *parameter)
{
    return (size_t)(parameter->offset / sizeof(float));
}

static size_t count_of(const tuff__parameter *parameter)
{
    return (size_t)tuff_shape_count(&parameter->shape);
}

/* Whether two parameters are weight and bias of one layer: all but the last word of their names is the same. */
static bool same_layer(const char *a, const char *b)
{
    const char *dot = strrchr(a, '.');
    const size_t length = dot ? (size_t)(dot - a) + 1 : 0;
    return length > 0 && !strncmp(a, b, length) && !strchr(b + length, '.');
}

/* The largest gradient of each parameter's layer, and of all. A bias's gradient is the sum of what its weight's
 * gradient sums with factors of order 1: rounding errors of both are relative to the same terms, also where those of
 * the bias cancel. */
static void find_largest(comparison *c)
{
    const tuff_model *model = c->model;
    memset(c->layer_largest, 0, model->parameter_count * sizeof *c->layer_largest);
    c->model_largest = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const tuff__parameter *one = &model->parameters[i];
        const double own = largest(c->want.gradient + place_of(one), count_of(one));
        c->model_largest = fmax(c->model_largest, own);
        c->layer_largest[i] = fmax(c->layer_largest[i], own);
        for (size_t k = 0; k < model->parameter_count; k++)
            if (k != i && same_layer(one->name, model->parameters[k].name))
                c->layer_largest[k] = fmax(c->layer_largest[k], own);
    }
}

/* What rounding may make of a gradient: the gradient's own allowance. */
static double rounding_level(double gradient, double layer_largest)
{
    return gradient_allowance * unit * (fabs(gradient) + layer_largest);
}

static bool is_noise(const comparison *c, double largest_gradient)
{
    return largest_gradient < noise_allowance * unit * c->model_largest;
}

/* Marks the elements whose step rounding may have decided. An element that is 0 on both sides has no sign to lose. */
static void mark_undecided(comparison *c)
{
    find_largest(c);
    for (size_t p = 0; p < c->model->parameter_count; p++) {
        const size_t at = place_of(&c->model->parameters[p]), end = at + count_of(&c->model->parameters[p]);
        const bool noise = is_noise(c, c->layer_largest[p]);
        for (size_t i = at; i < end; i++) {
            const double gradient = (double)c->want.gradient[i];
            const bool zero = c->want.gradient[i] == 0 && c->got.gradient[i] == 0;
            if (!zero && (noise || fabs(gradient) < decided_from * rounding_level(gradient, c->layer_largest[p])))
                c->undecided[i] = true;
        }
    }
}

/* -- records ------------------------------------------------------------------------------------------------------ */

/* `moved`: how far the reference's own numbers moved. */
static tuff_verify_record judge(tuff_verify_record record, const float *want, const float *got, double allowance,
                                double magnitude, double moved)
{
    tuff__comparison result;
    const double more = moves_allowed * moved / (allowance * unit);
    tuff__compare_arrays(want, got, (uint64_t)tuff_shape_count(&record.shape), allowance, magnitude + more, &result);
    record.variant = "";
    record.sensitivity = moved;
    tuff__verify_take(&record, &result);
    return record;
}

/* A record of what cannot be judged: its numbers stay, its elements are undecided. */
static tuff_verify_record undecided(tuff_verify_record record)
{
    record.undecided = record.count + record.undecided;
    record.count = record.bad = 0;
    record.ratio = 0;
    return record;
}

static tuff_verify_record judge_loss(const comparison *c, uint32_t step, const char *label)
{
    const float want = (float)c->want.losses[step], got = (float)c->got.losses[step];
    return judge((tuff_verify_record){.op = "loss", .label = label, .shape = TUFF_SHAPE(1)}, &want, &got,
                 loss_allowance, 1, c->moved.losses[step]);
}

static tuff_verify_record judge_norm(const comparison *c, uint32_t step, const char *label)
{
    const float want = (float)c->want.norms[step], got = (float)c->got.norms[step];
    return judge((tuff_verify_record){.op = "grad_norm", .label = label, .shape = TUFF_SHAPE(1)}, &want, &got,
                 norm_allowance, 0, c->moved.norms[step]);
}

/* Each element against its tensor's largest; against its layer's where the whole tensor lies below what rounding makes
 * of that: an attention's key bias, whose gradient is 0 but for rounding, because softmax ignores what all keys share.
 */
static tuff_verify_record judge_gradient(const comparison *c, size_t p)
{
    const tuff__parameter *parameter = &c->model->parameters[p];
    const size_t at = place_of(parameter);
    const double own = largest(c->want.gradient + at, count_of(parameter)), layer = c->layer_largest[p];
    double magnitude = own < rounding_level(own, layer) ? layer : own;
    if (is_noise(c, own))
        magnitude = fmax(magnitude, c->model_largest * noise_allowance / gradient_allowance);
    return judge((tuff_verify_record){.op = "gradient", .label = parameter->name, .shape = parameter->shape},
                 c->want.gradient + at, c->got.gradient + at, gradient_allowance, magnitude, c->moved.gradients[p]);
}

/* The norm of the difference from the reference's weights over the elements that rounding has not decided. */
static double distance(const comparison *c, const tuff__parameter *parameter, const float *weights,
                       uint64_t *out_judged)
{
    double sum = 0;
    *out_judged = 0;
    for (size_t i = place_of(parameter), end = i + count_of(parameter); i < end; i++) {
        const double difference = c->undecided[i] ? 0 : (double)weights[i] - (double)c->want.weights[i];
        *out_judged += !c->undecided[i];
        sum += difference * difference;
    }
    return *out_judged ? sqrt(sum / (double)*out_judged) : 0;
}

/* AdamW turns the sign of a gradient near zero into a whole step: so by the norm, and without what rounding decides.
 * The record counts those; where nothing is left it says so with count 0. */
static tuff_verify_record judge_parameter(const comparison *c, size_t p)
{
    uint64_t judged;
    const tuff__parameter *parameter = &c->model->parameters[p];
    const float zero = 0, apart = (float)distance(c, parameter, c->got.weights, &judged);
    tuff_verify_record record =
        judge((tuff_verify_record){.op = "parameter", .label = parameter->name, .shape = TUFF_SHAPE(1)}, &zero, &apart,
              parameter_allowance, root_mean_square(c->want.weights + place_of(parameter), count_of(parameter)),
              c->moved.parameters[p]);
    record.count = judged;
    record.undecided = (uint64_t)count_of(parameter) - judged;
    return record;
}

/* Keeps the records of the steps up to `end`; with `right`, only as long as they are. */
static tuff_status keep_steps(tuff__verification *v, comparison *c, uint32_t end, bool right)
{
    for (; c->kept < end && v->status == TUFF_SUCCESS && !v->stopped; c->kept++) {
        char label[32];
        snprintf(label, sizeof label, "step %u", c->kept + 1);
        tuff_verify_record loss = judge_loss(c, c->kept, label), norm = judge_norm(c, c->kept, label);
        if (c->kept >= c->stable) {
            loss = undecided(loss);
            norm = undecided(norm);
        }
        if (right && (loss.bad || norm.bad))
            break;
        if (tuff__verification_keep(v, loss))
            tuff__verification_keep(v, norm);
    }
    return v->status;
}

static bool all_right(const comparison *c, uint32_t steps)
{
    bool right = c->kept == steps;
    for (size_t p = 0; p < c->model->parameter_count && right; p++)
        right = !judge_gradient(c, p).bad && !judge_parameter(c, p).bad;
    return right;
}

static tuff_status keep_parameters(tuff__verification *v, const comparison *c)
{
    const bool stable = c->stable >= v->info.steps;
    for (size_t p = 0; p < c->model->parameter_count; p++) {
        const tuff_verify_record gradient = judge_gradient(c, p), parameter = judge_parameter(c, p);
        if (!tuff__verification_keep(v, stable ? gradient : undecided(gradient)) ||
            !tuff__verification_keep(v, stable ? parameter : undecided(parameter)))
            break;
    }
    return v->status;
}

/* -- how far the reference moves ---------------------------------------------------------------------------------- */

/* Moves every weight to one of its two neighbours. */
static tuff_status move_weights(const tuff_model *model, float *weights, uint64_t seed)
{
    const size_t count = (size_t)model->arena_count;
    TUFF_TRY(tuff_buffer_read(model->weights, 0, weights, count * sizeof *weights));
    for (size_t i = 0; i < count; i++)
        if (weights[i] != 0)
            weights[i] = nextafterf(weights[i], tuff__verification_random(&seed) >> 63 ? INFINITY : -INFINITY);
    return tuff_buffer_write(model->weights, 0, weights, count * sizeof *weights);
}

static void take_larger(double *value, double other)
{
    *value = fmax(*value, fabs(other));
}

/* Takes in the gradients of one step: how far they moved, and which of AdamW's steps that leaves undecided. */
static void note_gradients(comparison *c, const float *want, const float *moved)
{
    for (size_t p = 0; p < c->model->parameter_count; p++) {
        const size_t at = place_of(&c->model->parameters[p]), end = at + count_of(&c->model->parameters[p]);
        for (size_t i = at; i < end; i++) {
            const double move = fabs((double)moved[i] - (double)want[i]);
            c->undecided[i] = c->undecided[i] || fabs((double)want[i]) < decided_from * moves_allowed * move;
            take_larger(&c->moved.gradients[p], move);
        }
    }
}

/* The reference's steps again, and beside them the same from weights that are moved. */
static tuff_status step_both(const tuff__verification *v, const side *still, const side *moving, outcome *want,
                             outcome *moved, comparison *c)
{
    for (uint32_t step = 0; step < v->info.steps; step++) {
        TUFF_TRY(take_step(v, still, step, want));
        TUFF_TRY(take_step(v, moving, step, moved));
        take_larger(&c->moved.losses[step], moved->losses[step] - want->losses[step]);
        take_larger(&c->moved.norms[step], moved->norms[step] - want->norms[step]);
        note_gradients(c, want->gradient, moved->gradient);
    }
    return read_weights(moving, moved);
}

static tuff_status run_moved(const tuff__verification *v, tuff_device *reference, uint64_t seed, outcome *want,
                             outcome *moved, comparison *c)
{
    side still = {0}, moving = {0};
    tuff_status status = open_side(v, reference, &still);
    if (status == TUFF_SUCCESS)
        status = open_side(v, reference, &moving);
    if (status == TUFF_SUCCESS)
        status = move_weights(moving.model, moved->weights, seed);
    if (status == TUFF_SUCCESS)
        status = step_both(v, &still, &moving, want, moved, c);
    close_side(&still);
    close_side(&moving);
    return status;
}

static uint32_t stable_steps(const comparison *c, uint32_t steps)
{
    uint32_t stable = 0;
    while (stable < steps && c->moved.losses[stable] <= most_moved * fabs(c->want.losses[stable]) &&
           c->moved.norms[stable] <= most_moved * c->want.norms[stable])
        stable++;
    return stable;
}

static tuff_status measure_moves(const tuff__verification *v, tuff_device *reference, comparison *c)
{
    const size_t count = (size_t)c->model->arena_count, steps = v->info.steps;
    float *arrays = tuff__calloc((2 + MOVES) * count, sizeof *arrays);
    double *numbers = tuff__calloc(4 * steps, sizeof *numbers);
    outcome want = {.losses = numbers, .norms = numbers + steps, .gradient = arrays};
    outcome moved = {.losses = numbers + 2 * steps, .norms = numbers + 3 * steps, .gradient = arrays + count};
    tuff_status status =
        arrays && numbers ? TUFF_SUCCESS : tuff__fail_memory("verify", (2 + MOVES) * count * sizeof(float));
    for (uint64_t i = 0; i < MOVES && status == TUFF_SUCCESS; i++) {
        moved.weights = arrays + (2 + i) * count;
        status = run_moved(v, reference, v->info.seed + i, &want, &moved, c);
    }
    /* At last, because every move may leave more undecided. */
    for (size_t i = 0; i < MOVES && status == TUFF_SUCCESS; i++)
        for (size_t p = 0; p < c->model->parameter_count; p++) {
            uint64_t judged;
            take_larger(&c->moved.parameters[p],
                        distance(c, &c->model->parameters[p], arrays + (2 + i) * count, &judged));
        }
    tuff__free(arrays);
    tuff__free(numbers);
    return status;
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static tuff_status run_steps(tuff__verification *v, tuff_device *reference, const side *got, const side *want,
                             comparison *c)
{
    const uint32_t steps = v->info.steps;
    for (uint32_t step = 0; step < steps && !v->stopped; step++) {
        TUFF_TRY(take_step(v, got, step, &c->got));
        TUFF_TRY(take_step(v, want, step, &c->want));
        mark_undecided(c);
        if (c->kept == step)
            TUFF_TRY(keep_steps(v, c, step + 1, true));
    }
    if (v->stopped)
        return TUFF_SUCCESS;
    TUFF_TRY(read_weights(got, &c->got));
    TUFF_TRY(read_weights(want, &c->want));
    if (!all_right(c, steps)) {
        TUFF_TRY(measure_moves(v, reference, c));
        c->stable = stable_steps(c, steps);
    }
    TUFF_TRY(keep_steps(v, c, steps, false));
    return v->stopped ? TUFF_SUCCESS : keep_parameters(v, c);
}

static double *take_numbers(double **rest, size_t count)
{
    double *numbers = *rest;
    *rest += count;
    return numbers;
}

static tuff_status allocate(comparison *c, uint32_t steps)
{
    const size_t count = (size_t)c->model->arena_count, parameters = c->model->parameter_count;
    c->arrays = tuff__calloc(4 * count, sizeof *c->arrays);
    c->numbers = tuff__calloc(6 * (size_t)steps + 3 * parameters, sizeof *c->numbers);
    c->undecided = tuff__calloc(count, sizeof *c->undecided);
    if (!c->arrays || !c->numbers || !c->undecided)
        return tuff__fail_memory("verify", 4 * count * sizeof *c->arrays);
    c->got.gradient = c->arrays;
    c->got.weights = c->arrays + count;
    c->want.gradient = c->arrays + 2 * count;
    c->want.weights = c->arrays + 3 * count;
    double *rest = c->numbers;
    double **const by_step[] = {&c->got.losses, &c->got.norms,    &c->want.losses,
                                &c->want.norms, &c->moved.losses, &c->moved.norms};
    for (size_t i = 0; i < sizeof by_step / sizeof *by_step; i++)
        *by_step[i] = take_numbers(&rest, steps);
    c->moved.gradients = take_numbers(&rest, parameters);
    c->moved.parameters = take_numbers(&rest, parameters);
    c->layer_largest = take_numbers(&rest, parameters);
    return TUFF_SUCCESS;
}

static tuff_status compare_sides(tuff__verification *v, tuff_device *reference, const side *got, const side *want)
{
    comparison c = {.model = want->model, .stable = v->info.steps};
    tuff_status status = allocate(&c, v->info.steps);
    if (status == TUFF_SUCCESS)
        status = run_steps(v, reference, got, want, &c);
    tuff__free(c.arrays);
    tuff__free(c.numbers);
    tuff__free(c.undecided);
    return status;
}

tuff_status tuff__verify_steps(tuff__verification *v)
{
    tuff_device *reference = NULL;
    side got = {0}, want = {0};
    v->phase = TUFF_VERIFY_STEPS;
    tuff_status status = tuff_device_create(&(tuff_device_create_info){.device = "reference"}, &reference);
    if (status == TUFF_SUCCESS)
        status = open_side(v, v->device, &got);
    if (status == TUFF_SUCCESS)
        status = open_side(v, reference, &want);
    if (status == TUFF_SUCCESS)
        status = compare_sides(v, reference, &got, &want);
    close_side(&got);
    close_side(&want);
    tuff_device_destroy(reference);
    return status;
}
