#!/usr/bin/env bash
# Train lite on a GPU for some minutes, measure it on held-out portraits, and leave a sheet.
#
#   examples/training/lite_on_gpu.sh PORTRAITS OUT [MINUTES]
#
# PORTRAITS holds images, labels, train.txt and test.txt. OUT gets lite.safetensors (half
# precision, ready to ship), state.pt, log.jsonl, quality.txt and quality/sheet.jpg. The same
# command goes on where it was; MINUTES (default 7) counts all of its parts, so raise it to train
# longer. Each stage has a time limit of its own, so that measuring is never crowded out.
# Needs the library with its features extra. PYTHON names the interpreter (default python).
set -euo pipefail
portraits=$1 out=$2 minutes=${3:-7}
python=${PYTHON:-python}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"

# A few steps first: what is missing shows within seconds.
timeout 120 "$python" "$here/train_lite.py" --data "$portraits" --out "$out/probe" \
    --set steps=3 --set batch=8

# Ended from outside it loses at most the three minutes since its last checkpoint.
timeout "$(awk "BEGIN { print int(60 * $minutes) + 90 }")" \
    "$python" "$here/train_lite.py" --data "$portraits" --out "$out" --minutes "$minutes" \
    --workers "${WORKERS:-12}" --set batch=48 --set rate=3e-4 || echo "training was cut off"

# The figures: what is not done within two and a half minutes is left out.
"$python" - "$out" <<'PYTHON'
import sys
from pathlib import Path

from safetensors.torch import load_file

from facemask_inpaint import Inpainter, models

out = Path(sys.argv[1])
network = models.create("lite")
network.load_state_dict(load_file(out / "lite.safetensors"))
Inpainter(network, device="cpu").save_pretrained(out / "model")
PYTHON
timeout 150 "$python" "$here/../benchmarks/lite_quality.py" --data "$portraits" \
    --model lite --model "$out/model" --portraits 40 --out "$out/quality" \
    | tee "$out/quality.txt" || echo "measuring was cut off"
