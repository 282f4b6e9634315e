# Sourced by the tests of the CUDA engine: skips where there is no device and no stand-in for one.
"$lockstep" doctor >doctor.txt 2>&1
if ! grep -qE '^cuda engine +.*[0-9]+ devices?;' doctor.txt; then
    echo "skipped: $(grep '^cuda engine' doctor.txt)"
    exit 77
fi
