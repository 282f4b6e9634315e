/* Which layer this process computes now, for who tells that it is stuck there. */
#ifndef LK_LAYER_NOW_H
#define LK_LAYER_NOW_H

/* NULL: none.  Borrowed while it is set; Local, one store. */
void        lk_at_layer(const char *layer);
const char *lk_layer_now(void);

#endif
