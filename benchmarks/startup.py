"""What happens before the first map: imports, the command line, the first call with its trace; another size
of a batch, for which XLA compiles again; and memory.

Each candidate runs in a separate process, in turns.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import keras
from measure import ROUNDS, interleave, named, row, write

HERE = Path(__file__).parent
BACKEND = keras.config.backend()
LIMIT, OURS = "hand-written limit", "vis"
PEERS = {"tensorflow": ("Xplique", "tf-keras-vis", "tf-explain"), "torch": ("Captum",), "jax": ()}
SIZES = {
    "first call with a second batch size, 8 after 4": "second_size",
    "first run with 18 images in batches of 8": "last_batch",
}
INDEX = 3


def child(code: str) -> list[float]:
    """Run Python in a new process and return the numbers that it prints last."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.strip().splitlines()[-1].split()]


def imports() -> dict[str, Callable[[], Any]]:
    """Return the times of the imports, measured from outside."""
    peers = {
        "tensorflow": ("xplique.attributions", "tf_keras_vis.saliency"),
        "torch": ("captum.attr",),
    }
    names = [f"keras, {BACKEND}", "vis", "vis.attributions", *peers.get(BACKEND, ())]
    return {f"import {name}": lambda code=f"import {name}; print(0)": child(code) for name in names}


def calls(rounds: int, code: str, candidates: Iterable[str]) -> dict[str, list[float]]:
    """Return the seconds that a function of this file prints for each candidate, by round."""
    seconds: dict[str, list[float]] = {who: [] for who in candidates}
    for _ in range(rounds):
        for who, times in seconds.items():
            times += child(f"import startup; startup.{code.format(who=who)}")
    return seconds


def prepared(name: str, batch: int) -> tuple[Any, Any]:
    """Return a network and images. It has run: what is done once per process does not count."""
    from networks import build, images

    network = build(name)
    x = images(network, batch)
    network(x[:1])
    return network, x


def first_call(name: str, who: str) -> None:
    """Print the seconds of a first call."""
    network, x = prepared(name, 1)
    run = candidate(who, network, x)
    begun = time.perf_counter()
    run()
    print(time.perf_counter() - begun)


def second_size(name: str, who: str) -> None:
    """Print the seconds of the first call with another number of images, after one with 4 images."""
    network, x = prepared(name, 8)
    if who == OURS:
        from vis.attributions import Saliency

        ours = Saliency(network)
        ours(x[:4], INDEX)
        begun = time.perf_counter()
        ours(x, INDEX)
    else:
        from limits import gradient

        gradient(network, (4, *x.shape[1:]), INDEX)(x[:4])
        begun = time.perf_counter()
        gradient(network, x.shape, INDEX)(x)
    print(time.perf_counter() - begun)


def last_batch(name: str, who: str) -> None:
    """Print the seconds of the first run with 18 images in batches of 8, the last one of 2."""
    network, x = prepared(name, 18)
    parts = [x[:8], x[8:16], x[16:]]
    if who == OURS:
        from vis.attributions import Saliency

        ours = Saliency(network, batch_size=8)
        begun = time.perf_counter()
        ours(x, INDEX)
    else:
        from limits import gradient

        begun = time.perf_counter()
        sizes = {len(part): gradient(network, part.shape, INDEX) for part in parts}
        for part in parts:
            sizes[len(part)](part)
    print(time.perf_counter() - begun)


def candidate(who: str, network: Any, x: Any) -> Callable[[], Any]:
    """Return a call that creates what it needs and computes a saliency map."""
    if who == OURS:
        from vis.attributions import Saliency

        return lambda: Saliency(network)(x, INDEX)
    if who == LIMIT:
        from limits import gradient

        return lambda: gradient(network, x.shape, INDEX)(x)
    import peers

    return lambda: peers.of("saliency", network, x, INDEX)[who]()


def memory(who: str, samples: int) -> None:
    """Print the peak memory of a SmoothGrad in MiB: of the process, and of a GPU, 0 without one."""
    from limits import peak
    from networks import build, images

    network = build("MobileNetV2", 96)  # at 224 x 224, 500 at once do not fit into memory
    x = images(network, 1)
    if who == OURS:
        from vis.attributions import SmoothGrad

        SmoothGrad(network, nb_samples=samples)(x, INDEX)
    else:
        import peers

        peers.of("smooth", network, x, INDEX, samples)[who]()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, peak() / 2**20)


def peaks() -> list[dict[str, Any]]:
    """Return the memory of SmoothGrad with 50 and with 500 copies."""
    found = []
    for who in (OURS, *PEERS[BACKEND]):
        peak = []
        for samples in (50, 500):
            try:
                peak.append(child(f"import startup; startup.memory({who!r}, {samples})"))
            except subprocess.CalledProcessError:
                peak.append([float("nan")] * 2)  # does not fit into memory
        (few, few_gpu), (many, many_gpu) = peak
        found.append({"candidate": who, "MiB at 50": round(few), "at 500": many, "ratio": many / few})
        if few_gpu:
            found[-1] |= {"MiB of the GPU at 50": round(few_gpu), "of the GPU at 500": many_gpu}
        print(found[-1], flush=True)
    return found


def uses_backend() -> bool:
    """Tell whether `vis --help` imports the backend."""
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom vis.cli import cli\n"
        f"CliRunner().invoke(cli, ['--help'])\nprint(int({BACKEND!r} in sys.modules))"
    )
    return bool(child(code)[0])


@click.command()
@click.option("--rounds", default=ROUNDS, show_default=True)
@click.option("--slow", default=ROUNDS, show_default=True, help="Rounds of first calls, which are slower.")
def run(rounds: int, slow: int) -> None:
    """Measure and write the results."""
    rows = [row("imports", interleave(imports(), rounds), f"import keras, {BACKEND}")]
    helped = {"python -c pass": lambda: child("print(0)"), "vis --help": lambda: uses_backend()}
    rows.append(row("command line", interleave(helped, rounds), "python -c pass"))
    for name in ("small CNN", "MobileNetV2"):
        whom = (LIMIT, OURS, *(who for who in PEERS[BACKEND] if who != "tf-explain"))
        rows.append(row(f"first call, {name}", calls(slow, f"first_call({name!r}, {{who!r}})", whom), LIMIT))
    for title, function in SIZES.items():
        for name in ("small CNN", "MobileNetV2"):
            seconds = calls(slow, f"{function}({name!r}, {{who!r}})", (LIMIT, OURS))
            rows.append(row(f"{title}, {name}", seconds, LIMIT))
    facts = {f"vis --help imports {BACKEND}": uses_backend(), "SmoothGrad memory": peaks()}
    print(write(named("startup"), rows, facts=facts))


if __name__ == "__main__":
    run()
