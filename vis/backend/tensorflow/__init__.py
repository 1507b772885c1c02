"""The TensorFlow backend."""

from vis.backend.tensorflow.compiled import compile_call, compile_gradient

__all__ = ["compile_call", "compile_gradient"]
