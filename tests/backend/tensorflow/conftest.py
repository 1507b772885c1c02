"""These tests are of TensorFlow alone."""

import keras

collect_ignore_glob = [] if keras.config.backend() == "tensorflow" else ["test_*.py"]
