"""Groups of elementwise operations in NumPy; the operations one by one are in the tests of the backends."""

from __future__ import annotations

import numpy as np
from keras import ops

from tests.graph.comparing import read
from vis.graph.elementwise import evaluated


def test_a_group_is_a_function_of_its_start() -> None:
    graph = read(lambda x, y: (ops.relu(x) - 0.25 * ops.relu(-x)) * y, 2, "float32")
    operations = list(graph.between(graph.inputs[:1], graph.outputs))
    x = np.array([[-4.0, 0.0], [1.0, 3.0]])
    other = lambda value: 10.0 if value.constant is None else value.constant  # noqa: E731
    found = evaluated(operations, graph.inputs[0], graph.outputs[0], x, other)
    np.testing.assert_allclose(found, np.where(x > 0, x, 0.25 * x) * 10)
