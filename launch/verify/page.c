/* The page that a verification prints, and the same for programs. */
#include "launch/verify/verify.h"

#include <inttypes.h>
#include <string.h>

enum { TITLE_BYTES = 160, KEY_BYTES = VERIFY_NAME_BYTES + 32 };

void page_begin(const verification *v)
{
    printf("%s: up to %" PRId64 " step%s%s in %" PRId64 " lane%s\n", v->recipe->run.name, v->steps, plural(v->steps),
           v->recipe->n_stages > 1 ? " of each stage" : "", v->lanes, plural(v->lanes));
    fflush(stdout);
}

static const char *title_of(const verdict *r, char title[TITLE_BYTES])
{
    lk_text out = lk_text_in(title, TITLE_BYTES);

    lk_text_add(&out, "%" PRId64 " worker%s", r->workers, plural(r->workers));
    if (r->killed_at)
        lk_text_add(&out, ", one killed after step %" PRId64 "; from step %" PRId64 " on %" PRId64, r->killed_at,
                    r->resumed_from, r->resumed_on);
    return title;
}

void page_verdict(const verification *v, const verdict *r)
{
    char title[TITLE_BYTES];

    printf("  %-56s %s", title_of(r, title), r->digest);
    if (!r->differs) printf("%s\n", r == v->verdict ? "" : "  the same");
    else if (r->first.step) printf("  DIFFERS\n      step %" PRId64 ": %s\n", r->first.step, r->first.what);
    else printf("  DIFFERS\n      %s\n", r->first.what);
    fflush(stdout);
}

static size_t n_different(const verification *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->n_verdicts; i++) n += v->verdict[i].differs;
    return n;
}

void page_end(const verification *v)
{
    const size_t n = n_different(v);

    if (n == 0)
        printf("The same bits in all %zu runs: %sweights in each of %" PRId64 " steps, last checkpoints, metrics\n",
               v->n_verdicts, record_has_gradients(&v->want) ? "gradients of every lane and " : "", v->verdict->steps);
    if (v->opt->keep) printf("  the runs are in %s\n", v->dir);
}

/* -------------------------------------------------------------------------------- JSON */

static const char *key_of(const verdict *r, const char *name, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "%s/%s", r->name, name);
    return key;
}

static lk_status put_broken(const verdict *r, lk_metadata *json)
{
    char key[KEY_BYTES];

    if (!r->killed_at) return LK_OK;
    LK_TRY(lk_metadata_set_int(json, key_of(r, "killed_after_step", key), r->killed_at));
    LK_TRY(lk_metadata_set_int(json, key_of(r, "resumed_from_step", key), r->resumed_from));
    return lk_metadata_set_int(json, key_of(r, "resumed_on_workers", key), r->resumed_on);
}

static lk_status put_verdict(const verdict *r, lk_metadata *json)
{
    char key[KEY_BYTES];

    LK_TRY(lk_metadata_set_int(json, key_of(r, "workers", key), r->workers));
    LK_TRY(put_broken(r, json));
    LK_TRY(lk_metadata_set_int(json, key_of(r, "steps", key), r->steps));
    LK_TRY(lk_metadata_set_text(json, key_of(r, "digest", key), r->digest));
    LK_TRY(lk_metadata_set_text(json, key_of(r, "verdict", key), r->differs ? "differs" : "same"));
    if (!r->differs) return LK_OK;
    LK_TRY(lk_metadata_set_int(json, key_of(r, "first_step", key), r->first.step));
    return lk_metadata_set_text(json, key_of(r, "first_difference", key), r->first.what);
}

static lk_status fill(const verification *v, lk_metadata *json)
{
    LK_TRY(lk_metadata_set_text(json, "recipe", v->recipe->path));
    LK_TRY(lk_metadata_set_text(json, "version", LK_VERSION));
    LK_TRY(lk_metadata_set_int(json, "steps", v->verdict->steps));
    LK_TRY(lk_metadata_set_int(json, "lanes", v->lanes));
    LK_TRY(lk_metadata_set_int(json, "runs", (int64_t)v->n_verdicts));
    LK_TRY(lk_metadata_set_int(json, "different", (int64_t)n_different(v)));
    for (size_t i = 0; i < v->n_verdicts; i++) LK_TRY(put_verdict(&v->verdict[i], json));
    return LK_OK;
}

lk_status page_write_json(const verification *v, const char *path)
{
    lk_metadata *json = NULL;

    LK_TRY(lk_metadata_new(&json));
    lk_status status = fill(v, json);
    if (status == LK_OK) status = lk_summary_write(path, json);
    lk_metadata_free(&json);
    return status;
}
