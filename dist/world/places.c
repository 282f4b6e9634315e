/*
 * Places: the order in which workers own lanes.  Launchers may deal ranks to hosts in turn (mpirun --map-by node), and
 * the tree adds up neighbours first; so neighbours are to be on one host, whatever their ranks.  Bits do not depend on
 * which worker owns a lane.
 */
#include "dist/world/world.h"

int lk_places_make(const int *first, int size, int rank, int *rank_at)
{
    int place = 0, own = 0;

    for (int host = 0; host < size; host++) {
        if (first[host] != host) continue; /* the lowest rank of a host stands for it */
        for (int r = host; r < size; r++) {
            if (first[r] != host) continue;
            if (r == rank) own = place;
            rank_at[place++] = r;
        }
    }
    return own;
}
