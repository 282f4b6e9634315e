#!/bin/sh
# lockstep data: a generator's samples as CSV, on which training gives the same bits.
set -u
. "$(dirname "$0")/../support/lib.sh"

for recipe in ema-regression lambda-polynomial; do
    status 0 alone data "$recipes/$recipe.yaml" data.validation_samples=100 -o train.csv
    status 0 alone data "$recipes/$recipe.yaml" data.validation_samples=100 --validation -o validation.csv
    same "$recipe: lines of validation.csv" "$(wc -l <validation.csv)" 101
    standardize=$(sed -n 's/^  standardize: *\([a-z]*\).*/\1/p' "$recipes/$recipe.yaml")
    status 0 alone train "$recipes/$recipe.yaml" data.validation_samples=100 train.epochs=2 run.dir="$recipe-made"
    status 0 alone train "$recipes/$recipe.yaml" run.dir="$recipe-read" train.epochs=2 \
        "data={kind: csv, train: train.csv, validation: validation.csv, target: y, standardize: ${standardize:-false}}"
    same "$recipe: weights from the file" "$(alone ckpt digest "$recipe-read")" "$(alone ckpt digest "$recipe-made")"
done

status 2 alone data "$recipes/lambda-polynomial.yaml" data.validation_samples=0 --validation
says 'data.validation_samples is 0: there is no validation part'
status 2 alone data "$recipes/california-housing.yaml"
says 'only generated data are written out'
status 2 alone data "$recipes/ema-regression.yaml" -o nowhere/train.csv
says '^lockstep: --out: cannot write nowhere/train.csv: No such file'
status 2 alone plan "$recipes/ema-regression.yaml" --validation
says 'lockstep plan does not take --validation; it is for: data'
finish
