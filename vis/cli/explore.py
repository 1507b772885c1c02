"""`vis explore`."""

from __future__ import annotations

import contextlib
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vis.cli.app import say, start_keras
from vis.cli.options import (
    INPUT_RANGE_OPTION,
    LABELS_OPTION,
    MODEL_OR_NONE,
    PICTURE_OPTIONS,
    SAFE_OPTION,
    SAMPLES_OR_NONE,
    command,
    path_option,
    size_option,
)

if TYPE_CHECKING:
    from vis.explorer.session import Session


@command(
    MODEL_OR_NONE,
    SAMPLES_OR_NONE,
    click.option("--demo", is_flag=True, help="Explore the network and the pictures of the demo."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        metavar="N",
        default=0,
        help="The port of the page.  [default: a free one]",
    ),
    click.option(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        show_default=True,
        help="The address to listen on. Others than this machine's own let other machines in.",
    ),
    click.option("--browser/--no-browser", default=True, help="Open the page, or only print its address."),
    LABELS_OPTION,
    path_option(
        "--words",
        "existing",
        metavar="FILE",
        help="The words of a text by their number: one a line, or JSON. The empty word is padding.",
    ),
    INPUT_RANGE_OPTION,
    SAFE_OPTION,
    *PICTURE_OPTIONS,
    size_option(224),
    shown="vis explore model.keras photos/",
)
def explore(
    model: Path | None,
    images: tuple[tuple[Path, list[Path]], ...],
    demo: bool,
    port: int,
    host: str,
    browser: bool,
    **options: Any,
) -> None:
    """Look at a model on a local page.

    MODEL is a .keras or .h5 file. A SAMPLE is a picture, a folder of pictures, or a .npy or .npz file with an
    array for each input; more are added on the page. The page shows the layers, and maps by any method, side
    by side. It is served by this command, until Ctrl-C.
    """
    if demo and model is not None:
        raise click.UsageError("--demo has a model of its own. Leave MODEL out, or --demo.")
    if not demo and model is None:
        raise click.UsageError("Missing argument 'MODEL'. To look at the demo's network: --demo.")
    from vis import checks

    server = checks.extra("explore", "vis.explorer.server", "The explorer needs Starlette and uvicorn")
    from vis.explorer.guard import is_loopback

    def start() -> Session:
        start_keras()
        from vis.explorer import session

        if demo:
            network, pictures, opened = session.demo()
            return session.Session(network, pictures, opened)
        return session.Session(model, [given for given, _ in images] or None, **options)

    explorer = server.Explorer(start, host, port)
    if not is_loopback(host):
        say(
            f"warning: other machines can reach {host}. Whoever has the address below can use the page, and "
            "it is sent without encryption."
        )
    click.echo(f"{explorer.url}\nCtrl-C ends it.")
    if browser:
        threading.Thread(target=_open, args=(explorer.url,), daemon=True).start()
    explorer.run()


def _open(url: str) -> None:
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(url)
