/*
 * Expressions by muParser's C interface (muparser 2.3, https://beltoforion.de/en/muparser), which compiles them to
 * bytecode at the first evaluation.  Its operators, functions and `a ? b : c` are all there; added are what people
 * who come from Python write: `**` for `^`, `%` with the sign of the divisor, floor() and ceil(), pi and e.
 *
 * muParser would also take several expressions ("1, 2") and assignments ("epoch = 3"); a learning rate is neither, so
 * both are refused.
 */
#include "engine/schedule/expression.h"

#include <ctype.h>
#include <math.h>
#include <muParserDLL.h>
#include <stdio.h>
#include <string.h>

/* Precedences of muParser's own `*` and `^`, and its code for a token it does not know; EOprtPrecedence and
 * EErrorCodes in muParserDef.h, which is C++. */
enum { PRECEDENCE_MUL = 6, PRECEDENCE_POW = 7, UNKNOWN_TOKEN = 1 };
enum { TOKEN_BYTES = 64, PROBLEM_BYTES = 256, NAME_BYTES = 8, MOST_WORDS = 32 };

struct lk_expression {
    muParserHandle_t parser; /* owned */
    char *key, *text;        /* owned */
    int n_variables;
    char name[LK_MAX_VARIABLES][NAME_BYTES];
    double value[LK_MAX_VARIABLES]; /* muParser reads them where they are */
};

static const char *const words[] = {
    "pi",   "e",    "sin", "cos", "tan",  "asin",  "acos", "atan", "sinh", "cosh",  "tanh", "exp", "ln",
    "log",  "log2", "log10", "sqrt", "abs", "sign", "rint", "floor", "ceil", "min", "max",  "sum", "avg",
};
enum { N_WORDS = sizeof words / sizeof *words };
_Static_assert(N_WORDS + LK_MAX_VARIABLES <= MOST_WORDS, "all words and variables have room");

/* As Python's: the result has the divisor's sign, so a cycle that starts before 0 is still a cycle. */
static double floor_modulo(double a, double b)
{
    const double r = fmod(a, b);

    return r != 0.0 && (r < 0.0) != (b < 0.0) ? r + b : r;
}

static void define_words(lk_expression *x)
{
    for (int i = 0; i < x->n_variables; i++) mupDefineVar(x->parser, x->name[i], &x->value[i]);
    mupDefineConst(x->parser, "pi", M_PI);
    mupDefineConst(x->parser, "e", M_E);
    mupDefineFun1(x->parser, "floor", floor, true);
    mupDefineFun1(x->parser, "ceil", ceil, true);
    mupDefineOprt(x->parser, "**", pow, PRECEDENCE_POW, muOPRT_ASCT_RIGHT, true);
    mupDefineOprt(x->parser, "%", floor_modulo, PRECEDENCE_MUL, muOPRT_ASCT_LEFT, true);
}

/* ------------------------------------------------------------------ errors */

/* position: a byte of the text or its end; -1: the text as a whole. */
static lk_status fail_at(const lk_expression *x, const char *problem, ptrdiff_t position)
{
    if (position < 0) return LK_FAIL(LK_ERR_USAGE, "%s: %s\n    %s", x->key, problem, x->text);
    return LK_FAIL(LK_ERR_USAGE, "%s: %s\n    %s\n    %*s^", x->key, problem, x->text, (int)position, "");
}

/* Where the token begins: muParser's position is its start or, for functions, behind it. */
static ptrdiff_t token_position(const char *text, const char *token, ptrdiff_t position)
{
    const ptrdiff_t length = (ptrdiff_t)strlen(text), token_length = (ptrdiff_t)strlen(token);

    if (position < 0) return -1;
    if (position > length) position = length;
    if (token_length == 0 || strncmp(text + position, token, (size_t)token_length) == 0) return position;
    for (ptrdiff_t p = position - token_length; p >= 0; p--)
        if (strncmp(text + p, token, (size_t)token_length) == 0) return p;
    return position;
}

static const char *nearest_word(const lk_expression *x, const char *token)
{
    const char *all[MOST_WORDS];
    size_t n = 0;

    for (int i = 0; i < x->n_variables; i++) all[n++] = x->name[i];
    for (int i = 0; i < N_WORDS; i++) all[n++] = words[i];
    return lk_nearest(token, all, n);
}

/* The parser's error in its own words, with the place and, for a word it does not know, the nearest it does. */
static lk_status fail_parse(const lk_expression *x)
{
    char token[TOKEN_BYTES], problem[PROBLEM_BYTES];

    /* Token and message come in one buffer inside muParser, so each is copied before the next is asked for. */
    snprintf(token, sizeof token, "%s", mupGetErrorToken(x->parser));
    snprintf(problem, sizeof problem, "%s", mupGetErrorMsg(x->parser));
    const char *near = mupGetErrorCode(x->parser) == UNKNOWN_TOKEN ? nearest_word(x, token) : NULL;
    const size_t used = strlen(problem);

    if (near) snprintf(problem + used, sizeof problem - used, " Did you mean \"%s\"?", near);
    return fail_at(x, problem, token_position(x->text, token, mupGetErrorPos(x->parser)));
}

/* ------------------------------------------------------------------- parse */

/* `=` that is no part of ==, !=, <= or >=. */
static lk_status refuse_assignment(const lk_expression *x)
{
    for (const char *p = strchr(x->text, '='); p; p = strchr(p + 1, '=')) {
        const bool in_comparison = p > x->text && strchr("=!<>", p[-1]);

        if (!in_comparison && p[1] != '=') return fail_at(x, "a value cannot be assigned; to compare write ==",
                                                         p - x->text);
    }
    return LK_OK;
}

static lk_status parse(lk_expression *x)
{
    int n_values = 0;

    LK_TRY(refuse_assignment(x));
    mupSetExpr(x->parser, x->text);
    if (!mupError(x->parser)) mupEvalMulti(x->parser, &n_values);
    if (mupError(x->parser)) return fail_parse(x);
    if (n_values != 1) return fail_at(x, "one value is wanted, and commas here make several", -1);
    return LK_OK;
}

bool lk_expression_mentions(const char *text, const char *word)
{
    const size_t n = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p += n) {
        const bool begins = p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');

        if (begins && !(isalnum((unsigned char)p[n]) || p[n] == '_')) return true;
    }
    return false;
}

static char *copy_text(const char *text)
{
    char *copy = lk_alloc(strlen(text) + 1);

    return copy ? strcpy(copy, text) : NULL;
}

lk_status lk_expression_new(const char *key, const char *const *variables, int n_variables, const char *text,
                            lk_expression **out)
{
    lk_expression *x = lk_alloc(sizeof *x);

    *out = NULL;
    LK_TRY_ALLOC(x, sizeof *x);
    x->key = copy_text(key);
    x->text = copy_text(text);
    x->parser = mupCreate(muBASETYPE_FLOAT);
    x->n_variables = n_variables;
    for (int i = 0; i < n_variables; i++) snprintf(x->name[i], NAME_BYTES, "%s", variables[i]);
    lk_status status = LK_OK;
    if (x->key && x->text && x->parser) {
        define_words(x);
        status = parse(x);
    } else {
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory for the expression in %s", key);
    }
    if (status != LK_OK) lk_expression_free(&x);
    LK_TRY(status);
    *out = x;
    return LK_OK;
}

void lk_expression_free(lk_expression **expression)
{
    if (!expression || !*expression) return;
    if ((*expression)->parser) mupRelease((*expression)->parser);
    lk_free(&(*expression)->text);
    lk_free(&(*expression)->key);
    lk_free(expression);
}

static lk_status fail_value(const lk_expression *x, double value)
{
    char where[128];
    lk_text text = lk_text_in(where, sizeof where);

    for (int i = 0; i < x->n_variables; i++)
        lk_text_add(&text, "%s %s %.17g", i ? "," : " at", x->name[i], x->value[i]);
    return LK_FAIL(LK_ERR_USAGE, "%s: the value is %g%s\n    %s", x->key, value, where, x->text);
}

lk_status lk_expression_eval(lk_expression *x, const double *values, double *out)
{
    for (int i = 0; i < x->n_variables; i++) x->value[i] = values[i];
    *out = mupEval(x->parser);
    if (mupError(x->parser)) return fail_parse(x);
    return isfinite(*out) ? LK_OK : fail_value(x, *out);
}
