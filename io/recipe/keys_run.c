/* Keys of the sections run, engine, init_from, checkpoint, metrics and dist: who runs, on what, and what is kept. */
#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

static const cyaml_strval_t engine_words[] = WORDS(LK_ENGINE_LIST);
static const cyaml_strval_t precision_words[] = WORDS(LK_PRECISION_LIST);
static const cyaml_strval_t unit_words[] = WORDS(LK_UNIT_LIST);
/* dist's lists, which io may not see; test_recipe_values.c holds them together. */
static const cyaml_strval_t reduction_words[] = {{"tree", 0}, {"mpi", 1}, {"nccl", 2}};
static const cyaml_strval_t wire_words[] = {{"fp32", 0}, {"bf16", 1}};
static const cyaml_strval_t shard_words[] = WORDS(LK_SHARD_LIST);

enum { MOST_THREADS = 1024 };

#define RUN_KEYS(X)                                                                                                  \
    X("name", TEXT(run.name), NEEDED, HELP("of the run: its folder, its curves"))                                    \
    X("seed", COUNTER(run.seed), AT_LEAST(0), DEFAULT("0"), DECIDES,                                                 \
      HELP("of initial weights, order of samples, dropout: recipe and seed decide every bit"))                       \
    X("dir", TEXT(run.dir), DERIVED("runs/NAME"), HELP("folder of the run, counted from the current one"))

#define ENGINE_KEYS(X)                                                                                               \
    X("kind", WORD(engine.kind, engine_words), DEFAULT("auto"), HELP("auto: the GPU where there is one"))            \
    X("precision", WORD(engine.precision, precision_words), DEFAULT("fp32"), DECIDES,                                \
      HELP("of activations and products; weights, gradients, statistics and losses stay fp32. tf32 (cuda): fp32, "   \
           "but products round their factors to 10 bits"))                                                           \
    X("threads", WHOLE(engine.threads), FROM_TO(1, MOST_THREADS), DEFAULT("1"),                                    \
      HELP("of a worker, on the cpu; on more, convolutions sum in another order: other bits"))

#define INIT_FROM_KEYS(X)                                                                                            \
    X("checkpoint", TEXT(init_from.checkpoint), NEEDED,                                                              \
      HELP("weights to begin from: a run, a checkpoint's folder, or a safetensors file (or the .json index of "       \
           "several); `init_from: PATH` is short for this key alone"))                                         \
    X("ema", TRUTH(init_from.ema), DEFAULT("false"), HELP("the weights of its EMA"))                                 \
    X("strict", TRUTH(init_from.strict), DEFAULT("true"), HELP("every tensor of both sides must fit"))               \
    X("rename", TEXTS(init_from.rename), HELP("a list of \"FROM -> TO\"; each `*` of TO is what that of FROM matched"))

#define CHECKPOINT_KEYS(X)                                                                                           \
    X("every", WHOLE(checkpoint.every), AT_LEAST(0), DERIVED("1; evaluations by steps: train.evaluate_every"),       \
      HELP("units between checkpoints; 0: at the end alone"))                                                        \
    X("unit", WORD(checkpoint.unit, unit_words), DERIVED("epoch; evaluations by steps: step"),                       \
      HELP("what `every` counts"))                                                                                   \
    X("keep", WHOLE(checkpoint.keep), AT_LEAST(1), DEFAULT("3"), HELP("the last so many"))                           \
    X("best", TRUTH(checkpoint.best), DEFAULT("true"), HELP("and the best of those written, by train.best_metric"))

#define METRICS_KEYS(X)                                                                                              \
    X("tensorboard", TRUTH(metrics.tensorboard), DEFAULT("false"), HELP("event files in RUN/tensorboard"))           \
    X("log_every", WHOLE(metrics.log_every), AT_LEAST(1), DEFAULT("10"), HELP("steps between TensorBoard's points")) \
    X("histograms", WHOLE(metrics.histograms), AT_LEAST(0), DEFAULT("0"),                                            \
      HELP("k: weights and (without dist.shard) gradients of every k-th evaluation; 0: none"))                       \
    X("measure", TEXTS(metrics.measure),                                                                             \
      HELP("metrics beside the usual ones: rmse, accuracy_top5, perplexity, bleu, bleu2"))                           \
    X("train", TRUTH(metrics.train), DEFAULT("false"),                                                               \
      HELP("evaluate the training part, too, as `train_eval.`: with running statistics, without dropout"))

#define DIST_KEYS(X)                                                                                                 \
    X("reduction", WORD(dist.reduction, reduction_words), DEFAULT("tree"),                                           \
      HELP("of gradients; tree keeps the bits on any number of workers, mpi and nccl (GPUs) do not"))                \
    X("wire", WORD(dist.wire, wire_words), DEFAULT("fp32"), DECIDES,                                                 \
      HELP("as what gradients travel; bf16: half the bytes, and another result: every lane's and every sum rounded"))  \
    X("shard", WORD(dist.shard, shard_words), DEFAULT("none"),                                                       \
      HELP("optimizer: each worker holds and updates its part of the optimizer's states (ZeRO-1), to the same bits; " \
           "on the cpu engine, with reduction tree"))                                                                \
    X("check_every", WHOLE(dist.check_every), AT_LEAST(0), DEFAULT("100"),                                           \
      HELP("steps between comparisons of the workers' weights; 0: before checkpoints alone"))                        \
    X("timeout", REAL(dist.timeout), AT_LEAST(0), DEFAULT("300"),                                                    \
      HELP("seconds without progress before a stuck worker is named and the job ends; 0: off"))                      \
    X("bucket_bytes", WHOLE(dist.bucket_bytes), AT_LEAST(1), DEFAULT("26214400"),                                    \
      HELP("of gradients that travel together (PyTorch's 25 MiB)"))

TABLES(lk_run, RUN_KEYS)
TABLES(lk_engine, ENGINE_KEYS)
TABLES(lk_init_from, INIT_FROM_KEYS)
TABLES(lk_checkpoint, CHECKPOINT_KEYS)
TABLES(lk_metrics, METRICS_KEYS)
TABLES(lk_dist, DIST_KEYS)
