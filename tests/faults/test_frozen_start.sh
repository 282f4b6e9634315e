#!/bin/sh
# The watchdog is there before training begins: a worker that never comes back from opening its data ends the job, named
# with what it was at, for train, eval and predict alike, by one message.
set -u
. "$(dirname "$0")/../support/lib.sh"

seq 1 40 | awk 'BEGIN { print "a,b,y" } { print $1 "," $1 * 3 % 7 "," 2 * $1 }' >rows.csv
cat >recipe.yaml <<'END'
run: {name: frozen}
data: {kind: csv, train: rows.csv, validation: rows.csv, target: y}
model: {kind: mlp, layers: [2, 4, 1]}
loss: {kind: mse}
optimizer: {kind: sgd, lr: 0.001}
train: {epochs: 1, batch: 8, lanes: 2}
dist: {timeout: 2}
END
status 0 workers 2 train recipe.yaml run.dir=run

mv rows.csv rows && mkfifo rows.csv # a file system that does not answer: nobody ever writes
frozen() { # COMMAND...
    status 6 workers 2 "$@"
    says 'rank [01] \(.*\) is stuck at step 0 in `read data` for [0-9]+ s; ending the job'
    same "$1: messages" "$(grep -c '^lockstep: rank' out.txt)" 1
}
frozen train recipe.yaml run.dir=other
frozen eval run
frozen predict run
finish
