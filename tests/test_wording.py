"""What the command line says: in its own options, or with a word that it is of Python."""

import ast
import functools
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import vis
from vis import attributions, cli, optimizer, visualization, wording
from vis.cli import methods

ROOT = Path(vis.__file__).parent
COMMANDS = cli.cli.commands


def context(name: str, **given: Any) -> click.Context:
    made = click.Context(COMMANDS[name])
    made.params = given
    return made


@pytest.mark.parametrize(
    ("command", "message", "said"),
    [
        (
            "saliency",
            "Try the logits (vis.linear_outputs), another filter or another grad_modifier.",
            "Try another filter or another --grad-modifier.",
        ),
        (
            "explain",
            "Try the logits (vis.linear_outputs) or another target.",
            "Try another target.",
        ),
        (
            "saliency",
            "It ends in a softmax: x. Explain the logits: model = vis.linear_outputs(model).",
            "It ends in a softmax: x. Explain the logits: choose a --layer before it.",
        ),
        (
            "cam",
            "What speaks against it is shown by grad_modifier='negate'.",
            "What speaks against it is shown by --grad-modifier negate.",
        ),
        (
            "explain",
            "Received: 3. What speaks against it is shown by grad_modifier='negate'.",
            "Received: 3. What speaks against it is shown by --grad-modifier negate.",
        ),
        (
            "saliency",
            "Replace them by a ReLU, or take backprop_modifier=None.",
            "Replace them by a ReLU, or leave --backprop-modifier out.",
        ),
        (
            "saliency",
            'Its values are too small for float32. Pass normalize="signed", which divides by the largest.',
            "Its values are too small for float32. Pass --normalize signed, which divides by the largest.",
        ),
        (
            "cam",
            "Try a layer before it, or normalize=None, which returns its values.",
            "Try a layer before it, or --normalize none, which returns its values.",
        ),
        (
            "layers",
            "If you trust whoever made the file: safe_mode=False, on the command line --no-safe-mode.",
            "If you trust whoever made the file: --no-safe-mode.",
        ),
        (
            "cam",
            "Name the layer whose positions are weighed: penultimate_layer_idx.",
            "Name the layer whose positions are weighed: --conv-layer.",
        ),
        (
            "saliency",
            "input_range must be a pair (low, high) of finite numbers. Received: (1.0, 0.0).",
            "--input-range must be a pair (low, high) of finite numbers. Received: (1.0, 0.0).",
        ),
        (
            "saliency",
            "Wrap it: inputs = [keras.Input(...), ...]; keras.Model(inputs, model(inputs)).",
            "In Python: Wrap it: inputs = [keras.Input(...), ...]; keras.Model(inputs, model(inputs)).",
        ),
        (
            "saliency",
            "'input_range.keras' names 'grad_modifier', 'f(x)', `a.b(1)`, a model's 3 (GELU), [(3, 4)].",
            "'input_range.keras' names 'grad_modifier', 'f(x)', `a.b(1)`, a model's 3 (GELU), [(3, 4)].",
        ),
        (
            "layers",
            "the layer `Scale` is unknown: load it in Python with custom_objects={'Scale': Scale}.",
            "the layer `Scale` is unknown: load it in Python with custom_objects={'Scale': Scale}.",
        ),
    ],
)
def test_advice_names_options(command: str, message: str, said: str) -> None:
    assert wording.on_command_line(message, context(command)) == said


def test_an_option_that_the_method_does_not_take_is_not_advised() -> None:
    message = "noise_scale must be one of range, absolute. Take noise_scale='range' or another grad_modifier."
    made = context("explain")
    made.meta[wording.TAKEN] = methods.given_by("smoothgrad")
    assert wording.on_command_line(message, made) == (
        "--option noise_scale must be one of range, absolute. "
        "In Python: Take noise_scale='range' or another grad_modifier."
    )
    made.meta[wording.TAKEN] = methods.given_by("saliency")
    assert wording.on_command_line("Take another grad_modifier or reducer='max'.", made) == (
        "Take another --grad-modifier or --option reducer=max."
    )


def test_probabilities_are_left_out_where_they_were_asked_for() -> None:
    message = "Explain the logits: vis.linear_outputs(model). Try the logits (vis.linear_outputs) or another."
    asked = context("saliency", probabilities=True)
    assert wording.on_command_line(message, asked) == (
        "Explain the logits: leave --probabilities out. "
        "Try the logits (leave --probabilities out) or another."
    )


def messages() -> Iterator[tuple[str, str]]:
    """Yield what the library says in errors and warnings, with 'X' for each value that is filled in."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.Call) and node.args and (name == "warn" or name.endswith("Error")):
                parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else [node.args[0]]
                said = [
                    "'X'" if isinstance(part, ast.FormattedValue) else getattr(part, "value", "")
                    for part in parts
                ]
                if all(isinstance(part, str) for part in said):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", "".join(said)


@functools.cache
def arguments() -> set[str]:
    """Return the names of all arguments of functions and explainers that are no words of English."""
    functions = [getattr(module, name) for module in (visualization, attributions) for name in module.__all__]
    functions += [optimizer.Optimizer, optimizer.Optimizer.minimize]
    names = {name for function in functions for name in inspect.signature(function).parameters}
    return {name for name in names if "_" in name}


def python_in(said: str) -> list[str]:
    """Return the Python in what the command line says, but for sentences that call it that."""
    sentences = [part for part in re.split(r"(?<=[.?!]) (?=[A-Z])", said) if "in python" not in part.lower()]
    bare = re.sub(r"(?<!\w)'[^']*'|`[^`]*`|\"[^\"]*\"", "", " ".join(sentences))
    found = [word for word in re.findall(r"[a-z]\w*", bare) if word in arguments()]
    return found + re.findall(r"vis\.\w+|keras\.[A-Za-z]\w+|\b\w+\(\w[^)]*\)|\b\w+=[^\s=]+", bare)


MESSAGES = list(messages())


def test_the_messages_are_found() -> None:
    assert len(MESSAGES) > 150
    assert sum(bool(python_in(message)) for _, message in MESSAGES) > 30


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_message_asks_for_python_unsaid(command: str, probabilities: bool) -> None:
    options = {option for parameter in COMMANDS[command].params for option in parameter.opts}
    options |= {option for parameter in COMMANDS[command].params for option in parameter.secondary_opts}
    made = context(command, probabilities=probabilities)
    for where, message in MESSAGES:
        said = wording.on_command_line(message, made)
        assert python_in(said) == [], f"{where}: {said}"
        if "--" not in message:
            assert set(re.findall(r"--[a-z-]+", said)) <= options, f"{where}: {said}"
        assert message.count("'X'") - said.count("'X'") <= 0, "no value is lost"
