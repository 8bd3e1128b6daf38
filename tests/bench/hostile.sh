#!/usr/bin/env bash
# Sixteen streams on the embedded base, with and without a hostile client beside them, in turn: open uploads that
# send a byte a second, the largest manifests, nested patterns, refused headers, half-open connections. Loopback only.
# Prints one JSON object, then which bars were missed. Ends with 1 where the streams' p99 is over 1.5 times that
# without, memory grows, a new caller is refused, something published cannot be read or an attack breaks off by itself.
#
#   tests/bench/hostile.sh                  5 minutes of attack, 10 in all
#   tests/bench/hostile.sh --seconds 20 --rounds 1
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${BENCH_PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
for folder in tests training server registry protos; do
  PYTHONPATH=$PWD/$folder${PYTHONPATH:+:$PYTHONPATH}
done
export PYTHONPATH
exec "$python" -m bench.hostile.run "$@"
