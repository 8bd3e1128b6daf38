#!/bin/bash
# The Hub's own library, each major line unchanged in a venv of its own, against a registry that answers it.
#
#   tests/stock_clients/run_hub.sh FOLDER ENDPOINT     makes what is missing of FOLDER/{hub0,hub1,hub2}
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venvs=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for line in 0.36:1 1.31:2 2.4:3; do
    name=hub${line%%.*}
    if [ ! -e "$venvs/$name/ready" ]; then
        python3 -m venv "$venvs/$name"
        "$venvs/$name/bin/pip" install --quiet --disable-pip-version-check \
            "huggingface_hub>=${line%:*},<${line#*:}"
        touch "$venvs/$name/ready"
    fi
    env -u HF_TOKEN -u HF_HUB_OFFLINE HF_ENDPOINT="$2" HF_HOME="$work/$name/hf" HF_HUB_DISABLE_TELEMETRY=1 \
        PYTHONPATH="$here/.." "$venvs/$name/bin/python" "$here/hub_client.py" "team/$name" "$work/$name"
done
