/* kernel_cases.h: small graphs that together make every pipeline of the library. */
#ifndef TUFF_APPS_KERNEL_CASES_H
#define TUFF_APPS_KERNEL_CASES_H

#include "tuff/graph.h"

#include "op.h"

/* A step adds at most 16 outputs. */
enum { TUFF__KERNEL_STEPS = 24, TUFF__KERNEL_OUTPUTS = 16 * TUFF__KERNEL_STEPS };

/* One graph in the making, out of one step or several. */
typedef struct tuff__kernel_case {
    tuff_graph *graph;
    uint32_t step; /* which of the family's steps, from 0 */
    bool split;    /* bindings are so small that tensors are cut */
    bool last;     /* set by the family's last step */
    char name[96]; /* "matmul nt bias gelu" */
    tuff_tensor outputs[TUFF__KERNEL_OUTPUTS];
    uint32_t output_count;
} tuff__kernel_case;

/* A family of operators; `build` is called with step 0, 1, ... until it sets `last`. */
typedef struct tuff__kernel_family {
    const char *name;
    tuff__op_id op; /* comes in variants, and the family is built for each of them; TUFF__OP_NONE: there are none */
    void (*build)(tuff__kernel_case *c);
} tuff__kernel_family;

/* Ends with a NULL name. */
extern const tuff__kernel_family tuff__kernel_families[];

#endif
