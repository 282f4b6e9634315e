#!/bin/sh
# one_core.sh COMMAND...: runs it with one core, the first of those that this process may use.
set -eu
core=$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')
exec taskset -c "$core" "$@"
