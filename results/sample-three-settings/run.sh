#!/usr/bin/env bash
# Makes the files of this folder again: 12 runs of the embedded sample, then their comparison.
# From the root of a fresh clone, after `make setup`: bash results/sample-three-settings/run.sh
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1  # as many everywhere: sums are cut up by threads
here=results/sample-three-settings

dvc exp run --queue -n recipe -S train.seed=1,2,3,4
dvc exp run --queue -n three-epochs -S train.epochs=3 -S train.seed=1,2,3,4
dvc exp run --queue -n truncated-at-96 -S tokenize.max_length=96 -S train.seed=1,2,3,4
dvc exp run --run-all
make compare REVS="$(echo {recipe,three-epochs,truncated-at-96}-{1..4})"
cp comparison/comparison.{md,csv,svg} comparison/{pairs,runs}.csv $here/
