"""What tests need, by means of JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grain
import jax
import jax.numpy as jnp
import keras
import numpy as np

from tests.native.rows import Rows

relu, softmax, matmul, compiled = jax.nn.relu, jax.nn.softmax, jnp.matmul, jax.jit
seed, forget = keras.utils.set_random_seed, jax.clear_caches


def gradients(function: Callable[..., Any], arrays: Sequence[Any]) -> list[Any]:
    """Return the gradient of the sum of what a function returns by each of its tensors, as arrays."""
    tensors = [jnp.asarray(array) for array in arrays]
    total = lambda *given: jnp.sum(function(*given))  # noqa: E731
    return [np.asarray(each) for each in jax.grad(total, tuple(range(len(tensors))))(*tensors)]


def by_variables(function: Callable[[], Any], variables: Sequence[Any]) -> list[Any]:
    """Return the gradient of the sum of what a function returns by Keras variables, as arrays."""

    def total(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return jnp.sum(function())

    return [np.asarray(each) for each in jax.grad(total)([each.value for each in variables])]


def pullback(function: Callable[[Any], Any], x: Any, incoming: Any) -> Any:
    """Return the derivative of a function at a tensor, times what comes in from above."""
    (found,) = jax.vjp(function, x)[1](incoming)
    return found


def with_gradient(forward: Callable[[Any], Any], backward: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """Return a function of a tensor whose gradient is `backward(x, incoming)`."""
    ruled = jax.custom_vjp(lambda x: forward(x))
    ruled.defvjp(lambda x: (forward(x), x), lambda x, incoming: (backward(x, incoming),))
    return ruled


def observe(function: Callable[[Any], Any], x: Any) -> Any:
    """Return a tensor, and call a function with its values whenever it is computed."""

    def seen(array: Any) -> Any:
        function(array)
        return array

    return jax.pure_callback(seen, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def hidden_relu(x: Any) -> Any:
    """Return the positive part, computed in a loop."""
    return jax.lax.scan(lambda y, _: (jax.nn.relu(y), None), x, None, length=1)[0]


def double() -> Any:
    """Return a context in which it computes in 64 bits where it is asked to."""
    return jax.enable_x64(True)


def traced(function: Callable[[Any], Any]) -> None:
    """Call a function with a tensor, rows of three, as the framework traces it."""
    jax.eval_shape(function, jax.ShapeDtypeStruct((2, 3), "float32"))


def dataset(parts: Any, batch_size: int | None = None) -> Any:
    """Return a data set of arrays or a tuple of them, in batches if a size is given."""
    rows = grain.MapDataset.source(Rows(parts))
    return rows if batch_size is None else rows.batch(batch_size)


def draw() -> float:
    """Return a random number by the framework, seeded by `keras.utils.set_random_seed`."""
    return float(keras.random.uniform(()))  # JAX itself holds no state
