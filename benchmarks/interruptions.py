"""`write` killed at 20 random moments and resumed, and its memory at 2,000 and at 20,000 images.

Each child process explains generated images into a Zarr group. The first part kills it with SIGKILL within
two seconds of its start, and starts it again; at the end the files are compared with those of an undisturbed
run. The second part reads the peak resident memory of complete runs.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

KILLS = 20
RESULTS = Path(__file__).with_name("results")


def images(count: int, pause: float) -> Iterator[Any]:
    """Yield images, slowly, so that a run can be interrupted often."""
    noise = np.random.default_rng(0)
    for _ in range(count):
        time.sleep(pause)
        yield noise.random((64, 64, 3), np.float32)


def child(path: str, count: int, pause: float) -> None:
    """Explain images into a group and print the peak resident memory in MiB."""
    from vis import linear_outputs
    from vis.attributions import Saliency
    from vis.demo.network import load_network

    explainer = Saliency(linear_outputs(load_network()), batch_size=16)
    print("ready", flush=True)
    explainer.write(images(count, pause), path, 3, progress=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)


def start(path: Path, count: int, pause: float = 0) -> subprocess.Popen[str]:
    """Start a child process and wait until it is about to write."""
    command = [sys.executable, __file__, str(path), str(count), str(pause)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"  # noqa: S101
    return process


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a group."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> None:
    """Kill, resume, compare; then measure the memory; and write the results."""
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        start(whole, 4000).communicate()
        for _ in range(KILLS):
            process = start(parts, 4000, 0.002)
            time.sleep(moments.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                raise SystemExit("it was done before it was killed")
        start(parts, 4000).communicate()
        same = contents(parts) == contents(whole)
        memory = {}
        for count in (2000, 20000):
            printed, _ = start(Path(folder) / str(count), count).communicate()
            memory[count] = int(printed)
    found = {
        "kills": KILLS,
        "bytes equal": same,
        "peak MiB at 2,000": memory[2000],
        "at 20,000": memory[20000],
    }
    (RESULTS / "interruptions.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
