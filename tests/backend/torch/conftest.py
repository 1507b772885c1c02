"""These tests are of PyTorch alone."""

import keras

collect_ignore_glob = [] if keras.config.backend() == "torch" else ["test_*.py"]
