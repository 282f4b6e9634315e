/*
 * Weights by name, from checkpoints and safetensors files, and how they come into a model.  Everything here is
 * Local.
 */
#ifndef LK_WEIGHTS_H
#define LK_WEIGHTS_H

#include "io/checkpoint/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------- weights */

/* Named tensors that a model can take its values from, wherever they are: a checkpoint's weights or its EMA's, or what
 * others have written as safetensors. */
typedef struct lk_weights lk_weights;

/* Of a safetensors file, or of the index of several (*.json); paths are "model/" and the name there.  Integer buffers
 * of PyTorch's modules (num_batches_tracked, relative_position_index) are left out.  Errors: LK_ERR_CHECKPOINT naming
 * file, tensor and place; of a file of another format what to do with it. */
lk_status lk_weights_open(const char *path, lk_weights **out);
/* Of a checkpoint, those whose path begins with prefix.  The checkpoint becomes *out's, and is freed on failure. */
lk_status lk_weights_of(lk_checkpoint *checkpoint, const char *prefix, lk_weights **out);
void      lk_weights_free(lk_weights **weights);
const char *lk_weights_path(const lk_weights *weights);
size_t      lk_weights_n(const lk_weights *weights);
/* data is NULL; they are one array. */
const lk_ckpt_tensor *lk_weights_tensor(const lk_weights *weights, size_t i);
/* How the file has it: "F32", "BF16". */
const char *lk_weights_type(const lk_weights *weights, size_t i);
const lk_metadata *lk_weights_metadata(const lk_weights *weights);
bool lk_weights_are_real(const lk_weights *weights, size_t i); /* of a type that lk_weights_read() reads */
/* The whole of tensor i, as fp32; nothing else is read.  Errors: LK_ERR_CHECKPOINT (whole numbers are no weights; the
 * file has become shorter). */
lk_status lk_weights_read(lk_weights *weights, size_t i, float *out);
/* lk_digest() of all tensors, without the first part of their paths. */
lk_status lk_weights_digest(lk_weights *weights, char out[33]);
/* XXH3-128 in hexadecimal of the files' bytes; "" for a checkpoint, whose files have checksums of their own. */
lk_status lk_weights_hash(const lk_weights *weights, char out[33]);
/* Writes them to a safetensors file that appears whole or not at all: fp32, names in order, with the integer buffers
 * that load_state_dict(strict=True) of torchvision's networks asks for.  step: updates the weights have seen; -1: not
 * known.  Errors: LK_ERR_SYSTEM, LK_ERR_CHECKPOINT. */
lk_status lk_weights_write(lk_weights *from, int64_t step, bool ema, const char *path);

/* ------------------------------------------------------------------- transfer */

/* What becomes of tensors when a run starts from the checkpoint of another one, `init_from`. */
#define LK_MATCH_RESULT_LIST(X)                                                                                        \
    X(LK_MATCH_LOADED, "loaded") X(LK_MATCH_MISSING, "missing") X(LK_MATCH_UNEXPECTED, "unexpected")                 \
    X(LK_MATCH_SHAPE, "other shape")
typedef enum lk_match_result { LK_MATCH_RESULT_LIST(LK_WORD_ENUM) LK_N_FATES } lk_match_result;
enum { LK_WHY_BYTES = 256 };

typedef struct lk_weight_match_row {
    lk_match_result result;
    const lk_ckpt_tensor *here;  /* borrowed, the model's; NULL: the model has none of this name */
    const lk_ckpt_tensor *there; /* borrowed, the checkpoint's; NULL: the checkpoint has none of this name */
    char why[LK_WHY_BYTES];      /* empty for what is loaded */
} lk_weight_match_row;

typedef struct lk_weight_match {
    lk_weight_match_row *row;    /* owned: the model's tensors in their order, then the checkpoint's that are
                                  * unexpected */
    size_t n_rows, n[LK_N_FATES]; /* n: rows of each fate */
} lk_weight_match;

/* Which of the model's tensors `here` get their values from which of the checkpoint's tensors `there` (of one kind: all
 * "model/..." or all "ema/..."): those of equal name and shape.  rename is a list of "FROM -> TO": the first FROM that
 * matches a name of the checkpoint (a glob, as in `freeze`) makes it TO, in which each * is what the * of the same
 * number in FROM matched, the shortest that fits.  Errors: LK_ERR_USAGE (a FROM that matches no name; two names that
 * become one). */
lk_status lk_weight_match_new(const lk_ckpt_tensor *here, size_t n_here, const lk_ckpt_tensor *there, size_t n_there,
                              const lk_words *rename, lk_weight_match **out);
void      lk_weight_match_free(lk_weight_match **match);
/* Errors: LK_ERR_USAGE (nothing is loaded; strict, and something is missing, unexpected or of another shape), naming
 * tensors and reasons, and the rename rule where names fit but for a prefix. */
lk_status lk_weight_match_check(const lk_weight_match *match, bool strict);
/* "12 loaded, 2 missing (8.weight: ...; 8.bias: ...), 1 unexpected (...), 0 of another shape": of long lists the
 * beginning. */
void      lk_weight_match_describe(const lk_weight_match *match, char *text, size_t nbytes);
/* Reads what is to be loaded into the data of `here`; `there` are the tensors of `weights`.  Errors:
 * LK_ERR_CHECKPOINT. */
lk_status lk_weight_match_load(const lk_weight_match *match, lk_weights *weights);
/* The name behind the kind: "0.weight" of "model/0.weight". */
const char *lk_tensor_name(const lk_ckpt_tensor *tensor);
/* Errors: LK_ERR_USAGE (this is no "FROM -> TO"). */
lk_status lk_rename_check(const char *rule);

#ifdef __cplusplus
}
#endif
#endif
