"""The values that every path crosses, against all paths one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from vis.graph import Graph, Operation, Value, find_cuts


def value(name: str, dtype: str = "float32") -> Value:
    return Value(name, (1,), dtype)


def step(kind: str, operands: list[Value], *outputs: Value) -> Operation:
    return Operation(f"make_{outputs[0].name}", kind, tuple(operands), outputs)


def drawn(seed: int) -> Graph:
    """Return a random computation: each operation takes up to three values that are there."""
    draw = random.Random(seed)
    values = [value("x"), value("y")]
    operations = [step("input", [], each) for each in values]
    for index in range(draw.randint(1, 12)):
        recent = values[-draw.choice([1, 2, 4, 20]) :]
        operands = [draw.choice(recent) for _ in range(draw.randint(1, 3))]
        outputs = [value(f"v{index}_{part}") for part in range(draw.choice([1, 1, 1, 2]))]
        kind = draw.choice(["add"] * 8 + ["shape", "stop_gradient"])
        operations.append(step(kind, operands, *outputs))
        values += outputs
    ends = draw.sample(values[2:], min(draw.choice([1, 1, 2]), len(values) - 2))
    return Graph(operations, values[:2], ends)


def paths(graph: Graph, source: Value, ends: set[Value]) -> Iterator[list[Value]]:
    """Yield all paths along derivatives, one by one."""
    if source in ends:
        yield [source]
    for operation in graph.users(source):
        if operation.kind not in ("shape", "stop_gradient"):
            for output in operation.outputs:
                yield from ([source, *path] for path in paths(graph, output, ends))


@pytest.mark.parametrize("seed", range(200))
def test_what_all_paths_cross(seed: int) -> None:
    graph = drawn(seed)
    for source in graph.inputs:
        found = find_cuts(graph, source, graph.outputs)
        every = list(paths(graph, source, set(graph.outputs)))
        common = set.intersection(*map(set, every)) if every else set()
        assert set(found) == common
        if every:
            assert found == [each for each in every[0] if each in common]


def test_a_mask_of_tokens_is_no_path() -> None:
    tokens, table, zero = value("tokens", "int32"), value("table"), value("zero", "int32")
    embedded, kept, mask, masked = value("embedded"), value("kept", "bool"), value("mask"), value("masked")
    operations = [
        step("input", [], tokens),
        step("variable", [], table),
        step("constant", [], zero),
        step("gather", [table, tokens], embedded),
        step("not_equal", [tokens, zero], kept),
        step("cast", [kept], mask),
        step("multiply", [embedded, mask], masked),
    ]
    graph = Graph(operations, [tokens], [masked])
    assert find_cuts(graph, tokens, [masked]) == [tokens, embedded, masked]
