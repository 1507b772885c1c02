"""Networks that are written twice, in Keras and in PyTorch, and hold the same weights.

Outside TensorFlow, Keras rounds doubles to single precision in a Dense, a BatchNormalization, a
LayerNormalization and a mean. The layers here compute the same from operations that do not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
import zennit.layer
from keras import layers, ops
from lxt.explicit import functional, rules

SIZE, CLASSES = 64, 10
TOKENS, FEATURES, WIDTH, HEADS = 16, 24, 32, 4


class BatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        moments = self.moving_mean, self.moving_variance
        return ops.batch_normalization(x, *moments, self.axis, self.beta, self.gamma, self.epsilon)


class LayerNormalization(layers.LayerNormalization):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        x = x - ops.sum(x, axis=-1, keepdims=True) / x.shape[-1]
        variance = ops.sum(ops.square(x), axis=-1, keepdims=True) / x.shape[-1]
        return x * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta


class Positions(layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.positions = self.add_weight(shape=shape[1:], initializer="random_normal", name="positions")

    def call(self, x: Any) -> Any:
        return x + self.positions


def dense(units: int, activation: str | None = None) -> Any:
    return layers.EinsumDense("...i,io->...o", (units,), activation=activation, bias_axes="o")


def block(x: Any, filters: int, activate: bool = True) -> Any:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = BatchNormalization()(x)
    return layers.ReLU()(x) if activate else x


def pooled(x: Any, pooling: str) -> Any:
    return (layers.MaxPooling2D if pooling == "Max" else layers.AveragePooling2D)(2)(x)


def averaged(x: Any) -> Any:
    return layers.Flatten()(layers.AveragePooling2D(x.shape[1])(x))


def vgg(pooling: str = "Max") -> keras.Model:
    inputs = x = keras.Input((SIZE, SIZE, 3))
    for filters in (16, 32, 64):
        x = pooled(block(block(x, filters), filters), pooling)
    return keras.Model(inputs, dense(CLASSES)(dense(64, "relu")(averaged(x))))


def residual(pooling: str = "Max") -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    x = pooled(block(inputs, 32), pooling)
    for _ in range(3):
        x = layers.ReLU()(layers.Add()([x, block(block(x, 32), 32, activate=False)]))
    return keras.Model(inputs, dense(CLASSES)(averaged(x)))


def encoder() -> keras.Model:
    """Patches that are projected, two blocks of attention and a dense part, and the mean of the tokens."""
    inputs = keras.Input((TOKENS, FEATURES))
    x = Positions()(dense(WIDTH)(inputs))
    for _ in range(2):
        y = LayerNormalization()(x)
        # With the scores, it computes the attention by einsum; otherwise, Keras rounds doubles here, too.
        y, _ = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y, return_attention_scores=True)
        x = layers.Add()([x, y])
        y = dense(WIDTH)(dense(2 * WIDTH, "gelu")(LayerNormalization()(x)))
        x = layers.Add()([x, y])
    x = layers.AveragePooling1D(TOKENS)(LayerNormalization()(x))
    return keras.Model(inputs, dense(CLASSES)(layers.Flatten()(x)))


class TorchBlock(torch.nn.Sequential):  # type: ignore[misc]
    def __init__(self, given: int, filters: int, activate: bool = True) -> None:
        parts = [
            torch.nn.Conv2d(given, filters, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(filters, eps=1e-3),
        ]
        super().__init__(*parts, *([torch.nn.ReLU()] if activate else []))


def torch_pooled(pooling: str) -> Any:
    return (torch.nn.MaxPool2d if pooling == "Max" else torch.nn.AvgPool2d)(2)


class TorchVGG(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, pooling: str = "Max") -> None:
        super().__init__()
        parts: list[Any] = []
        given = 3
        for filters in (16, 32, 64):
            parts += [TorchBlock(given, filters), TorchBlock(filters, filters), torch_pooled(pooling)]
            given = filters
        self.features = torch.nn.Sequential(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.head = torch.nn.Sequential(
            torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, CLASSES)
        )

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x))


class TorchResidual(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, pooling: str = "Max") -> None:
        super().__init__()
        self.begin = torch.nn.Sequential(TorchBlock(3, 32), torch_pooled(pooling))
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(TorchBlock(32, 32), TorchBlock(32, 32, activate=False)) for _ in range(3)
        )
        self.sums = torch.nn.ModuleList(zennit.layer.Sum() for _ in range(3))
        self.after = torch.nn.ModuleList(torch.nn.ReLU() for _ in range(3))
        self.end = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, CLASSES)
        )

    def forward(self, x: Any) -> Any:
        x = self.begin(x)
        for inner, total, after in zip(self.blocks, self.sums, self.after, strict=True):
            # zennit sums over the last axis of a stack, and knows what each summand contributes.
            x = after(total(torch.stack([x, inner(x)], dim=-1)))
        return self.end(x)


class TorchEncoder(torch.nn.Module):  # type: ignore[misc]
    """The encoder of LXT's functions, whose gradients are relevance.

    Args:
        model: the Keras model.
        epsilon: what all its rules take; None for the defaults of LXT.
    """

    def __init__(self, model: keras.Model, epsilon: float | None = None) -> None:
        super().__init__()
        self.weights = [torch.as_tensor(np.asarray(weight)) for weight in model.get_weights()]
        self.given = {} if epsilon is None else {"epsilon": epsilon}

    def forward(self, x: Any) -> Any:
        take = iter(self.weights).__next__

        def projected(x: Any) -> Any:
            # A kernel (features, ..., features) and its bias, of any number of axes.
            kernel, bias = take(), take()
            kernel = kernel.reshape(x.shape[-1], -1)
            return functional.linear_epsilon(x, kernel.T.contiguous(), bias.reshape(-1), **self.given)

        def normalized(x: Any) -> Any:
            stabilizer = self.given.values()
            return functional.layer_norm_grad_fn.apply(x, take(), take(), 1e-3, *stabilizer)

        def by_head(x: Any) -> Any:
            return x.reshape(len(x), TOKENS, HEADS, -1).transpose(1, 2)

        x = functional.add2(projected(x), take(), **self.given)
        for _ in range(2):
            y = normalized(x)
            query, key, value = (by_head(projected(y)) for _ in range(3))
            query = functional.mul2(query, (WIDTH // HEADS) ** -0.5)
            weights = functional.softmax(functional.matmul(query, key.mT, **self.given), -1)
            mixed = functional.matmul(weights, value, **self.given).transpose(1, 2).flatten(2)
            x = functional.add2(x, projected(mixed), **self.given)
            y = rules.identity(torch.nn.functional.gelu, projected(normalized(x)))
            x = functional.add2(x, projected(y), **self.given)
        return projected(functional.mean(normalized(x), 1, True, **self.given).squeeze(1))


def copied(model: keras.Model, module: Any) -> Any:
    """Give a module of PyTorch the weights of a Keras model, layer by layer."""
    kinds = layers.Conv2D | layers.BatchNormalization | layers.EinsumDense
    own = [layer for layer in model.layers if isinstance(layer, kinds)]
    theirs = [
        each
        for each in module.modules()
        if isinstance(each, torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.Linear)
    ]
    for layer, each in zip(own, theirs, strict=True):
        weights = [torch.as_tensor(np.asarray(value)) for value in layer.get_weights()]
        with torch.no_grad():
            if isinstance(layer, layers.Conv2D):
                each.weight.copy_(weights[0].permute(3, 2, 0, 1))
            elif isinstance(layer, layers.EinsumDense):
                each.weight.copy_(weights[0].T)
                each.bias.copy_(weights[1])
            else:
                for name, value in zip(
                    ("weight", "bias", "running_mean", "running_var"), weights, strict=True
                ):
                    getattr(each, name).copy_(value)
    return module.eval()


def randomized(model: keras.Model) -> keras.Model:
    """Give a model biases, and normalizations statistics as after a training, some scales negative."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        name, shape = variable.name, variable.shape
        if name == "gamma":
            variable.assign(rng.normal(1, 0.5, shape))
        elif name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.3, shape))
        elif name == "moving_variance":
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif name == "bias":
            variable.assign(rng.normal(0, 0.1, shape))
    return model
