/*
 * A model's inside: the tensors that its network registered while it was built, and their places.  Private to engine/.
 * nn/build.c makes models; model.c keeps them.
 */
#ifndef LK_MODEL_IMPL_H
#define LK_MODEL_IMPL_H

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#include "engine/model/model.h"

typedef struct lk_model_entry {
    lk_tensor_info info;     /* info.name is owned */
    size_t index;            /* in arena order, once laid out */
    lk_fill fill;
    int64_t fan_in, fan_out; /* torch.nn.init's, of the layer; 0: it says none */
    bool in_table;
    UT_hash_handle hh;       /* by info.name */
} lk_model_entry;

struct lk_model {
    lk_model_spec spec;
    const lk_network *network; /* borrowed */
    lk_model_entry **entries; /* owned, and what they point to; parameters, then buffers */
    lk_model_entry *by_name;  /* uthash's head */
    size_t n_entries, cap_entries;
    size_t n_params, n_elem;
    lk_grid grid;             /* owned */
    lk_sample sample;         /* what it reads: the network's fields, then the loss's target */
    int pixels;               /* the field that comes as bytes of images and is normalised; -1: none */
    int n_outputs;            /* targets of sample, and outputs of the network */
    size_t n_output;          /* elements of one sample's outputs, of length 1 where that varies */
    size_t n_row;             /* of the outputs' last axes */
};

/* Sets the fans that follow from the shape (2 dimensions or more), as torch.nn.init counts them. */
void lk_model_entry_fans(lk_model_entry *entry);
/* Copies a spec, the weights of its loss included. */
lk_status lk_model_take_spec(lk_model *model, const lk_model_spec *spec);
/* Appends a tensor; no other has its name.  role, shape and first values are those of `entry`. */
lk_status lk_model_register(lk_model *model, const char *name, const lk_model_entry *entry);
/* Gives every tensor its place: all parameters in the order they came, then the buffers. */
lk_status lk_model_lay_out(lk_model *model);

#endif
