"""What a process pays: the time to its first vector, and memory while it encodes many pictures."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time

from common import report

from encoder import models

PICTURES = 4000 if report.quick() else 20000
STARTS = 5
VSX = models.ROOT / "build" / "release" / "vsx"

# Run in a process of its own, so that the peak is of nothing else.
_MEMORY = """
import json, sys
import vsearch

def kib(key):
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1])

files = json.load(sys.stdin)
encoder = vsearch.Encoder()
encoder.encode(files[0])
loaded = kib("VmRSS")
embeddings, failures = encoder.encode_files(files)
assert not failures and len(embeddings) == len(files)
print(json.dumps({"loaded_mib": loaded / 1024, "peak_mib": kib("VmHWM") / 1024}))
"""

_PHASES = """
import json, sys, time
begin = time.perf_counter()
import vsearch
imported = time.perf_counter()
encoder = vsearch.Encoder()
loaded = time.perf_counter()
encoder.encode(sys.argv[1])
print(json.dumps({"import_s": imported - begin, "load_s": loaded - imported,
                  "first_vector_s": time.perf_counter() - loaded}))
"""


def measure() -> tuple[list[dict], list[dict]]:
    picture = str(models.small_pictures(1)[0])
    rows = [{"what": "cold start", **_cold_start(picture), **_phases(picture)}, _memory()]
    print("\nthe default encoder in a new process")
    report.print_table(rows[:1], [key for key in rows[0] if key != "what"])
    report.print_table(rows[1:], [key for key in rows[1] if key != "what"])
    above = rows[1]["peak_mib"] - rows[1]["loaded_mib"]
    name = f"memory above the loaded model, {PICTURES} pictures"
    return rows, [report.goal(name, above, 512, "MiB", at_most=True)]


def _cold_start(picture: str) -> dict:
    """vsx encode of one picture, from the start of the process to its end."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        command = [str(VSX), "encode", "efficientnet-lite0", picture, "-o", f"{folder}/v.npy"]
        for _ in range(STARTS):
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - begin)
    return {"vsx_encode_s": statistics.median(seconds)}


def _phases(picture: str) -> dict:
    runs = [_python(_PHASES, [picture]) for _ in range(STARTS)]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _memory() -> dict:
    pictures = [str(path) for path in models.small_pictures(2000)]
    files = (pictures * (PICTURES // len(pictures) + 1))[:PICTURES]
    return {"what": "memory", "pictures": PICTURES, **_python(_MEMORY, [], json.dumps(files))}


def _python(script: str, arguments: list[str], given: str | None = None) -> dict:
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])
