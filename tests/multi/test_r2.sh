#!/bin/sh
# r2 of several targets is the plain mean of each target's, of one that never changes 1 or 0: what scikit-learn says of the
# same predictions, by the definition.  The same on one worker and on several.
set -u
. "$(dirname "$0")/../support/lib.sh"

python=
for p in python3 /usr/bin/python3; do "$p" -c 'import h5py' 2>/dev/null && python=$p && break; done
[ -n "$python" ] || { echo "skipped: no Python with h5py makes a data set of several targets"; exit 77; }

"$python" - <<'E2'
import h5py, numpy as np
rng = np.random.default_rng(3)
x = rng.normal(size=(203, 4)).astype("f4")
y = np.stack([x @ [1, -2, 3, 0.5], 20 * x[:, 0], np.full(203, 2.5)], axis=1) + [[0, 100, 0]]
with h5py.File("three.h5", "w") as f:
    f["x"], f["y"] = x, y.astype("f4")
E2
cat >three.yaml <<'E2'
run: {name: three, seed: 1}
data: {kind: hdf5, train: three.h5, validation: three.h5}
model: {kind: mlp, layers: [4, 16, 3]}
loss: {kind: mse}
optimizer: {kind: adam, lr: 0.05}
train: {epochs: 20, batch: 32, lanes: 4}
E2
status 0 alone train three.yaml run.dir=one
status 0 alone predict one --data three.h5 --out y.csv
got=$(grep -o '"validation.r2": *[-0-9.e]*' one/summary.json | head -n 1 | grep -o '[-0-9.e]*$')
same "r2 is the mean of three" "$("$python" - "$got" <<'E2'
import h5py, numpy as np, sys
y = h5py.File("three.h5")["y"][...].astype(float)
p = np.loadtxt("y.csv", delimiter=",", skiprows=1)
sse, sst = ((p - y) ** 2).sum(0), ((y - y.mean(0)) ** 2).sum(0)
want = np.mean([1 - a / b if b else float(a == 0) for a, b in zip(sse, sst)])
# Predictions are printed with nine digits, which brings fp32 back.
print("yes" if abs(want - float(sys.argv[1])) < 1e-9 else f"{sys.argv[1]}, want {want}")
E2
)" yes
same_on 3 one three.yaml
finish
