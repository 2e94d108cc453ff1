#!/usr/bin/env bash
# Ten minutes of a GPU, used well: one command, stages with time limits, results as they come.
#
#   examples/gpu/lease.sh PORTRAITS OUT [MINUTES]
#
# PORTRAITS holds images, labels, train.txt and test.txt. OUT gets at most eight files:
#   tests.txt       the tests that need CUDA
#   lite-*.safetensors  averaged weights of lite during and after training, half precision
#   lite.jsonl      its journal
#   networks.md     every network's forward pass: precisions, layouts, compiled, beside the processor
#   benches.txt     feature extraction, MAT's training step, steps of Moebius and PixelHacker
#   proposals.tgz   the study's proposals in miniature, trained beside it on the processor's cores
# MINUTES (default 9.5) is the length of it all; training lite takes what the other stages leave.
# START names the weights that lite begins with, SETTINGS further settings of train_lite.py,
# PYTHON the interpreter. Nothing is installed and nothing downloaded.
set -uo pipefail
portraits=$(realpath "$1") out=$(mkdir -p "$2" && realpath "$2") minutes=${3:-9.5}
python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
cd "$root"
began=$(date +%s)

left() { # seconds until MINUTES are over, less $1; at least one
    awk "BEGIN { s = int(60 * $minutes - ($(date +%s) - $began) - $1); print s < 1 ? 1 : s }"
}

benches=${BENCHES:-170} # seconds of the last two stages
keep_snapshots() { # two copies of lite's weights on the way
    for number in 1 2; do
        sleep "$(awk "BEGIN { print int(($(left 0) - $benches) / (4 - $number)) }")"
        cp "$work/lite/lite.safetensors" "$out/lite-$number.safetensors" 2>/dev/null
    done
}

# On spare processor cores, all the while.
CUDA_VISIBLE_DEVICES='' timeout "$(left 20)" nice "$python" \
    examples/training/proposals_in_miniature.py --data "$portraits" --out "$work/proposals" \
    --processes "${PROPOSAL_PROCESSES:-7}" --steps "${PROPOSAL_STEPS:-1500}" \
    > "$work/proposals.txt" 2>&1 &
proposals=$!

timeout 150 "$python" -m pytest -q -m cuda -p no:cacheprovider \
    ${TESTS:-$(grep -rl 'mark[.]cuda' tests --include='*.py')} \
    > "$out/tests.txt" 2>&1 &

keep_snapshots &
training=$(awk "BEGIN { print $(left $benches) / 60 }")
timeout "$(left $((benches - 45)))" "$python" examples/training/train_lite.py --data "$portraits" \
    --weights "${START:-lite}" --out "$work/lite" --minutes "$training" \
    --workers "${WORKERS:-8}" --set save_every=40 ${SETTINGS:-} 2>&1 | tail -c 2000
cp "$work/lite/lite.safetensors" "$out/lite-final.safetensors"
cp "$work/lite/log.jsonl" "$out/lite.jsonl"

export OMP_NUM_THREADS=${THREADS:-8} # of the processor's answers that the device's are compared with
timeout "$(left 50)" "$python" examples/gpu/networks_on_gpu.py \
    --seconds "$(left 58)" ${NETWORKS:-} > "$out/networks.md" 2>&1
{
    timeout "$(left 36)" "$python" examples/benchmarks/metrics_extraction.py \
        ${EXTRACTION:---device cuda --images 1024 --batch 64}
    for network in moebius pixelhacker; do
        timeout "$(left 24)" "$python" examples/benchmarks/diffusion_steps.py "$network" \
            ${DIFFUSION:---device cuda --dtype bfloat16}
    done
    timeout "$(left 4)" "$python" examples/gpu/training_step.py --data "$portraits" \
        ${STEP:---steps 4}
} > "$out/benches.txt" 2>&1
kill $proposals 2>/dev/null
tar -C "$work" -czf "$out/proposals.tgz" --exclude='*.safetensors' --exclude='*.pt' \
    --exclude=checkpoints --exclude=model --exclude=samples proposals proposals.txt
tail -n 3 "$out/tests.txt"
cat "$out/networks.md" "$out/benches.txt"
rm -rf "$work"
