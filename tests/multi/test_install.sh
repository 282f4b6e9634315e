#!/bin/sh
# cmake --install into a prefix of its own; a program of somebody else is built against it, by find_package and by
# pkg-config, and trains and predicts the program's own bits.  Every installed header compiles alone, as C and as C++.
set -u
. "$(dirname "$0")/../support/lib.sh"

build=$(dirname "$lockstep")
prefix=$work/prefix
[ -e "$build/lockstep.pc" ] || { echo "skipped: $build has nothing to install but the program"; exit 77; }
status 0 cmake --install "$build" --prefix "$prefix"
pc=$(find "$prefix" -name lockstep.pc)
libraries=$(cd "$(dirname "$pc")/.." && pwd)

same "names that are not ours" "$(nm -D --defined-only "$libraries/liblockstep.so" | awk '$3 !~ /^lk_/' | wc -l)" 0
find "$prefix/include/lockstep" -name '*.h' | sort | while read -r header; do
    name=${header#"$prefix/include/"}
    echo "#include <$name>" >one.c
    gcc -std=c17 -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only one.c || echo "$name as C"
    g++ -x c++ -std=c++17 -Wall -I"$prefix/include" -fsyntax-only one.c || echo "$name as C++"
done >headers.txt 2>&1
same "headers that do not compile alone" "$(cat headers.txt)" ""

status 0 cmake -S "$here/../install" -B by-cmake -DCMAKE_PREFIX_PATH="$prefix"
status 0 cmake --build by-cmake
export PKG_CONFIG_PATH="${pc%/*}"
# shellcheck disable=SC2046
status 0 gcc -std=c17 -Wall -Werror "$here/../install/outside.c" -o by-pkg-config \
    $(pkg-config --cflags --libs lockstep) -Wl,-rpath,"$libraries"

seq 1 40 | awk 'BEGIN { print "a,b,y" } { print $1 "," $1 * 3 % 7 "," 2 * $1 }' >rows.csv
cat >recipe.yaml <<'END'
run: {name: outside}
data: {kind: csv, train: rows.csv, validation: rows.csv, target: y, standardize: true}
model: {kind: mlp, layers: [2, 4, 1]}
loss: {kind: mse}
optimizer: {kind: adam, lr: 0.01}
train: {epochs: 2, batch: 8, lanes: 2}
END
status 0 "$prefix/bin/lockstep" train recipe.yaml run.dir=own train.epochs=3
status 0 "$prefix/bin/lockstep" predict own --data rows.csv --out own.csv
rounded() { awk '{ printf "%.7g\n", $1 }' | cksum; } # the program prints what tells its fp32 outputs apart
for program in by-cmake/outside by-pkg-config; do
    run=run-$(basename "$program")
    status 0 "./$program" recipe.yaml "$run" rows.csv run.dir="$run" train.epochs=3
    says '^step 15 validation\.loss'
    same "$program: digests" "$(digests "$run")" "$(digests own)"
    same "$program: predictions" "$(tail -n 40 out.txt | rounded)" "$(tail -n 40 own.csv | rounded)"
done
status 0 timeout 120 mpirun --oversubscribe -n 2 by-cmake/outside recipe.yaml two rows.csv run.dir=two train.epochs=3
same "on two workers: digests" "$(digests two)" "$(digests own)"
# A network of somebody else, compiled against the installed headers, in the installed program.
status 0 gcc -shared -fPIC -Wall -Werror -I"$prefix/include" "$here/../plugin/residual.c" -o residual.so
status 0 "$prefix/bin/lockstep" train recipe.yaml run.dir=plugin \
    'model={plugin: residual.so, args: {inputs: 2, width: 4}}'
status 2 by-cmake/outside missing.yaml run rows.csv
says '^outside: .*missing.yaml'
finish
