# What benches beside PyTorch share; for sh, sourced.  $python names the program.

# rate SUMMARY: samples per second of a run.
rate() { sed -n 's/.*"samples_per_second": *\([0-9.e+]*\).*/\1/p' "$1" | head -n 1; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# peak COMMAND...: runs it; the most memory that it held, in MiB.  By a program that is small itself: a child's peak begins
# with what it was forked from.
peak() {
    "$python" -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)' "$@"
}
