/* unary.h: params of the operators that map each element alone. */
#ifndef TUFF_RUNTIME_OPS_UNARY_H
#define TUFF_RUNTIME_OPS_UNARY_H

#include "tuff/graph.h"

typedef struct tuff__scale_params {
    float factor;
} tuff__scale_params;

/* The reference's f(x). */
double tuff__activate_exact(tuff_activation activation, double x);

#endif
