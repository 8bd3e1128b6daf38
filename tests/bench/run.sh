#!/usr/bin/env bash
# Runs every workload that the README quotes and writes JSON and pictures into tests/bench/results/MACHINE-DATE/.
#
#   tests/bench/run.sh            all of them, three timed rounds each
#   tests/bench/run.sh a mixed    only these
#
# Other servers take part if they run already, on this machine, with the adapters that `parfocal bench` publishes:
#   BENCH_ENDPOINTS   flags for workloads A, B, one stream and fast, such as
#                     "--endpoint llama=http://127.0.0.1:8080 --endpoint-lora-ids llama=0-15 --endpoint-base llama=base"
#   BENCH_BASE_ENDPOINTS  the same for workload base, whose servers need no adapters, such as
#                     "--endpoint vllm=http://127.0.0.1:8101 --endpoint-model vllm=base --endpoint-base vllm=base"
#   BENCH_PARFOCAL    the command; default: parfocal
#   BENCH_REPEATS     timed rounds; default: 3
#   BENCH_SHAPE       default: llama-135m; llama-test only checks that everything runs
#   BENCH_SOAK        requests of the long run; default: 10000
#   BENCH_RESULTS     where results go
set -euo pipefail
cd "$(dirname "$0")/../.."

parfocal=${BENCH_PARFOCAL:-parfocal}
shape=${BENCH_SHAPE:-llama-135m}
repeats=${BENCH_REPEATS:-3}
soak=${BENCH_SOAK:-10000}
machine=$( (sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null || uname -m) | head -1 | tr -cs 'A-Za-z0-9\n' '-')
results=${BENCH_RESULTS:-tests/bench/results/${machine%-}-$(date +%F)}
read -ra endpoints <<<"${BENCH_ENDPOINTS:-}"
read -ra base_endpoints <<<"${BENCH_BASE_ENDPOINTS:-}"
sixteen=(--requests 16 --rank 16 --prompt-tokens 128 --new-tokens 64 --repeats "$repeats")
one=(--requests 1 --adapters 1 --rank 16 --prompt-tokens 128 --new-tokens 64 --repeats "$repeats" --skip-peft)
mkdir -p "$results"

# measure NAME FLAGS…: one bench, its JSON and its picture.
measure() {
  local name=$1
  shift
  echo "== $name ($(date +%T)): bench $*" >&2
  $parfocal bench --shape "$shape" --output "$results/$name.json" --plot "$results/$name.png" "$@" | tee "$results/$name.txt"
}

# A: 16 requests on 16 distinct rank-16 adapters, beside PEFT, the base alone and the endpoints; swept over adapters.
a() { measure a "${sixteen[@]}" --adapters 16 --sweep adapters=1,4,16 "${endpoints[@]}"; }

# B: the same, all 16 requests on one adapter. Other seeds, other prompts: servers that run on may remember A's.
b() { measure b "${sixteen[@]}" --adapters 1 --seed 1 --skip-peft "${endpoints[@]}"; }

# One request on one adapter: the time from token to token.
one_stream() { measure one_stream "${one[@]}" --seed 2 "${endpoints[@]}"; }

# A, B and one stream with activations and adapters in 8 bits. B's and the one stream's rivals are those above.
eight=(--activation-bits 8 --adapter-dtype int8)
fast() { measure fast "${sixteen[@]}" --adapters 16 "${eight[@]}" --seed 3 --skip-peft "${endpoints[@]}"; }
b_fast() { measure b_fast "${sixteen[@]}" --adapters 1 "${eight[@]}" --skip-peft; }
one_fast() { measure one_fast "${one[@]}" "${eight[@]}"; }

# The base alone, beside servers that have no adapters.
base() { measure base "${sixteen[@]}" --adapters 1 --skip-peft "${base_endpoints[@]}"; }

# C: 64 adapters in 8 slots, Zipf, at half of saturation, against all 64 resident.
c() { measure c --requests 128 --adapters 64 --slots 8 --rank 16 --zipf 1.0 --rate 50% --prompt-tokens 32 --new-tokens 16 --against slots=64 --repeats "$repeats" --skip-base; }

# C swept: the time to the first token by adapters for each slot.
c_sweep() { measure c_sweep --requests 128 --adapters 64 --slots 8 --rank 16 --zipf 1.0 --rate 50% --prompt-tokens 32 --new-tokens 16 --sweep adapters=4,8,16,32,64 --repeats 1 --skip-base; }

# D: 1,000 adapters of rank 4 in 32 slots against 32 adapters that all stay.
d() { measure d --requests 256 --adapters 1000 --slots 32 --rank 4 --zipf 1.0 --in-flight 64 --prompt-tokens 32 --new-tokens 16 --against adapters=32,slots=32 --repeats "$repeats" --skip-base; }

# D for long: memory flat, nothing leaked.
d_long() { measure d_long --requests "$soak" --adapters 1000 --slots 32 --rank 4 --zipf 1.0 --in-flight 64 --prompt-tokens 8 --new-tokens 4 --warmup 0 --repeats 1 --skip-base; }

# Fifteen adapters of rank 8 and one of rank 128 against all of rank 8.
mixed() { measure mixed --requests 16 --adapters 16 --ranks 8x15,128 --prompt-tokens 128 --new-tokens 64 --against rank=8 --repeats "$repeats" --skip-peft --skip-base; }

# Resident adapters in 8 bit against 16 bit.
int8() { measure int8 "${sixteen[@]}" --adapters 16 --adapter-dtype int8 --against adapter_dtype=bfloat16 --skip-peft --skip-base; }

# In process: where a step's time goes, and how it grows with rows and adapters.
steps() { measure steps --profile steps --requests 16 --adapters 16 --rank 16 --prompt-tokens 128 --new-tokens 32 --repeats "$repeats"; }
growth() { measure growth --profile growth --rank 16 --prompt-tokens 128 --repeats "$repeats"; }

if [ $# -eq 0 ]; then set -- steps growth a b one_stream fast b_fast one_fast base mixed int8 c c_sweep d d_long; fi
for workload in "$@"; do "$workload"; done
python tests/bench/table.py "$results" | tee "$results/README.md"
