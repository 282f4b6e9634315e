/* Decoding: the likeliest words are those of the whole network, a wide beam finds what no translation beats, what is
 * beside a sentence leaves its bits alone, rows go on as others' copies; what cannot be is refused. */
#include "launch/decode/translate.h"
#include "tests/support/network.h"

enum { PAD, BOS, EOS, WORD, TARGETS = 5, SOURCES = 9, MOST_LENGTH = 24, HIDDEN = 16 };

typedef struct speaker {
    lk_model *model;
    lk_engine *engine;
    float *params;
    decoder_weights weights;
} speaker;

/* The likeliest translations of some sentences are short, of others they have no end. */
static speaker speaker_new(void)
{
    const lk_model_spec spec = {
        .kind = LK_MODEL_TRANSFORMER, .mlp = {2, {1, 2}}, .cnn = {.n_hidden = 1, .hidden = {HIDDEN}},
        .transformer = {.heads = 4, .ffn = 24, .source_vocabulary = SOURCES, .target_vocabulary = TARGETS},
        .norm = LK_NORM_POST, .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .threads = 1, .seed = 3};
    speaker s;

    cr_assert_eq(lk_model_new(&spec, &s.model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&options, s.model, &s.engine), LK_OK, "%s", lk_error_message());
    s.params = lk_alloc(lk_model_n_elem(s.model) * sizeof *s.params);
    lk_model_init(s.model, 5, s.params);
    s.params[lk_model_tensor(s.model, (size_t)lk_model_find(s.model, "decoder.dense.bias"))->offset + EOS] += 2.5f;
    s.weights = (decoder_weights){s.params, 1};
    return s;
}

static void speaker_free(speaker *s)
{
    lk_free(&s->params);
    lk_engine_free(&s->engine);
    lk_model_free(&s->model);
}

static search_spec spec_of(int64_t beam, double length_penalty)
{
    return (search_spec){.beam = beam, .length_penalty = length_penalty, .bos = BOS, .eos = EOS, .pad = PAD};
}

/* Some words and <eos>. */
static sentence sentence_of(int number, int64_t n_source)
{
    sentence s = {.source = calloc((size_t)n_source, sizeof *s.source), .n_source = n_source};

    for (int64_t i = 0; i < n_source; i++) s.source[i] = WORD + (int32_t)((number * 5 + i * i + number / 3) % 6);
    s.source[n_source - 1] = EOS;
    return s;
}

/* Logits of every position behind these tokens (n), by the whole network at once: (n, TARGETS). */
static void whole_logits(const speaker *s, const sentence *of, const int32_t *tokens, int64_t n, float *out)
{
    const int64_t length = of->n_source > n ? of->n_source : n;
    const int32_t source_len = (int32_t)of->n_source;
    int32_t source[MOST_LENGTH] = {0}, target_in[MOST_LENGTH] = {0};
    float all[MOST_LENGTH * TARGETS];

    cr_assert_leq(length, MOST_LENGTH);
    memcpy(source, of->source, (size_t)of->n_source * sizeof *source);
    memcpy(target_in, tokens, (size_t)n * sizeof *tokens);
    const lk_lane lane = {.mode = LK_PREDICT, .n = 1, .length = length, .field = {source, &source_len, target_in},
                          .params = s->params, .params_version = 1, .output = all};
    cr_assert_eq(lk_engine_run(s->engine, &lane), LK_OK, "%s", lk_error_message());
    memcpy(out, all, (size_t)n * TARGETS * sizeof *out);
}

static const char *print_words(const int32_t *words, int64_t n, char text[256])
{
    lk_text out = lk_text_in(text, 256);

    for (int64_t i = 0; i < n; i++) lk_text_add(&out, "%d ", words[i]);
    return text;
}

static void expect_said(const char *what, int number, const sentence *got, const int32_t *want, int64_t n_want)
{
    char a[256], b[256];

    cr_expect(got->n_said == n_want && memcmp(got->said, want, (size_t)n_want * sizeof *want) == 0,
              "%s, sentence %d: got %s, want %s", what, number, print_words(got->said, got->n_said, a),
              print_words(want, n_want, b));
}

/* ---------------------------------------------------------------------- greedy */

Test(search, the_likeliest_words_are_those_of_the_whole_network)
{
    enum { N = 12, STEPS = 8 };
    speaker s = speaker_new();
    sentence sentences[N];
    translator t = {.engine = s.engine, .model = s.model, .weights = s.weights, .search = spec_of(1, 0.0),
                    .steps = STEPS};
    bool some_end = false, some_are_cut = false;

    for (int i = 0; i < N; i++) sentences[i] = sentence_of(i, 1 + i % STEPS);
    cr_assert_eq(translate(&t, sentences, N), LK_OK, "%s", lk_error_message());
    for (int i = 0; i < N; i++) {
        int32_t tokens[STEPS + 1] = {BOS};
        int64_t n = 0;

        while (n < STEPS) {
            float logits[STEPS * TARGETS];
            int32_t best = 0;

            whole_logits(&s, &sentences[i], tokens, n + 1, logits);
            for (int32_t v = 1; v < TARGETS; v++)
                if (logits[n * TARGETS + v] > logits[n * TARGETS + best]) best = v;
            if (best == EOS) break;
            tokens[++n] = best;
        }
        some_end |= n < STEPS;
        some_are_cut |= n == STEPS;
        expect_said("greedy", i, &sentences[i], tokens + 1, n);
        free(sentences[i].source), free(sentences[i].said);
    }
    cr_expect(some_end && some_are_cut, "these weights do not show both: ended %d, cut %d", some_end, some_are_cut);
    speaker_free(&s);
}

/* ------------------------------------------------------------------------ beam */

/* log p of a token. */
static double log_p(const float *logits, int32_t token)
{
    double sum = 0.0;

    for (int v = 0; v < TARGETS; v++) sum += exp((double)logits[v]);
    return (double)logits[token] - log(sum);
}

/* The best of all translations of at most MOST - 1 words. */
enum { MOST = 3 };
static int64_t best_of_all(const speaker *s, const sentence *of, double length_penalty, int32_t best[MOST])
{
    double best_score = -INFINITY;
    int64_t n_best = -1;

    for (int32_t code = 0; code < 1 + TARGETS + TARGETS * TARGETS; code++) {
        const int64_t n = code == 0 ? 0 : code <= TARGETS ? 1 : 2;
        const int32_t rest = code - 1 - TARGETS;
        const int32_t tokens[MOST] = {BOS, n == 1 ? code - 1 : n == 2 ? rest / TARGETS : PAD,
                                      n == 2 ? rest % TARGETS : PAD};
        float logits[MOST * TARGETS];
        double sum = 0.0;

        if ((n > 0 && tokens[1] == EOS) || (n > 1 && tokens[2] == EOS)) continue;
        whole_logits(s, of, tokens, n + 1, logits);
        for (int64_t i = 0; i <= n; i++) sum += log_p(logits + i * TARGETS, i < n ? tokens[i + 1] : EOS);
        const double score = sum / pow((double)(n + 1), length_penalty);
        if (score > best_score) best_score = score, n_best = n, memcpy(best, tokens + 1, 2 * sizeof *best);
    }
    return n_best;
}

/* Wide enough for all beginnings there are. */
Test(search, a_wide_beam_finds_the_best_of_all_translations)
{
    enum { BEAM = 128, N = 6 };
    static const double penalties[] = {0.0, 0.75, 2.0};
    speaker s = speaker_new();
    bool lengths[MOST] = {false};
    decoder *d;

    cr_assert_eq(decoder_new(s.engine, s.model, &s.weights, BEAM, MOST_LENGTH, &d), LK_OK, "%s", lk_error_message());
    for (size_t p = 0; p < sizeof penalties / sizeof *penalties; p++)
        for (int i = 0; i < N; i++) {
            const search_spec spec = spec_of(BEAM, penalties[p]);
            sentence one = sentence_of(i, 2 + i), *const only = &one;
            int32_t want[MOST];

            cr_assert_eq(search(d, &spec, &only, 1, MOST_LENGTH, MOST), LK_OK, "%s", lk_error_message());
            const int64_t n_want = best_of_all(&s, &one, penalties[p], want);
            lengths[n_want] = true;
            expect_said("beam", i, &one, want, n_want);
            free(one.source), free(one.said);
        }
    cr_expect(lengths[0] && lengths[MOST - 1], "the penalties do not show short and long ones");
    decoder_free(&d);
    speaker_free(&s);
}

/* ----------------------------------------------------------------------- batches */

Test(search, a_translation_is_the_same_whatever_is_beside_it)
{
    enum { N = 150 };
    static const int64_t beams[] = {1, 3, 100};
    speaker s = speaker_new();

    for (size_t b = 0; b < sizeof beams / sizeof *beams; b++) {
        translator t = {.engine = s.engine, .model = s.model, .weights = s.weights, .search = spec_of(beams[b], 0.75)};
        sentence *all = calloc(N, sizeof *all);

        for (int i = 0; i < N; i++) all[i] = sentence_of(i, 1 + (i * 7) % 20);
        cr_assert_eq(translate(&t, all, N), LK_OK, "%s", lk_error_message());
        for (int i = 0; i < N; i += 13) {
            sentence alone = sentence_of(i, all[i].n_source);

            cr_assert_eq(translate(&t, &alone, 1), LK_OK, "%s", lk_error_message());
            expect_said("among others", i, &all[i], alone.said, alone.n_said);
            free(alone.source), free(alone.said);
        }
        sentences_free(&all, N);
    }
    speaker_free(&s);
}

Test(search, a_sentence_without_words_says_nothing)
{
    speaker s = speaker_new();
    translator t = {.engine = s.engine, .model = s.model, .weights = s.weights, .search = spec_of(1, 0.0), .steps = 4};
    sentence two[2] = {{.n_source = 0}, sentence_of(1, 3)};

    cr_assert_eq(translate(&t, two, 2), LK_OK, "%s", lk_error_message());
    cr_expect(two[0].n_said == 0 && two[1].said != NULL, "got %lld words", (long long)two[0].n_said);
    free(two[1].source), free(two[1].said);
    speaker_free(&s);
}

/* ------------------------------------------------------------------------ decoder */

enum { ROWS = 5, LENGTH = 6, AT = 3 };

/* Logits of row `row`, which reads `of`, after three tokens; the other rows read other things. */
static void decode_beside(const speaker *s, const sentence *of, int row, int others, float out[TARGETS])
{
    int32_t source[ROWS][LENGTH] = {{0}}, source_len[ROWS], tokens[ROWS];
    const float *logits;
    decoder *d;

    cr_assert_eq(decoder_new(s->engine, s->model, &s->weights, ROWS, LENGTH, &d), LK_OK, "%s", lk_error_message());
    for (int r = 0; r < ROWS; r++) {
        source_len[r] = 1 + (r * 2 + others) % LENGTH;
        for (int i = 0; i < source_len[r]; i++) source[r][i] = (r + i * others) % SOURCES;
    }
    source_len[row] = (int32_t)of->n_source;
    memcpy(source[row], of->source, (size_t)of->n_source * sizeof **source);
    cr_assert_eq(decoder_encode(d, &source[0][0], source_len, LENGTH), LK_OK, "%s", lk_error_message());
    for (int t = 0; t < AT; t++) {
        for (int r = 0; r < ROWS; r++) tokens[r] = r == row ? BOS + t : (r * others + t) % TARGETS;
        cr_assert_eq(decoder_step(d, tokens, 1, &logits), LK_OK, "%s", lk_error_message());
    }
    cr_expect_eq(decoder_position(d), AT);
    memcpy(out, logits + row * TARGETS, TARGETS * sizeof *out);
    decoder_free(&d);
}

Test(decoder, the_bits_of_a_row_do_not_depend_on_the_others_or_its_place)
{
    speaker s = speaker_new();
    sentence of = sentence_of(4, 5);
    float want[TARGETS], got[TARGETS];

    decode_beside(&s, &of, 0, 0, want);
    for (int row = 0; row < ROWS; row++)
        for (int others = 1; others < 4; others++) {
            decode_beside(&s, &of, row, others, got);
            cr_expect_eq(memcmp(got, want, sizeof got), 0, "row %d: got %.9g, want %.9g", row, (double)got[0],
                         (double)want[0]);
        }
    free(of.source);
    speaker_free(&s);
}

/* Several tokens in one step are those tokens one by one. */
Test(decoder, a_step_may_have_several_tokens)
{
    const int32_t source[ROWS][LENGTH] = {{WORD, EOS}}, tokens[ROWS][AT] = {{BOS, WORD, 4}, {BOS, 4, WORD}};
    int32_t source_len[ROWS] = {2, 1, 1, 1, 1}, next[ROWS];
    float together[ROWS * AT * TARGETS];
    speaker s = speaker_new();
    const float *logits;
    decoder *d;

    cr_assert_eq(decoder_new(s.engine, s.model, &s.weights, ROWS, LENGTH, &d), LK_OK, "%s", lk_error_message());
    cr_assert_eq(decoder_encode(d, &source[0][0], source_len, LENGTH), LK_OK, "%s", lk_error_message());
    cr_assert_eq(decoder_step(d, &tokens[0][0], AT, &logits), LK_OK, "%s", lk_error_message());
    memcpy(together, logits, sizeof together);
    decoder_restart(d);
    for (int t = 0; t < AT; t++) {
        for (int r = 0; r < ROWS; r++) next[r] = tokens[r][t];
        cr_assert_eq(decoder_step(d, next, 1, &logits), LK_OK, "%s", lk_error_message());
        for (int r = 0; r < ROWS; r++)
            cr_expect_eq(memcmp(logits + r * TARGETS, together + (r * AT + t) * TARGETS, TARGETS * sizeof *logits), 0,
                         "row %d, token %d: got %.9g, want %.9g", r, t, (double)logits[r * TARGETS],
                         (double)together[(r * AT + t) * TARGETS]);
    }
    decoder_free(&d);
    speaker_free(&s);
}

Test(decoder, what_cannot_be_is_refused)
{
    const int32_t source[2 * LENGTH] = {EOS}, source_len[2] = {1, 1}, tokens[2] = {BOS, BOS};
    network mlp = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), LK_FP32, 2);
    speaker s = speaker_new();
    const float *logits;
    decoder *d;

    cr_expect_eq(decoder_new(mlp.engine, mlp.model, &s.weights, 1, 1, &d), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "does not go on with what it has said"), "%s", lk_error_message());
    cr_assert_eq(decoder_new(s.engine, s.model, &s.weights, 2, LENGTH, &d), LK_OK, "%s", lk_error_message());
    cr_assert_eq(decoder_encode(d, source, source_len, LENGTH), LK_OK, "%s", lk_error_message());
    for (int t = 0; t < LENGTH; t++) cr_assert_eq(decoder_step(d, tokens, 1, &logits), LK_OK, "%s", lk_error_message());
    cr_expect_eq(decoder_step(d, tokens, 1, &logits), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "do not fit a cache of 6"), "%s", lk_error_message());
    decoder_free(&d);
    speaker_free(&s);
    network_free(&mlp);
}
