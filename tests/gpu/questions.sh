#!/bin/sh
# What cuBLASLt answers for the products of every recipe, in every precision: a line of JSON each (gemm_log.c),
# to standard output.  Plans are made and nothing is trained, over small files in place of the recipes' own.
#
#   questions.sh RECIPES GEMM_LOG.so      LOCKSTEP: the program, not a wrapper of it
set -u
recipes=$1 log=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LOCKSTEP_GEMM_LOG="$work/answers"

# As many columns as the recipes' own files have, and rows for a batch.
awk 'BEGIN {
    print "a,b,c,d,e,f,g,h,median_house_value,ocean_proximity"
    for (i = 0; i < 400; i++) {
        for (c = 0; c < 9; c++) printf "%d,", (i * 7 + c * 3) % 11
        print "place " i % 5
    }
}' >"$work/housing.csv"
awk 'BEGIN {
    OFS = "\t"
    for (i = 0; i < 400; i++) print i % 3, i % 5, i % 7, i % 11, i % 13, i % 17
}' >"$work/airfoil.dat"
sh "$here/../multi/make_idx.sh" "$work" 600 60 || exit 1

# Pictures in CIFAR-10's records; where a recipe has them in folders, too.
for record in $(seq 400); do
    printf "\\$(printf %03o $((record % 10)))"
    head -c 3072 /dev/zero
done >"$work/pictures.bin"
pictures="train: $work/pictures.bin, validation: $work/pictures.bin"

# Sentences, and a text that is read by its characters.
awk 'BEGIN {
    for (i = 0; i < 800; i++) print "say w" i % 11 " w" i % 7 " .\tdis m" i % 9 " ."
}' >"$work/pairs.txt"
for i in $(seq 200); do echo "$i green bottles, hanging on the wall."; done >"$work/text.txt"
sequences="sequence: 64, validation_fraction: 0.1"

data_of() { # RECIPE: the override of its files
    case $1 in
    california-housing) echo "data.train=$work/housing.csv" ;;
    stages-airfoil) echo "data.train=$work/airfoil.dat" ;;
    fashion-cnn) echo "data={kind: idx, train: $work/train-images, train_labels: $work/train-labels," \
        "validation: $work/test-images, validation_labels: $work/test-labels}" ;;
    cifar-* | few-*) echo "data={kind: cifar10, $pictures}" ;;
    fra-eng-*) echo "data={kind: pairs, train: $work/pairs.txt, validation_fraction: 0.1}" ;;
    gpt2-* | shakespeare-*) echo "data={kind: tokens, train: $work/text.txt, tokenizer: chars, $sequences}" ;;
    finetune-*) echo "data={kind: cifar10, $pictures, transforms: [{kind: resize, size: 224}]}" ;;
    *) echo "run.name=$1" ;; # its own, which are generated
    esac
}

for recipe in "$recipes"/*.yaml "$recipes"/schedules/*.yaml; do
    for precision in fp32 tf32 bf16; do
        LD_PRELOAD=$log "$LOCKSTEP" plan "$recipe" --engine cuda engine.precision=$precision \
            "$(data_of "$(basename "$recipe" .yaml)")" >"$work/plan" 2>&1 ||
            { echo "questions: $recipe in $precision:" >&2; tail -n 2 "$work/plan" >&2; exit 1; }
    done
done
[ -s "$work/answers" ] || { echo "questions: cuBLASLt was asked nothing" >&2; exit 1; }
sort -u "$work/answers"
