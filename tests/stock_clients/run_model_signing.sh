#!/bin/bash
# The OpenSSF's own tool, unchanged in a venv of its own, verifies a version that `parfocal sign` has signed.
#
#   tests/stock_clients/run_model_signing.sh FOLDER MODEL SIGNATURE PUBLIC_KEY
#
# Makes FOLDER/model_signing if it is missing. The tool imports pyOpenSSL and does not say so.
set -euo pipefail
venvs=$(mkdir -p "$1" && cd "$1" && pwd)
name=model_signing

if [ ! -e "$venvs/$name/ready" ]; then
    python3 -m venv "$venvs/$name"
    "$venvs/$name/bin/pip" install --quiet --disable-pip-version-check "model-signing>=1.1,<2" pyOpenSSL
    touch "$venvs/$name/ready"
fi
exec "$venvs/$name/bin/model_signing" verify key "$2" --signature "$3" --public_key "$4"
