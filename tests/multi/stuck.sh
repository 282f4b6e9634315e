#!/bin/sh
# The watchdog ends a stuck job with status 6, within seconds, and names the culprit once.
#   stuck.sh PROGRAM MPIRUN...
program=$1
shift
failed=0

# try WORKERS MODE STATUS PATTERN: the exit status and one line of stderr that has the pattern ("": no line of ours).
and() { # PATTERN: a line more of the last try's output
    printf '%s\n' "$output" | grep -q -- "$1" && return
    failed=1
    printf '%s\n' "FAILED: want a line with: $1; output:" "$output"
}
try() {
    start=$(date +%s)
    if [ "$1" = 0 ]; then
        output=$(timeout 60 "$program" "$2" 2>&1)
    else
        output=$(timeout 60 "$mpirun" $options -n "$1" "$program" "$2" 2>&1)
    fi
    status=$?
    seconds=$(($(date +%s) - start))
    lines=$(printf '%s\n' "$output" | grep '^lockstep:')
    count=$(printf '%s' "$lines" | grep -c .)
    printf '%s workers, %s: status %s (want %s) after %s s: %s\n' "$1" "$2" "$status" "$3" "$seconds" "$lines"
    if [ "$status" != "$3" ]; then
        failed=1
        printf '%s\n' "FAILED: status $status, want $3; output:" "$output"
    fi
    if [ -z "$4" ] && [ "$count" != 0 ]; then
        failed=1
        echo "FAILED: a message where none is due"
    fi
    if [ -n "$4" ] && { [ "$count" != 1 ] || ! printf '%s' "$lines" | grep -q "$4"; }; then
        failed=1
        echo "FAILED: want one line with: $4"
    fi
    if [ "$seconds" -gt 20 ]; then
        failed=1
        echo "FAILED: took $seconds s"
    fi
}

mpirun=$1
shift
options=$*

waits='waits at step 5 in `forward` for .* s'

try 3 fine 0 ""
try 3 slow 0 ""
try 3 stopped 6 'rank 2 (.*) is stuck at step 5 in `forward` for .* s: its process is stopped or dead (process .*, state T)'
and "^  rank 0 (.*) $waits, in MPI_Barrier"
and "^  rank 1 (.*) $waits, in MPI_Barrier"
try 2 stopped-waiting 6 'rank 1 (.*) is stuck at step 5 in `forward` for .* s: its process is stopped'
try 4 asleep 6 'rank 3 (.*) is stuck at step 5 in `forward` for .* s; ending the job'
and '^  where rank 3 is (process [0-9]*), innermost first:'
and '^    .*pause (libc'
try 2 looping 6 'rank 1 (.*) is stuck at step 5 in `forward` for .* s; ending the job'
# The thread sanitizer keeps signals back until a call of the system, and a loop makes none.
if grep -q __tsan_init "$program"; then
    and '^  the main thread of rank 1 takes no signal: state R'
else
    and '^    compute_for_ever (multi_stuck+0x'
    and '^    main (multi_stuck+0x'
fi
try 2 reducing 6 'rank 1 (.*) is stuck at step 5 in `forward` for .* s; ending the job'
and "^  rank 0 (.*) $waits, reducing bucket 1 of 3 with rank 1 "
try 3 abort 5 'rank 2 (.*): loss is not finite'
try 2 crossed 6 'rank . (.*) has waited at step 5 in `forward` for .* s for workers that all wait as well'
and "^  rank 0 (.*) $waits, in MPI_Barrier"
and "^  rank 1 (.*) $waits, in MPI_\(Gather\|Allreduce\)" # MPICH sends what is gathered without waiting
try 0 alone 6 'rank 0 (.*) is stuck at step 5 in `forward`'
exit $failed
