#!/bin/bash
# llama.cpp, unchanged, in a venv of its own: by whichever of its bindings has a wheel here, so nothing is compiled.
#
#   tests/stock_clients/run_llama_cpp.sh FOLDER ARGUMENTS…     makes FOLDER/llama_cpp if it is missing
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$(mkdir -p "$1" && cd "$1" && pwd)/llama_cpp
shift

if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    pip=("$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all:)
    "${pip[@]}" "llama-cpp-python>=0.3" 2>/dev/null || "${pip[@]}" xllamacpp >&2
    touch "$venv/ready"
fi
exec "$venv/bin/python" "$here/llama_cpp_lora.py" "$@"
