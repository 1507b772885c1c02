"""Custom functions that use the wrong array library: an error that names the line to change.

A loss, an operator or a rule is written in `keras.ops`: it receives tensors whose values are not known yet,
or that are differentiated; a gradient modifier is written in NumPy. What such a function calls is read from
its source and from what its names stand for where it fails, and not from the message of a framework.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from vis.errors import ModifierError, VisError

# Whose functions compute with arrays, and what messages call them.
_LIBRARIES = {
    "builtins": "Python",
    "jax": "JAX",
    "jaxlib": "JAX",
    "keras": "Keras",
    "math": "Python",
    "numpy": "NumPy",
    "scipy": "SciPy",
    "tensorflow": "TensorFlow",
    "torch": "PyTorch",
}
# What another library calls a function of `keras.ops` or NumPy.
_NAMES = {
    "cat": "concatenate",
    "clamp": "clip",
    "clip_by_value": "clip",
    "concat": "concatenate",
    "div": "divide",
    "fabs": "absolute",
    "mul": "multiply",
    "permute": "transpose",
    "pow": "power",
    "sub": "subtract",
    "unsqueeze": "expand_dims",
}
# What an operator between arrays is called there.
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.MatMult: "matmul",
    ast.Mod: "mod",
    ast.Mult: "multiply",
    ast.Pow: "power",
    ast.Sub: "subtract",
}
# The methods by which tensors give their values to Python.
_VALUES = ("item", "numpy", "tolist")
_KEYWORDS = {"dim": "axis", "keepdim": "keepdims"}
_UNKNOWN = object()


@contextlib.contextmanager
def foreign_arrays(
    what: str,
    function: Callable[..., Any],
    error: type[VisError] = ModifierError,
    library: str = "keras.ops",
) -> Iterator[None]:
    """Explain why a custom function, called inside, fails if it uses the wrong array library.

    Any other failure is raised as it is.

    Args:
        what: what the function is, for the message: "The operator".
        function: the function, or an object that is called like one.
        error: the class of the error.
        library: what the function is to be written in, "keras.ops" or "numpy".

    Raises:
        VisError: of the class `error`, with the function, the line, what it uses, and what to write instead.
    """
    try:
        yield
    except VisError:
        raise
    except Exception as failure:
        where = _where(failure.__traceback__, function)
        found = None if where is None else _found(failure, *where, library)
        if where is None or found is None:
            raise
        frame, number = where
        file = frame.f_code.co_filename
        raise error(
            f"{what} {called(function)} must be written in {library}. Received: {file}, line {number}: "
            f"{linecache.getline(file, number).strip()!r}, {found}"
        ) from failure


def called(function: Any) -> str:
    """Return what a function, or an object that is called like one, is called in messages."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return repr(name.split("<locals>.")[-1])


def defined(function: Any) -> str:
    """Return what a function is called in messages, with its file and line if it has any."""
    code = _code(function)
    return called(function) + (f" ({code.co_filename}, line {code.co_firstlineno})" if code else "")


def described(value: Any) -> str:
    """Return what a value is, in words: "an array of NumPy of shape (2, 3)"."""
    library = _library_of(value)
    if library is None:
        return f"{value!r} of type {type(value).__name__}"
    kind = "an array" if library == "NumPy" else "a symbolic tensor" if library == "Keras" else "a tensor"
    return f"{kind} of {library} of shape {sizes(value.shape)}"


def sizes(shape: Any) -> tuple[int | None, ...]:
    """Return a shape, with None for sizes that are not known yet."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def _where(trace: TracebackType | None, function: Any) -> tuple[FrameType, int] | None:
    """Return the frame and the line of the user's code that a failure comes from: the innermost one."""
    own = _code(function)
    found = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        module = str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0]
        known = module in (*_LIBRARIES, __name__.split(".")[0]) or module in sys.stdlib_module_names
        if not (known or "-packages" in file) or (own is not None and file == own.co_filename):
            found = (trace.tb_frame, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _asks_for_truth(failure: Exception, frame: FrameType) -> bool:
    """Tell whether a failure is that of a tensor of several values whose truth a frame asks for."""
    inner, trace = None, failure.__traceback__
    while trace is not None and inner is not frame:
        inner, trace = trace.tb_frame, trace.tb_next
    # PyTorch raises it outside of Python, or under a mode, such as a default device.
    if trace is None or trace.tb_frame.f_code.co_name == "__torch_function__":
        return isinstance(failure, RuntimeError)
    return isinstance(failure, ValueError) and trace.tb_frame.f_code.co_name == "__bool__"


def _code(function: Any) -> CodeType | None:
    """Return the code of a function, or of an object that is called like one."""
    plain = inspect.isfunction(function) or inspect.ismethod(function)
    code: CodeType | None = getattr(
        inspect.unwrap(function if plain else type(function).__call__), "__code__", None
    )
    return code


def _found(failure: Exception, frame: FrameType, number: int, library: str) -> str | None:
    """Return what is wrong at a line and what to write instead, or None."""
    # What the frameworks raise for a tensor as a truth value: some of them only if it has several values.
    several = _asks_for_truth(failure, frame)
    unread = library == "keras.ops" and (several or isinstance(failure, TypeError))
    refused = isinstance(failure, TypeError | ValueError | RuntimeError | AttributeError)
    nodes = _nodes(frame.f_code.co_filename, number)
    for node in nodes:
        if refused and isinstance(node, ast.Call) and (found := _call(node, frame, library)):
            return found
        mixed = isinstance(failure, TypeError | RuntimeError) and isinstance(node, ast.BinOp)
        if mixed and (found := _mixed(node, frame, library)):  # type: ignore[arg-type]
            return found
        if isinstance(node, ast.Attribute) and isinstance(failure, AttributeError):
            if found := _absent(failure, node, frame, library):
                return found
            missing = failure.name in (None, node.attr) and _tensors(node.value, frame)
            if missing and not hasattr(missing[0], node.attr):
                made = [call for call in nodes if isinstance(call, ast.Call) and call.func is node]
                call = made[0] if made else ast.Call(node, [], [])
                advice = _advice(node, [node.value, *call.args], call.keywords, library)
                return f"where {described(missing[0])} has no {node.attr!r}. {advice}"
        tests: list[ast.expr] = []
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            tests = [node.test]
        elif isinstance(node, ast.BoolOp):
            tests = node.values
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            tests = [node.operand]
        if unread and any(_tensors(test, frame) for test in tests):
            which = "whether several values are true" if several else "for a value that is not known yet"
            return f"which asks {which}. Write keras.ops.where(condition, a, b)."
        stored = node.value if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) else None
        if library == "keras.ops" and refused and stored is not None and _tensors(stored, frame):
            return "which writes into a tensor. Write keras.ops.where(condition, a, b)."
    return None


def _absent(failure: AttributeError, node: ast.Attribute, frame: FrameType, library: str) -> str | None:
    """Return that a module lacks a function which the library has, such as `keras.backend.mean`, or None."""
    module = _value(node.value, frame)
    if not isinstance(module, ModuleType) or (failure.obj, failure.name) != (module, node.attr):
        return None
    advice = _advice(node, [], [], library)
    if advice.startswith("Write it"):
        return None
    old = ast.unparse(node.value)
    name = module.__name__.replace("keras.api.", "keras.")  # where older versions of Keras keep its modules
    return f"where {name} has no {node.attr!r}. Write {library} in place of {old}."


def _nodes(file: str, number: int) -> list[ast.AST]:
    """Return the syntax of a line, the innermost first."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, SystemError):  # the second in several threads at once, by a fault of Python 3.11
        return []
    nodes = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.expr | ast.If | ast.While)
        and node.lineno <= number <= (node.end_lineno or node.lineno)
        and (isinstance(node, ast.expr) or number <= (node.test.end_lineno or 0))
    ]
    return [*reversed(nodes)]


def _call(node: ast.Call, frame: FrameType, library: str) -> str | None:
    """Return what is wrong with a call of another library's function on a tensor, or None."""
    if library == "keras.ops" and isinstance(node.func, ast.Attribute) and node.func.attr in _VALUES:
        held = _tensors(node.func.value, frame)
        if held and hasattr(held[0], node.func.attr):
            told = f"which asks {described(held[0])} for its values"
            return f"{told}. Write it with the functions of {library}."
    function = _value(node.func, frame)
    root = node.func
    while isinstance(root, ast.Attribute):
        root = root.value
    module = _value(root, frame)
    if function is _UNKNOWN or not callable(function):
        return None
    if not isinstance(module, ModuleType):
        module = function
    name = module.__name__ if isinstance(module, ModuleType) else _module_of(module)
    its = _LIBRARIES.get(name.split(".")[0])
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    given = [tensor for argument in arguments for tensor in _tensors(argument, frame)]
    if its is None or its == "Keras":
        return None
    strange = [tensor for tensor in given if _library_of(tensor) != its]
    if not strange:
        return None
    advice = _advice(node.func, node.args, node.keywords, library)
    return f"which calls {its} on {described(strange[0])}. {advice}"


def _mixed(node: ast.BinOp, frame: FrameType, library: str) -> str | None:
    """Return what is wrong with an operator between an array of NumPy and a tensor, or None."""
    sides = (node.left, node.right)
    tensors = [each for side in sides for each in _tensors(side, frame) if _library_of(each) != "NumPy"]
    name = _OPERATORS.get(type(node.op))
    arrays = any(_makes_arrays(side, frame) for side in sides)
    if library != "keras.ops" or name is None or not tensors or not arrays:
        return None
    new = ast.fix_missing_locations(ast.Call(ast.Name(f"{library}.{name}"), [*sides], []))
    return f"which mixes NumPy with {described(tensors[0])}. Write {ast.unparse(new)}."


def _makes_arrays(node: ast.expr, frame: FrameType) -> bool:
    """Tell whether an expression is an array of NumPy: the name of one, or a call of a function of NumPy."""
    value = _value(node, frame)
    if isinstance(node, ast.Call):
        function = _value(node.func, frame)
        return function is not _UNKNOWN and _module_of(function).split(".")[0] == "numpy"
    return value is not _UNKNOWN and _library_of(value) == "NumPy"


def _advice(func: ast.expr, arguments: list[ast.expr], keywords: list[ast.keyword], library: str) -> str:
    """Return what to write in place of a call, if the library has a function for it."""
    import keras
    import numpy as np

    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    name = _NAMES.get(name, name).removeprefix("reduce_")
    of = keras.ops if library == "keras.ops" else np
    if not callable(getattr(of, name, None)):
        return f"Write it with the functions of {library}."
    named = [ast.keyword(_KEYWORDS.get(each.arg or "", each.arg), each.value) for each in keywords]
    new = ast.Call(ast.Name(f"{library}.{name}"), arguments, named)
    return f"Write {ast.unparse(ast.fix_missing_locations(new))}."


def _tensors(node: ast.AST, frame: FrameType) -> list[Any]:
    """Return the arrays and tensors that an expression names."""
    value = _value(node, frame)
    if value is not _UNKNOWN:  # of x.shape, say, x is no part
        return [] if _library_of(value) is None else [value]
    parts = [
        part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr | ast.keyword | ast.slice)
    ]
    return [tensor for part in parts for tensor in _tensors(part, frame)]


def _value(node: ast.AST, frame: FrameType) -> Any:
    """Return what a name, or an attribute of one, stands for in a frame."""
    if isinstance(node, ast.Name):
        spaces = (frame.f_locals, frame.f_globals, frame.f_builtins)
        return next((space[node.id] for space in spaces if node.id in space), _UNKNOWN)
    if isinstance(node, ast.Attribute):
        with contextlib.suppress(Exception):
            return getattr(_value(node.value, frame), node.attr)
    return _UNKNOWN


def _library_of(value: Any) -> str | None:
    """Return the library of an array or tensor, or None for anything else."""
    if not hasattr(type(value), "shape") or not hasattr(type(value), "dtype"):
        return None
    return _LIBRARIES.get(_module_of(type(value)).split(".")[0])


def _module_of(thing: Any) -> str:
    return str(getattr(thing, "__module__", None) or type(thing).__module__)
