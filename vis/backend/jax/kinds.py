"""The words of `vis.graph.words` for the primitives of JAX that have one of their own."""

from __future__ import annotations

# Elementwise, with the operands in the same order.
ELEMENTWISE = {
    "stop_gradient": "stop_gradient",
    "add": "add",
    "add_any": "add",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "rem": "truncated_remainder",
    "pow": "power",
    "max": "maximum",
    "min": "minimum",
    "atan2": "arctan2",
    "neg": "negative",
    "abs": "absolute",
    "sign": "sign",
    "square": "square",
    "sqrt": "square_root",
    "rsqrt": "reciprocal_square_root",
    "exp": "exponential",
    "expm1": "exponential_minus_1",
    "log": "logarithm",
    "log1p": "logarithm_of_1_plus",
    "sin": "sine",
    "cos": "cosine",
    "tan": "tangent",
    "asin": "arcsine",
    "acos": "arccosine",
    "atan": "arctangent",
    "sinh": "hyperbolic_sine",
    "cosh": "hyperbolic_cosine",
    "tanh": "hyperbolic_tangent",
    "asinh": "inverse_hyperbolic_sine",
    "erf": "error_function",
    "erfc": "complementary_error_function",
    "logistic": "sigmoid",
    "floor": "floor",
    "ceil": "ceiling",
    "round": "round",
    "is_finite": "is_finite",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
# Of booleans only: of integers, they work bit by bit.
LOGICAL = {"and": "logical_and", "or": "logical_or", "not": "logical_not", "xor": "not_equal"}
# The function of NumPy that does the same.
REDUCTIONS = {
    "reduce_sum": "sum",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "prod",
}
IDENTITIES = frozenset(
    "copy optimization_barrier reduce_precision sharding_constraint device_put pvary".split()
)
RANDOM = frozenset(
    "random_bits random_wrap random_unwrap random_seed random_split random_fold_in random_gamma_grad "
    "threefry2x32 rng_bit_generator rng_uniform random_clone".split()
)
# Their bodies are run several times, or not as they are written.
LOOPS = frozenset("while scan cond remat2 checkpoint pallas_call custom_linear_solve".split())
# A function with a derivative of its own, whose body stands before it, see `vis.backend.jax.program`.
CUSTOM = "custom_derivative"
