/* What the watchdog sees and concludes, apart from clocks and threads, so that it can be tested alone. */
#ifndef LK_DIST_VERDICT_H
#define LK_DIST_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

/* One worker of this host as seen at one moment; ages in seconds. */
typedef struct lk_heartbeat_view {
    int64_t step;
    bool waiting;    /* in a collective */
    double age;      /* since it told progress or began to wait */
    double beat_age; /* since its watchdog beat; 0 when it has none */
} lk_heartbeat_view;

/* Of the timeout without a beat: the process is stopped. */
#define LK_STALE 0.5

typedef enum lk_verdict_kind {
    LK_VERDICT_FINE,      /* or not yet time to judge */
    LK_VERDICT_STOPPED,   /* the process shows no life */
    LK_VERDICT_STUCK,     /* alive, in its own work, without progress */
    LK_VERDICT_ELSEWHERE, /* all of this host wait */
} lk_verdict_kind;

typedef struct lk_verdict {
    lk_verdict_kind kind;
    int culprit;     /* index in the views; -1 when FINE, the judge itself when ELSEWHERE */
} lk_verdict;

/* Whom worker `self` of these n blames.  Local. */
lk_verdict lk_verdict_of(const lk_heartbeat_view *view, int n, int self, double timeout);

#endif
