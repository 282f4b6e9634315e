# Shared by the tests that run the program: sourced, not run.  Gives $lockstep, $here, $recipes, $work (the current folder, removed at the end), and the
# functions below.  LOCKSTEP is the program; CTest sets it.

lockstep=${LOCKSTEP:?set LOCKSTEP to the program to test}
here=$(cd "$(dirname "$0")" && pwd)
recipes=$here/../../launch/recipes
work=$(mktemp -d "${TMPDIR:-/tmp}/lockstep-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
n_failed=0

[ "$(id -u)" = 0 ] && export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
[ -x "$lockstep" ] || { echo "$lockstep is not a program"; exit 1; }

# alone ARGS..., workers N ARGS...: the program, without and with mpirun.  A hang becomes status 124.
alone() { timeout 120 "$lockstep" "$@"; }
workers() {
    n_workers=$1
    shift
    timeout 120 mpirun --oversubscribe -n "$n_workers" "$lockstep" "$@"
}

# bad_files KIND ARGS...: the program alone on a file system with a gap (bad_files.c).
bad_files() {
    kind=$1
    shift
    LK_BAD_FILES=$kind LD_PRELOAD=$BAD_FILES timeout 120 "$lockstep" "$@"
}
# can_bad_files: whether it can be loaded into the program; not into one built with a sanitizer.  That it is missing is no
# reason to pass a test by.
can_bad_files() {
    [ -e "${BAD_FILES:-}" ] || { echo "FAILED: set BAD_FILES to libbad_files.so, and build it: ${BAD_FILES:-not set}"; exit 1; }
    LD_PRELOAD=$BAD_FILES "$lockstep" --version >/dev/null 2>&1
}

# same WHAT GOT WANT
same() {
    if [ "$2" = "$3" ]; then
        echo "ok: $1: $2"
    else
        echo "FAILED: $1: got $2, want $3"
        n_failed=$((n_failed + 1))
    fi
}

# status WANT COMMAND...: its exit status; what it printed is in out.txt.
status() {
    want_status=$1
    shift
    got_status=0
    "$@" >out.txt 2>&1 || got_status=$?
    if [ "$got_status" != "$want_status" ]; then
        echo "FAILED: exit status $got_status, want $want_status: $*"
        cat out.txt
        n_failed=$((n_failed + 1))
    fi
}

# says PATTERN: the last command's output has a line that matches.
says() {
    if grep -qE -- "$1" out.txt; then
        echo "ok: says: $(grep -E -m1 -- "$1" out.txt)"
    else
        echo "FAILED: no line matches: $1"
        cat out.txt
        n_failed=$((n_failed + 1))
    fi
}

# digests RUN: of weights and EMA, in one word.
digests() { echo "$("$lockstep" ckpt digest "$1"):$("$lockstep" ckpt digest "$1" --ema)"; }

# wait_for PATH: until it is there; $job is the background job that will make it.
wait_for() {
    while [ ! -e "$1" ]; do
        if ! kill -0 "$job" 2>/dev/null; then
            echo "FAILED: the job ended before $1 was there"
            n_failed=$((n_failed + 1))
            return 1
        fi
        sleep 0.02
    done
}

# workers_of RUN: the processes of its workers, one a line; not mpirun, nor the shell that a bundle's wrapper is, nor those
# of another test that runs beside this one.
workers_of() {
    grep -lzxF "run.dir=$1" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | sort -n |
    while read -r process; do
        [ "$(readlink "/proc/$process/cwd")" = "$PWD" ] || continue
        case $(readlink "/proc/$process/exe") in */lockstep) echo "$process" ;; esac
    done
}
worker_of() { workers_of "$1" | tail -n 1; } # the process of one of them

# same_on N RUN ARGS...: training with ARGS on N workers gives the bits and the metrics of RUN.
same_on() {
    n_same=$1 whole=$2
    shift 2
    status 0 workers "$n_same" train "$@" run.dir="$whole-on-$n_same"
    same "$whole on $n_same workers: digests" "$(digests "$whole-on-$n_same")" "$(digests "$whole")"
    same "$whole on $n_same workers: metrics" "$(cksum <"$whole-on-$n_same/metrics.csv")" "$(cksum <"$whole/metrics.csv")"
}

finish() {
    [ "$n_failed" = 0 ] || { echo "$n_failed failed"; exit 1; }
    exit 0
}

# break_and_resume BEFORE AFTER WHOLE ARGS...: the run of ARGS, of which one of BEFORE workers is killed once there is a
# checkpoint, ends on AFTER workers with the bits and the metrics of WHOLE, which was never broken.
break_and_resume() {
    before=$1 after=$2 whole=$3 run=broken-$1-$2
    shift 3
    workers "$before" train "$@" run.dir="$run" >broken.txt 2>&1 &
    job=$!
    wait_for "$run/checkpoints/latest" || return
    kill -9 "$(worker_of "$run")"
    wait $job
    same "$before workers, one killed: the job's status is 0" "$([ $? = 0 ] && echo yes || echo no)" no
    same "the broken run has a summary" "$([ -e "$run/summary.json" ] && echo yes || echo no)" no
    status 0 workers "$after" train "$@" run.dir="$run" --resume
    same "resumed on $after: digests" "$(digests "$run")" "$(digests "$whole")"
    same "resumed on $after: metrics" "$(cksum <"$run/metrics.csv")" "$(cksum <"$whole/metrics.csv")"
}
