#!/bin/sh
# tests/gpu/card.c: a description of a card goes through cuDNN and comes back whole, and what is none is
# refused.  The real cuDNN, no device.
set -u
. "$(dirname "$0")/../support/lib.sh"

card=$(dirname "$lockstep")/tests/card
[ -x "$card" ] || { echo "skipped: $card is not built"; exit 77; }
for name in h100 h200; do
    status 0 "$card" "$here/engines/$name.json"
    same "$name" "$(tr -d ' \n' <out.txt)" "$(tr -d ' \n' <"$here/engines/$name.json")"
done
echo '{"deviceVer": "new"}' >wrong.json
status 1 "$card" wrong.json
says "card: set the JSON|card: finalize"
status 1 "$card" nowhere.json
says "card: cannot read nowhere.json"
finish
