#!/usr/bin/env bash
# Makes runs.csv again: the embedded sample with twelve seeds, some four minutes on one core.
# From the root of a fresh clone, after `make setup`: bash results/sample-spread/run.sh
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1  # as many everywhere: sums are cut up by threads

dvc exp run --queue -n spread -S "train.seed=range(101,113)"
dvc exp run --run-all
dvc exp show --csv | python -c '
import csv, sys
columns = ["train.seed", "accuracy", "loss", "f1", "precision", "recall"]
runs = [r for r in csv.DictReader(sys.stdin) if r["Experiment"].startswith("spread")]
write = csv.writer(sys.stdout, lineterminator="\n")
write.writerow(["seed", *columns[1:]])
write.writerows(sorted([r[c] for c in columns] for r in runs))
' > results/sample-spread/runs.csv
