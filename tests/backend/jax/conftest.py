"""These tests are of JAX alone."""

import keras

collect_ignore_glob = [] if keras.config.backend() == "jax" else ["test_*.py"]
