"""Messages of the library in the terms of the command line."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

import click

_ALIKE = (
    "backprop_modifier baseline batch_size clip_percentile conv_layer fit grad_modifier input_range noise "
    "normalize parameterization patch_size safe_mode seed steps"
)
# The options that do what arguments do; most have their names.
OPTIONS = {
    **{name: f"--{name.replace('_', '-')}" for name in _ALIKE.split()},
    "filter_indices": "--target",
    "layer_idx": "--layer",
    "max_iter": "--steps",
    "nb_samples": "--samples",
    "output_layer": "--layer",
    "penultimate_layer_idx": "--conv-layer",
    "targets": "--target",
}
# Those of which None is a value, called none.
_NONE = ("normalize",)
# In the `meta` of a context: which option gives an argument in this call, or "" for none.
TAKEN = "vis.taken"
_LOGITS = r"(?:model = )?vis\.linear_outputs(?:\(model\))?"
# A value, or the code that an error shows; an apostrophe stands behind a letter.
_QUOTED = r"(?<!\w)'[^']*'|(?<!\w)\"[^\"]*\"|`[^`]*`"
# A dotted name, a call, an argument with its value.
_PYTHON = r"\b(?:vis|keras|model|numpy|np|tf)\.[A-Za-z]\w*|\b[A-Za-z_][\w.]*\([^)]|\b[a-z_]\w*=[^=\s]"


def on_command_line(message: str, context: click.Context | None) -> str:
    """Return a message of the library with a command's options in place of arguments.

    An argument becomes the option that does the same. A sentence that still asks for Python says so.

    Args:
        message: sentences.
        context: of the command; None for one without options.
    """
    sentences = re.split(r"(?<=[.?!]) (?=[A-Z])", message)
    return " ".join(_said(sentence, context) for sentence in sentences)


def _said(sentence: str, context: click.Context | None) -> str:
    has = {option for parameter in context.command.params for option in parameter.opts} if context else set()
    said = _replaced("safe_mode=False, on the command line ", "", sentence)
    if "--probabilities" in has:
        given = context is not None and context.params.get("probabilities")
        if not given:  # those are explained already, or cannot be had
            said = _replaced(rf"the logits \({_LOGITS}\)(?:,| or) ", "", said)
        said = _replaced(
            _LOGITS, "leave --probabilities out" if given else "choose a --layer before it", said
        )
    for name, option in {**OPTIONS, **(context.meta.get(TAKEN, {}) if context else {})}.items():
        if option.split(" ")[0] in has:
            gives = f"{option}=" if " " in option else f"{option} "
            if name in _NONE:
                said = _replaced(rf"\b{name}=None\b", f"{gives}none", said)
            said = _replaced(rf"(?:\b(?:take|pass) )?\b{name}=None\b", f"leave {option} out", said)
            said = _replaced(
                rf"\b{name}=(?P<quote>['\"])(?P<value>\w+)(?P=quote)", rf"{gives}\g<value>", said
            )
            said = _replaced(rf"(?<!--option )\b{name}=(?=\S)", gives, said)
            said = _replaced(rf"(?<!--option )\b{name}\b", option, said) if "_" in name else said
    if _is_python(said) and "in Python" not in said:
        return f"In Python: {sentence}"
    return said


def _replaced(pattern: str, new: str, sentence: str) -> str:
    """Return a sentence with what matches a pattern replaced, but for what is quoted."""
    return re.sub(
        rf"({_QUOTED})|(?:{pattern})", lambda found: found[1] if found[1] else found.expand(new), sentence
    )


def _is_python(sentence: str) -> bool:
    bare = re.sub(rf"{_QUOTED}|--option \w+=?", "''", sentence)
    words = re.findall(r"[a-z]+_\w+", bare)
    return bool(re.search(_PYTHON, bare)) or (bool(words) and not _arguments().isdisjoint(words))


@cache
def _arguments() -> frozenset[str]:
    """Return the names of arguments of the public API that are not English words."""
    from vis import attributions, optimizer, parameterizations, visualization

    modules: list[Any] = [attributions, parameterizations, visualization]
    public = [getattr(module, name) for module in modules for name in module.__all__]
    functions = [thing for thing in public if callable(thing)] + [optimizer.Optimizer.minimize]
    return frozenset(
        name for function in functions for name in inspect.signature(function).parameters if "_" in name
    )
