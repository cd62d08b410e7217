/* unary.h: params of the operators that map each element alone. */
#ifndef TUFF_RUNTIME_OPS_UNARY_H
#define TUFF_RUNTIME_OPS_UNARY_H

typedef struct tuff__scale_params {
    float factor;
} tuff__scale_params;

#endif
