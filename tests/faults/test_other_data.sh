#!/bin/sh
# Data that are not what they should be: another file on another worker, another file at a resume, no training file at a
# prediction.
set -u
. "$(dirname "$0")/../support/lib.sh"

points() { # slope, rows
    awk -v s="$1" -v n="$2" 'BEGIN { print "a,b,y"; for (i = 0; i < n; i++) print i / n "," (i * 7 % n) / n "," s * i / n }'
}
cat >line.yaml <<'RECIPE'
run: {name: line}
data: {kind: csv, train: data.csv, target: y, validation_fraction: 0.25, standardize: true}
model: {kind: mlp, layers: [2, 4, 1]}
loss: {kind: mse}
optimizer: {kind: adam, lr: 1e-2}
train: {epochs: 2, batch: 8, lanes: 2}
checkpoint: {every: 1, unit: step}
RECIPE

# Every worker finds its own file at the same path.
mkdir host0 host1
points 1 40 >host0/data.csv
cat >worker <<'WORKER'
#!/bin/sh
cd "host$OMPI_COMM_WORLD_RANK" && exec "$LOCKSTEP" "$@"
WORKER
chmod +x worker
export LOCKSTEP="$lockstep"
apart() { timeout 120 mpirun --oversubscribe -n 2 "$work/worker" "$@"; }
cp host0/data.csv host1/data.csv
status 0 apart train "$work/line.yaml" data.train=/proc/self/cwd/data.csv run.dir="$work/equal"
for other in "2 40" "1 39"; do
    # shellcheck disable=SC2086
    points $other >host1/data.csv
    status 3 apart train "$work/line.yaml" data.train=/proc/self/cwd/data.csv run.dir="$work/apart"
    says 'rank 1 \(.*\): .*/data.csv: the training data that this worker reads \([0-9]+ samples\) is not what rank 0 reads'
    same "one message" "$(grep -c '^lockstep: ' out.txt)" 1
done

# Resumed on other data: inside an epoch an error, between two a warning and a line of the journal.
points 1 40 >data.csv
status 0 alone train line.yaml run.dir=mid train.steps=3
points 2 40 >data.csv
status 3 alone train line.yaml run.dir=mid --resume
says 'line.yaml: data: the training data are not those that the checkpoint was trained on, and it lies within an epoch'
points 1 40 >data.csv
status 3 alone train line.yaml run.dir=mid data.seed=9 --resume --change
status 0 alone train line.yaml run.dir=mid --resume
same "no word about data in the journal" "$(grep -c 'data' mid/journal.jsonl)" 0

status 0 alone train line.yaml run.dir=end
points 2 40 >data.csv
status 0 alone train line.yaml run.dir=end train.epochs=3 --resume
says 'warning: training and validation data changed since the checkpoint was saved'
same "a line of the journal" "$(grep -c 'changed since this checkpoint was saved: training and validation data' end/journal.jsonl)" 1

# What a prediction needs of the training data is in the checkpoint.
points 1 40 >data.csv
cp data.csv new.csv
status 0 alone predict end --data new.csv --out with.csv
status 0 alone eval end --data new.csv
rm data.csv
status 0 alone predict end --data new.csv --out without.csv
same "the same predictions without the training data" "$(cksum <without.csv)" "$(cksum <with.csv)"
status 0 workers 2 eval end --data new.csv
says 'validation.r2'
status 3 alone eval end
says 'data.csv: No such file'

# Seconds since 1970 keep their digits on the way in and on the way out.
awk 'BEGIN { print "t,y"; for (i = 0; i < 50; i++) print 1700000000 + i "," 1600000000 + 2 * i }' >offset.csv
sed 's/data.csv/offset.csv/; s/, validation_fraction: 0.25//; s/\[2, 4, 1\]/[1, 8, 1]/; s/epochs: 2/epochs: 300/; s/unit: step/unit: epoch/' \
    line.yaml >offset.yaml
status 0 alone train offset.yaml run.dir=offset
status 0 alone predict offset --data offset.csv --out y.csv
same "predictions more than 5 off, of a range of 100" \
    "$(paste -d, y.csv offset.csv | awk -F, 'NR > 1 && ($1 - $3 > 5 || $3 - $1 > 5)' | wc -l)" 0
status 0 alone train offset.yaml run.dir=blunt data.standardize=false train.epochs=1 train.on_nonfinite=skip
says 'warning: .*offset.csv: t: 50 different values become 1 in fp32; set data.standardize'
finish
