/*
 * Which of cuDNN's engines does a convolution.
 *
 * The library's heuristic orders them, by shape, types and the device's properties, as fast as it believes them to
 * be; the first one is taken whose results we may use.  Nothing is timed, so every worker and every run takes the
 * same.  Left out are engines that
 *
 *   - say NONDETERMINISTIC, and number 0 of the gradients, which is the old ALGO_0: documented to add in any order,
 *     though its engine does not say so;
 *   - are FFT or Winograd, which subtract large numbers; make 16-bit numbers of fp32; add in less than fp32;
 *   - use tensor cores for fp32 that is not TF32, or they would make it so;
 *   - are compiled when asked for: their code would depend on the compiler that is found; or hand on to cuBLASLt,
 *     which has its own ways to add;
 *   - want more workspace than there is.
 */
#include "engine/cuda/conv_cudnn.h"

enum { MOST_NOTES = 32 };

static uint32_t bit(int note) { return 1u << note; }

/* ------------------------------------------------------------ what may be used */

static uint32_t forbidden_notes(const cuda_conv_spec *s)
{
    const uint32_t never = bit(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) | bit(CUDNN_NUMERICAL_NOTE_FFT) |
                           bit(CUDNN_NUMERICAL_NOTE_WINOGRAD) | bit(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4) |
                           bit(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6) | bit(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13) |
                           bit(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) |
                           bit(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION);

    return s->bf16 || s->tf32 ? never : never | bit(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
}

static bool is_allowed(const cuda_conv_spec *s, const dnn_choice *c)
{
    const uint32_t elsewhere = bit(CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) |
                               bit(CUDNN_BEHAVIOR_NOTE_CUBLASLT_DEPENDENCY);

    if (s->pass != CUDA_FORWARD && c->engine == 0) return false;
    return !(c->numerical & forbidden_notes(s)) && !(c->behaviour & elsewhere);
}

static cudnnStatus_t read_notes(cudnnBackendDescriptor_t engine, dnn_choice *c)
{
    cudnnBackendNumericalNote_t numerical[MOST_NOTES];
    cudnnBackendBehaviorNote_t behaviour[MOST_NOTES];
    int64_t n;

    DNN_TRY(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, MOST_NOTES,
                                     &n, numerical));
    for (int64_t i = 0; i < n; i++) c->numerical |= bit(numerical[i]);
    DNN_TRY(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, MOST_NOTES,
                                     &n, behaviour));
    for (int64_t i = 0; i < n; i++) c->behaviour |= bit(behaviour[i]);
    return CUDNN_STATUS_SUCCESS;
}

/* c->config's engine. */
static cudnnStatus_t read_engine(dnn_choice *c)
{
    dnn_pile pile = {};
    cudnnBackendDescriptor_t engine;
    int64_t n;

    DNN_TRY(dnn_new(&pile, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
    cudnnStatus_t status = cudnnBackendGetAttribute(c->config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n, &c->engine);
    if (status == CUDNN_STATUS_SUCCESS) status = read_notes(engine, c);
    dnn_free(&pile);
    return status;
}

/* c->config's settings. */
static cudnnStatus_t read_knobs(dnn_choice *c)
{
    dnn_pile pile = {};
    cudnnBackendDescriptor_t knob;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    int64_t n = 0, one;

    while (pile.n < DNN_MOST_KNOBS && status == CUDNN_STATUS_SUCCESS)
        status = dnn_new(&pile, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knob);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendGetAttribute(c->config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                          DNN_MOST_KNOBS, &n, pile.made);
    for (int i = 0; i < n && status == CUDNN_STATUS_SUCCESS; i++, c->n_knobs++) {
        dnn_knob *k = &c->knobs[i];

        status = cudnnBackendGetAttribute(pile.made[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &one,
                                          &k->type);
        if (status == CUDNN_STATUS_SUCCESS)
            status = cudnnBackendGetAttribute(pile.made[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
                                              &one, &k->value);
    }
    dnn_free(&pile);
    return status;
}

/* ---------------------------------------------------------------------- plans */

static cudnnStatus_t make_plan(dnn_pile *pile, cudnnBackendDescriptor_t device, dnn_choice *c)
{
    int64_t n;

    DNN_TRY(dnn_new(pile, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &c->plan));
    DNN_TRY(dnn_set(c->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c->config));
    DNN_TRY(dnn_set(c->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device));
    DNN_TRY(cudnnBackendFinalize(c->plan));
    return cudnnBackendGetAttribute(c->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n,
                                    &c->workspace);
}

/* NOT_SUPPORTED where it may not be used, too. */
static cudnnStatus_t try_config(dnn_pile *pile, const cuda_conv_spec *s, cudnnBackendDescriptor_t device, dnn_choice *c)
{
    dnn_pile attempt = {};

    DNN_TRY(read_engine(c));
    if (!is_allowed(s, c)) return CUDNN_STATUS_NOT_SUPPORTED;
    cudnnStatus_t status = make_plan(&attempt, device, c);
    if (status == CUDNN_STATUS_SUCCESS && (uint64_t)c->workspace > s->most_workspace)
        status = CUDNN_STATUS_NOT_SUPPORTED;
    if (status == CUDNN_STATUS_SUCCESS) status = read_knobs(c);
    if (status == CUDNN_STATUS_SUCCESS) dnn_move(&attempt, 0, pile);
    dnn_free(&attempt);
    return status;
}

/* What a heuristic lists, into configs; the best first. */
static cudnnStatus_t list(dnn_pile *pile, dnn_pile *configs, cudnnBackendHeurMode_t mode,
                          cudnnBackendDescriptor_t graph, cudnnBackendDescriptor_t device, int64_t *n)
{
    cudnnBackendDescriptor_t heuristic, config;

    DNN_TRY(dnn_new(pile, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic));
    DNN_TRY(dnn_set(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph));
    DNN_TRY(dnn_set(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    DNN_TRY(dnn_set(heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device));
    DNN_TRY(cudnnBackendFinalize(heuristic));
    while (configs->n < DNN_MOST_DESCRIPTORS) DNN_TRY(dnn_new(configs, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config));
    return cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                    configs->n, n, configs->made);
}

/* The first of the list that may be used and works.  Its plan may point to its config, so the pile gets both. */
static cudnnStatus_t first_of(dnn_pile *pile, dnn_pile *configs, cudnnBackendHeurMode_t mode, const cuda_conv_spec *s,
                              cudnnBackendDescriptor_t graph, cudnnBackendDescriptor_t device, dnn_choice *out)
{
    int64_t n = 0;

    DNN_TRY(list(pile, configs, mode, graph, device, &n));
    for (int i = 0; i < n; i++) {
        const dnn_choice unknown = {};

        *out = unknown;
        out->config = configs->made[i];
        const cudnnStatus_t status = try_config(pile, s, device, out);
        if (status == CUDNN_STATUS_SUCCESS) dnn_move(configs, i, pile);
        if (!dnn_has_none(status)) return status;
    }
    return CUDNN_STATUS_NOT_SUPPORTED;
}

/* The second list is of engines that take nearly everything. */
cudnnStatus_t dnn_choose(dnn_pile *pile, const cuda_conv_spec *spec, cudnnBackendDescriptor_t graph,
                         cudnnBackendDescriptor_t device, dnn_choice *out)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;

    for (int m = 0; m < 2 && dnn_has_none(status); m++) {
        dnn_pile configs = {};

        status = first_of(pile, &configs, modes[m], spec, graph, device, out);
        dnn_free(&configs);
    }
    return status;
}
