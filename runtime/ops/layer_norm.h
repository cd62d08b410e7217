/* layer_norm.h: params of layer_norm; its gradients take none. */
#ifndef TUFF_RUNTIME_OPS_LAYER_NORM_H
#define TUFF_RUNTIME_OPS_LAYER_NORM_H

typedef struct tuff__layer_norm_params {
    float eps;
} tuff__layer_norm_params;

#endif
