/*
 * oneDNN as the CPU backend uses it: one kind of thing, the product of activations with weights, in its three passes.
 * Only dnnl*.c and weights.c include oneDNN's headers, by way of dnnl_versions.h.
 *
 *     FORWARD  y = x * w + b          GRAD_X  dx from dy and w          GRAD_W  dw, db from dy and x
 *
 * where * is a convolution (x (N,H,W,I), w (O,I/groups,KH,KW), y (N,H',W',O)) or a product of matrices (x (N,I),
 * w (O,I) or (I,O), y (N,O)).  x, y and their gradients are fp32 or bf16; w, b and their gradients are fp32, as they
 * lie in the arenas.
 */
#ifndef LK_CPU_DNNL_H
#define LK_CPU_DNNL_H

#include "engine/cpu/weights.h"

typedef struct cpu_dnnl_product cpu_dnnl_product;

typedef enum cpu_pass { CPU_FORWARD, CPU_GRAD_X, CPU_GRAD_W } cpu_pass;

typedef struct cpu_dnnl_spec {
    bool conv;                    /* else a product of matrices: only n, i, o count */
    bool bias;                    /* FORWARD reads b, GRAD_W writes db */
    lk_dtype dtype;               /* of x and y */
    int64_t n, i, o;
    bool in_out;                  /* of matrices: w is (I, O) */
    int64_t h, w, kh, kw, oh, ow;
    lk_conv_attrs how;
    cpu_ref weight;               /* where w is: FORWARD and GRAD_X may want it packed */
    cpu_weights *weights;         /* borrowed; then it is here */
} cpu_dnnl_spec;

/* "oneDNN 2.6.3, avx512_core_bf16"; writes at most nbytes. */
void      cpu_dnnl_describe(char *text, size_t nbytes);
void      cpu_dnnl_platform(void *ctx, lk_platform *out);
/* threads: of every primitive made with it.  Errors: LK_ERR_SYSTEM, LK_ERR_USAGE (OpenMP's limit is lower). */
lk_status cpu_dnnl_open(int threads, cpu_dnnl **out);
void      cpu_dnnl_close(cpu_dnnl **dnnl);
/* Bytes that the library takes for itself, for the products made so far. */
size_t    cpu_dnnl_own_nbytes(const cpu_dnnl *dnnl);

/* Chooses implementation and weight layout by shape, and takes no memory for tensors.  dnnl is borrowed and must
 * outlive it.  Errors: LK_ERR_USAGE (bf16 on a processor without it), LK_ERR_SYSTEM. */
lk_status cpu_dnnl_product_new(cpu_dnnl *dnnl, const cpu_dnnl_spec *spec, cpu_pass pass, cpu_dnnl_product **out);
void      cpu_dnnl_product_free(cpu_dnnl_product **product);
/* Bytes of scratch that a run needs. */
size_t    cpu_dnnl_product_scratch(const cpu_dnnl_product *product);

/* The tensors or, in their places, the gradients that the pass reads or writes; the one a pass has no part in (b in
 * GRAD_X, y's own value in GRAD_W) may be NULL. */
typedef struct cpu_dnnl_args {
    void *x, *w, *b, *y;
    void *scratch;                /* cpu_dnnl_product_scratch(), on a cache line */
    uint64_t params_version;      /* of w: FORWARD and GRAD_X renew a packed copy that was made from another */
} cpu_dnnl_args;

/* One pass. */
lk_status cpu_dnnl_product_run(cpu_dnnl_product *product, const cpu_dnnl_args *args);

#endif
