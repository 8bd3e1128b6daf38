#!/usr/bin/env bash
# Runs the tests that need a GPU, then every GPU benchmark; writes JSON and pictures into
# tests/bench/results/GPU-DATE/ and prints one JSON summary. Progress goes to stderr.
#
#   tests/bench/gpu.sh                  everything, within 20 minutes; the first 10 tell the most
#   tests/bench/gpu.sh decode mixed     only these parts, and what they rest on
#   tests/bench/gpu.sh --profile        a step's kernels by time, and its launches, as a table and a picture
#   tests/bench/gpu.sh --minutes 10
#   tests/bench/gpu.sh --dry            the same parts in tiny on any CPU: shows that the stand runs
#
# Nothing need be installed but the libraries; the sources are found from here.
#   BENCH_PYTHON    the interpreter; default: .venv/bin/python if there is one, else python3
#   BENCH_RESULTS   where results go
#   BENCH_SCRATCH   where adapters (11 GB) and a checkpoint (16 GB) lie meanwhile; default: /dev/shm if it has room
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${BENCH_PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
for folder in tests training server registry protos; do
  PYTHONPATH=$PWD/$folder${PYTHONPATH:+:$PYTHONPATH}
done
export PYTHONPATH
exec "$python" tests/bench/gpu.py "$@"
