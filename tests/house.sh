#!/bin/sh
# The arrows of the house: launch -> {io, dist} -> engine.  Fails when an include runs against them, when a room
# reaches into another's private headers, when the top level grows a room, when a source has lines of more than 120
# columns, or when a script does not parse.
set -u
cd "$(dirname "$0")/.."
n_failed=0

forbid() { # room, pattern of includes it may not have, why
    hits=$(grep -rnE "#[[:space:]]*include[[:space:]]*[<\"]($2)" "$1" --include='*.[ch]' --include='*.cu' --include='*.cuh')
    [ -z "$hits" ] && return
    echo "FAILED: $1 $3:"
    echo "$hits"
    n_failed=$((n_failed + 1))
}

forbid engine 'mpi|nccl|hdf5|H5|cyaml|yaml|protobuf|dist/|io/|launch/' 'knows no MPI, no files, no recipes and no other room'
forbid dist 'hdf5|H5|cyaml|yaml|protobuf|io/|launch/' 'knows no files and no recipes'
forbid io 'mpi|nccl|dist/|launch/' 'knows no MPI: it is told part r of n'
forbid launch 'mpi|nccl|hdf5|H5|cyaml|yaml|protobuf|oneapi|dnnl' 'goes through the rooms'
# Of another room the public headers alone: engine.h and the parts it includes, dist.h, io.h.
inside='engine/(backend|cpu|cuda|graph|nn|ops|base/[^b]|model/[^m]|optim/[^o]|schedule/[^s])'
for room in launch dist io; do forbid $room "$inside" 'sees public headers alone'; done
forbid launch 'dist/[^d"]|dist/[^"]*/|io/[^i"]|io/[^"]*/' 'sees public headers alone'

others=$(ls -A | grep -vE '^(\..*|dist|engine|io|launch|tests|CMakeLists\.txt|README\.md|LICENSE|CHANGELOG\.md|build.*|runs)$')
if [ -n "$others" ]; then
    echo "FAILED: the top level holds more than the house: $others"
    n_failed=$((n_failed + 1))
fi

long=$(grep -rnoE '^.{121,}' dist engine io launch tests --include='*.[ch]' --include='*.cu' --include='*.cuh' --include='*.cpp')
if [ -n "$long" ]; then
    echo "FAILED: lines of more than 120 columns:"
    echo "$long"
    n_failed=$((n_failed + 1))
fi

for script in launch/quickstart launch/setup launch/bundle tests/run tests/gpu/short tests/house.sh tests/arrows.sh tests/floors.sh; do
    sh -n "$script" || n_failed=$((n_failed + 1))
done
bash -n launch/cluster/slurm.sh || n_failed=$((n_failed + 1))

# The test itself must notice, in a copy of its own: an include against the arrows, a line too long.
notices() { # what, the text of a source
    echo "$2" >"$copy/engine/wrong.c"
    LK_HOUSE_SELF_TEST=1 sh "$copy/tests/house.sh" >/dev/null || return
    echo "FAILED: $1 was not noticed"
    n_failed=$((n_failed + 1))
}
if [ -z "${LK_HOUSE_SELF_TEST:-}" ]; then
    copy=$(mktemp -d)
    cp -r dist engine io launch tests "$copy"
    if [ "$n_failed" = 0 ] && ! LK_HOUSE_SELF_TEST=1 sh "$copy/tests/house.sh" >/dev/null; then
        echo "FAILED: a copy of a good house is not good"
        n_failed=$((n_failed + 1))
    fi
    notices "an engine that includes mpi.h" '#include <mpi.h>'
    notices "a line of 121 columns" "$(printf '/* %0115d */' 0)"
    rm -rf "$copy"
fi
[ "$n_failed" = 0 ] && echo "ok: no include runs against the arrows, no line is too long, and the scripts parse"
exit "$n_failed"
