/* trainer.h (internal): what the tests and the training job ask of a trainer beyond the public header. */
#ifndef TUFF_RUNTIME_TRAINER_H
#define TUFF_RUNTIME_TRAINER_H

#include "../model/model.h"
#include "../walk.h"

#include "tuff/train.h"

/* FEATURE_NOT_PRESENT for a problem that is not trained on; tuff_trainer_create asks too. */
tuff_status tuff__trainer_check_problem_type(tuff_problem_type type);

/* The weights of every parameter, as they lie in the model's arena: for keeping the best of them aside. */
tuff_status tuff__trainer_read_weights(const tuff_trainer *trainer, float *data);
tuff_status tuff__trainer_write_weights(tuff_trainer *trainer, const float *data);
size_t tuff__trainer_weight_count(const tuff_trainer *trainer); /* floats, padding included */

/* The next update's graph, walked operator by operator against the reference instead of run. The weights change as by
 * one update; the step count does not, so the trainer is of no further use for training. */
tuff_status tuff__trainer_walk_step(tuff_trainer *trainer, const tuff_batch *batch, tuff__walk_fn visit, void *user);
/* The same graph with its inputs written, to be run by the caller as often as it likes; borrowed
 * until the next step. */
tuff_status tuff__trainer_step_graph(tuff_trainer *trainer, const tuff_batch *batch, tuff_graph **out_graph);
/* The latest update's gradients, laid out as the model's weights; borrowed. */
tuff_buffer *tuff__trainer_gradients(const tuff_trainer *trainer);

#endif
