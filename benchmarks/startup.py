"""What happens before the first map: imports, the command line, the first call with its trace; and memory.

Each candidate runs in a separate process, in turns.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from measure import ROUNDS, interleave, row, write

HERE = Path(__file__).parent
INDEX = 3


def child(code: str) -> list[float]:
    """Run Python in a new process and return the numbers that it prints last."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.strip().splitlines()[-1].split()]


def imports() -> dict[str, Callable[[], Any]]:
    """Return the times of the imports, measured from outside."""
    return {
        "import keras, tensorflow": lambda: child("import keras, tensorflow; print(0)"),
        "import vis": lambda: child("import vis; print(0)"),
        "import vis.attributions": lambda: child("import vis.attributions; print(0)"),
        "import xplique.attributions": lambda: child("import xplique.attributions; print(0)"),
        "import tf_keras_vis.saliency": lambda: child("import tf_keras_vis.saliency; print(0)"),
    }


def first_calls(name: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each candidate's first call, including its trace, by round."""
    seconds: dict[str, list[float]] = {
        who: [] for who in ("hand-written limit", "vis", "Xplique", "tf-keras-vis")
    }
    for _ in range(rounds):
        for who, times in seconds.items():
            times += child(f"import startup; startup.first_call({name!r}, {who!r})")
    return seconds


def first_call(name: str, who: str) -> None:
    """Print the seconds of a first call."""
    from networks import build, images

    network = build(name)
    x = images(network, 1)
    network(x)  # what TensorFlow does once per process does not count
    run = candidate(who, network, x)
    begun = time.perf_counter()
    run()
    print(time.perf_counter() - begun)


def candidate(who: str, network: Any, x: Any) -> Callable[[], Any]:
    """Return a call that creates what it needs and computes a saliency map."""
    if who == "vis":
        from vis.attributions import Saliency

        return lambda: Saliency(network)(x, INDEX)
    if who == "hand-written limit":
        from limits import gradient

        return lambda: gradient(network, x.shape, INDEX)(x)
    import peers

    return lambda: peers.saliency(network, x, INDEX)[who]()


def memory(who: str, samples: int) -> None:
    """Print the peak resident memory of a SmoothGrad in MiB."""
    from networks import build, images

    network = build("MobileNetV2", 96)  # at 224 x 224, 500 at once do not fit into memory
    x = images(network, 1)
    if who == "vis":
        from vis.attributions import SmoothGrad

        SmoothGrad(network, nb_samples=samples)(x, INDEX)
    else:
        import peers

        peers.smooth(network, x, INDEX, samples)[who]()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peaks() -> list[dict[str, Any]]:
    """Return the memory of SmoothGrad with 50 and with 500 copies."""
    found = []
    for who in ("vis", "Xplique", "tf-keras-vis", "tf-explain"):
        peak = []
        for samples in (50, 500):
            try:
                peak += child(f"import startup; startup.memory({who!r}, {samples})")
            except subprocess.CalledProcessError:
                peak.append(float("nan"))  # does not fit into memory
        found.append(
            {"candidate": who, "MiB at 50": round(peak[0]), "at 500": peak[1], "ratio": peak[1] / peak[0]}
        )
        print(found[-1], flush=True)
    return found


def uses_tensorflow() -> bool:
    """Tell whether `vis --help` imports TensorFlow."""
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom vis.cli import cli\n"
        "CliRunner().invoke(cli, ['--help'])\nprint(int('tensorflow' in sys.modules))"
    )
    return bool(child(code)[0])


@click.command()
@click.option("--rounds", default=ROUNDS, show_default=True)
@click.option("--calls", default=ROUNDS, show_default=True, help="Rounds of first calls, which are slower.")
def run(rounds: int, calls: int) -> None:
    """Measure and write the results."""
    rows = [row("imports", interleave(imports(), rounds), "import keras, tensorflow")]
    helped = {"python -c pass": lambda: child("print(0)"), "vis --help": lambda: uses_tensorflow()}
    rows.append(row("command line", interleave(helped, rounds), "python -c pass"))
    for name in ("small CNN", "MobileNetV2"):
        rows.append(row(f"first call, {name}", first_calls(name, calls), "hand-written limit"))
    facts = {"vis --help imports TensorFlow": uses_tensorflow(), "SmoothGrad memory": peaks()}
    print(write("startup", rows, facts=facts))


if __name__ == "__main__":
    run()
