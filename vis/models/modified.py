"""A model whose derivative follows a rule: the same layers, the same variables, the same predictions."""

from __future__ import annotations

import weakref
from operator import attrgetter
from typing import Any

import keras

from vis import backend
from vis.errors import ModelError, ModifierError, PartialOverrideWarning, warn
from vis.models.alike import reading
from vis.models.calls import first_node, repeated, spec_of
from vis.models.find import Modification, check_built, input_structure, output_structure, unmodified
from vis.models.probe import noting

# A modified model shares the symbolic input of its original, so the input does not tell which one is meant.
_modified_by: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Any]] = weakref.WeakKeyDictionary()


def report_coverage(coverage: backend.Coverage, modifier: str, model: str, rule: backend.Way) -> None:
    """Raise an error if a rule reached no activation of a model, and warn if it missed some.

    Raises:
        ModifierError: if it reached nothing.
    """
    if isinstance(rule, backend.Flow):
        rule.report(coverage, modifier, model)
        return
    missed = f"{', '.join(coverage.missed[:10])}{', ...' if len(coverage.missed) > 10 else ''}"
    if not coverage.reached:
        raise ModifierError(
            f"The backprop modifier {modifier!r} reaches no activation of the model {model!r} between the "
            "input and the explained output, so the gradient would be the plain one. "
            f"{f'It cannot reach: {missed}. ' if missed else ''}It acts on activations whose slopes far to "
            "the left and far to the right differ, such as ReLU, GELU and SiLU: choose a layer after one, or "
            "backprop_modifier=None."
        )
    if coverage.missed:
        count = f"{len(coverage.reached)} activation{'' if len(coverage.reached) == 1 else 's'}"
        warn(
            f"The backprop modifier {modifier!r} reaches {count} of the model {model!r} but not these, which "
            f"keep their true gradient: {missed}. Run them outside loops and functions, or take "
            "backprop_modifier=None.",
            PartialOverrideWarning,
        )


class _Modified(Modification):
    """The base class of all modified models, for every kind of model that they wrap."""

    _compiled: Any
    _examined: bool

    def _modify(self, original: Any, name: str, rule: backend.Way) -> None:
        def run(inputs: Any) -> Any:
            model = noting(original, set()) if backend.is_noting() else original
            return model(inputs, training=False)

        # Kept outside Keras's tracking: the original is the modified model's twin, not one of its layers.
        self.__dict__.update(
            original=original,
            modifier_name=name,
            rule=rule,
            _examined=False,
            _compiled=backend.compile_call(run, rule),
        )

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Return what the original returns for `inputs`, in inference mode."""
        if training:
            raise ModelError(
                f"The model {self.original.name!r} with the backprop modifier {self.modifier_name!r} runs in "
                "inference mode only. Received: training=True. Train the original: they share all variables."
            )
        outputs = self._compiled(inputs)
        if not self._examined:
            self.__dict__["_examined"] = True
            report_coverage(self._compiled.found, self.modifier_name, self.original.name, self.rule)
        return outputs


class _ModifiedFunctional(_Modified, keras.Model):  # type: ignore[misc]
    def __init__(self, original: Any, name: str, rule: backend.Way) -> None:
        super().__init__(
            inputs=input_structure(original), outputs=output_structure(original), name=original.name
        )
        self._modify(original, name, rule)

    @property
    def layers(self) -> Any:
        # A sequential model does not list its input layer; Keras asks before the original is set.
        original = vars(self).get("original")
        return super().layers if original is None else original.layers


class _ModifiedSubclass(_Modified, keras.Model):  # type: ignore[misc]
    def __init__(self, original: Any, name: str, rule: backend.Way) -> None:
        super().__init__(name=original.name)
        self._modify(original, name, rule)
        self.built = True

    layers = property(attrgetter("original.layers"))
    variables = property(attrgetter("original.variables"))
    weights = property(attrgetter("original.weights"))
    trainable_variables = property(attrgetter("original.trainable_variables"))


def modified(model: Any, name: str, rule: backend.Way) -> Any:
    """Return a model over the layers and variables of `model` whose derivative follows `rule`.

    Args:
        model: a built Keras model.
        name: the modifier's name, for messages.
        rule: the derivative of an activation, see `vis.backend.Rule`.

    Raises:
        ModelError: if the model is not built.
        ModifierError: if the rule reaches no activation of a functional or sequential model. A subclassed
            model is checked at its first call.
    """
    check_built(model)
    original, _ = unmodified(model)
    if input_structure(original) is None:
        return _ModifiedSubclass(original, name, rule)
    result = _ModifiedFunctional(original, name, rule)
    specs = keras.tree.map_structure(spec_of, input_structure(original))
    report_coverage(result._compiled.coverage(specs), name, model.name, rule)
    result.__dict__["_examined"] = True
    for symbol in original.inputs:
        _modified_by.setdefault(symbol._keras_history.operation, weakref.WeakSet()).add(result)
    return result


def is_modified_too(symbol: Any) -> bool:
    """Tell whether a modified model exists that shares the symbolic input of its original."""
    return bool(_modified_by.get(symbol._keras_history.operation))


def layer_coverage(layer: Any, rule: backend.Way) -> backend.Coverage | None:
    """Return what a rule reaches in one layer of a graph, or None if the layer is not in a graph.

    Nested models are not searched: ask for their layers one by one.
    """
    if isinstance(layer, keras.Model | keras.layers.InputLayer):
        return backend.Coverage((), ())
    node = first_node(layer)
    if node is None:
        return None
    call, specs = repeated(node, layer)
    return reading(node, rule, lambda: backend.compile_call(call, rule).coverage(specs))
