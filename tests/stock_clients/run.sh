#!/bin/bash
# Stock clients, each unchanged in a venv of its own, against one real server on the embedded base: the guides'
# curl commands, a gRPC client that knows only reflection, OpenAI's, LangChain's and lm-eval.
#
#   tests/stock_clients/run.sh FOLDER     makes what is missing of FOLDER/{grpc,openai2,openai3,langchain,lm_eval}
#
# `parfocal` must be on the PATH. lm-eval brings 700 MB; LM_EVAL=no leaves it out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venvs=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'kill $server 2> /dev/null; rm -rf "$work"' EXIT
port=${PORT:-8127}
url=http://127.0.0.1:$port
grpc=127.0.0.1:$((port + 1))

venv() { # NAME REQUIREMENTS...
    [ -e "$venvs/$1/ready" ] && return
    python3 -m venv "$venvs/$1"
    "$venvs/$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}"
    touch "$venvs/$1/ready"
}

evaluate() { # MODEL ROUTE KIND TASKS FLAGS...
    (cd "$here/lm_eval" && HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 HF_DATASETS_CACHE=$work/datasets \
        "$venvs/lm_eval/bin/lm_eval" run --model "$3" --tasks "$4" --include_path . --log_samples \
        --model_args "model=$1,base_url=$url/v1/$2,max_length=500" --output_path "$work/$3/$1" "${@:5}" \
        > "$work/lm_eval.log" 2>&1) || { cat "$work/lm_eval.log"; exit 1; }
}

export PARFOCAL_REGISTRY=$work/registry
server=
PYTHONPATH="$here/..:${PYTHONPATH:-}" python "$here/adapter.py" "$work/adapter"
parfocal push "$work/adapter" team/invoices --base tiny > "$work/push.log"
parfocal alias team/invoices prod 1 >> "$work/push.log"
parfocal serve --base tiny --grpc-address "$grpc" --metrics-address '' --http-address "127.0.0.1:$port" \
    2> "$work/server.log" > "$work/server.out" &
server=$!
for _ in $(seq 300); do
    curl --fail --silent "$url/readyz" > "$work/ready" && break
    kill -0 $server || { cat "$work/server.log"; exit 1; }
    sleep 0.2
done

PYTHONPATH="$here/.." python "$here/curl_client.py" "$url"
venv grpc 'grpc-requests>=0.1.21,<0.2'
"$venvs/grpc/bin/python" "$here/grpc_client.py" "$grpc" team/invoices
venv openai2 'openai>=2,<3'
venv openai3 'openai>=3,<4'
venv langchain langchain-openai
"$venvs/openai2/bin/python" "$here/openai_client.py" "$url" tiny team/invoices
"$venvs/openai3/bin/python" "$here/openai_client.py" "$url" tiny team/invoices
"$venvs/langchain/bin/python" "$here/langchain_client.py" "$url" tiny team/invoices
if [ "${LM_EVAL:-yes}" = yes ]; then
    venv lm_eval 'lm-eval[api]>=0.4.10,<0.5'
    for model in tiny team/invoices; do
        evaluate $model completions local-completions parcels_choice,parcels_text
        evaluate $model chat/completions local-chat-completions parcels_text --apply_chat_template
    done
    python "$here/scores.py" "$work/local-completions"
fi
