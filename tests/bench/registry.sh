#!/usr/bin/env bash
# The registry's promises, shown on this machine: chaos over PostgreSQL and a bucket, 10,000 adapters of 3 versions in
# SQLite and in PostgreSQL, an adapter of 105 MB, an alias that moves under load, 200,000 events. Loopback only. Prints what
# was promised, found and possible, writes it as JSON and a page, and ends with 1 where a promise does not hold.
#
#   tests/bench/registry.sh                       all of it, in ten minutes
#   tests/bench/registry.sh flip publishing       only these; --help tells the rest
#   tests/bench/registry.sh chaos --seconds 20
#   tests/bench/registry.sh events --events 1000000
#
# BENCH_RESULTS names the folder for results; default: tests/bench/results/MACHINE-DATE/registry.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${BENCH_PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
machine=$( (sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null || uname -m) | head -1 | tr -cs 'A-Za-z0-9\n' '-')
results=${BENCH_RESULTS:-tests/bench/results/${machine%-}-$(date +%F)/registry}
for folder in tests training server registry protos; do
  PYTHONPATH=$PWD/$folder${PYTHONPATH:+:$PYTHONPATH}
done
export PYTHONPATH
exec "$python" -m bench.registry_stand.run --results "$results" "$@"
