#!/bin/sh
# tests/gpu/short, as somebody with a rented machine runs it: from the archive of a bundle, where there is no
# network, as root and as an ordinary user.  Over the stand-in; a few programs stand for all.
set -u
. "$(dirname "$0")/../support/lib.sh"
. "$here/device.sh"

build=$(dirname "$lockstep")
[ -e "$build/lockstep-cuda.so" ] || { echo "skipped: $build/lockstep-cuda.so is not built"; exit 77; }
grep -q stand-in doctor.txt || { echo "skipped: this is a test of the script, over the stand-in"; exit 77; }
cp "$LOCKSTEP_CUDA_MODULE" standin.so
export LOCKSTEP_CUDA_MODULE="$work/standin.so"
chmod 755 "$work"

mkdir alone
cp "$here/short" alone/ # as it is carried, beside the archive

# A packed bundle is small enough to be carried over a slow line, and has what runs on a device alone.
MOST_MB=55
status 0 "$here/../../launch/bundle" --tests "$work/bundle.tar.gz" "$build"
mb=$(($(wc -c <bundle.tar.gz) / 1000000))
same "the archive ($mb MB) has at most $MOST_MB MB" "$([ "$mb" -le $MOST_MB ] && echo yes || echo no)" yes
same "programs in it" "$(tar -tzf bundle.tar.gz | sed -n 's|^bundle/tests/bin/\(test_.*\)|\1|p' | sort | tr '\n' ' ')" \
    "$(grep '^test_' "$here/suite.txt" | sort | tr '\n' ' ')"

export SUITE="test_norm test_golden_optim" PROGRAMS=gpu/test_killed REPEAT=2
export MILLIONS=0.1 EPOCHS=1 PICTURES=64 PYTHON=false
small() { OUT=$1 && export OUT && shift && timeout 200 "$@"; } # OUT COMMAND...
expect_all() { # OUT
    same "$1: passed" "$(sed -n 's/^passed *\([^,]*\),.*/\1/p' "$1/summary" | sort | tr '\n' ' ')" \
        "repeat-graphs-0 repeat-graphs-1 speed test_golden_optim test_killed test_norm "
    same "$1: failed" "$(grep -c '^FAILED' "$1/summary")" 0
    same "$1: card" "$(grep -c '^left out  card' "$1/summary")" 1
    same "$1: logs" "$(tar -xzOf "$1/logs.tar.gz" logs/test_killed | grep -c '^ok: resumed from step')" 1
    grep -A9 '^FAILED' "$1/summary"
}

# A network of the loopback alone, which Open MPI cannot do without.
no_network=
unshare -n ip link set lo up 2>/dev/null && no_network="unshare -n sh $work/loopback.sh"
echo 'ip link set lo up && exec "$@"' >loopback.sh
status 0 small "$work/packed" $no_network sh alone/short 180 bundle.tar.gz
expect_all packed

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    NOBODY=65534
    tar -xzf bundle.tar.gz
    mkdir -m 777 theirs
    status 0 small "$work/theirs/results" $no_network setpriv --reuid=$NOBODY --regid=$NOBODY --clear-groups \
        sh bundle/tests/gpu/short 180
    expect_all theirs/results
else
    echo "skipped: another user: needs root and setpriv"
fi

# What fails is told, and fails the whole; what would not fit is not begun.
status 1 env PARTS="suite speed" SUITE=test_none OUT="$work/fails" sh alone/short 35 bundle.tar.gz
says "^FAILED +test_none"
says "^left out +speed: it takes some"
status 1 env LOCKSTEP_CUDA_MODULE="$work/nowhere.so" OUT="$work/nothing" sh alone/short 30 bundle.tar.gz
says "^FAILED +no device"
status 2 sh alone/short soon
says "usage"
status 2 sh alone/short 10
says "this is not a bundle"
finish
