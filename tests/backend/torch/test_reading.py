"""What PyTorch runs, told in the words of `vis.graph.words`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers, ops

from tests.backend.torch.evaluation import evaluated
from vis import backend, models
from vis.backend.torch.kinds import KINDS
from vis.graph import Graph, find_activations
from vis.graph.elementwise import FUNCTIONS

Make = Callable[..., Any]


def read(function: Make, *shapes: tuple[int, ...], dtype: str = "float32") -> Graph:
    specs = [backend.Spec((None, *shape[1:]), dtype, shape) for shape in shapes]
    return backend.traced(lambda tensors: function(*tensors), specs)


def check(function: Make, *shapes: tuple[int, ...]) -> Graph:
    graph = read(function, *shapes)
    draw = np.random.default_rng(0)
    arrays = [draw.normal(size=shape).astype("float32") for shape in shapes]
    with torch.no_grad():
        wanted = keras.tree.flatten(function(*map(torch.tensor, arrays)))
    for found, each in zip(evaluated(graph, arrays), wanted, strict=True):
        assert found.shape == tuple(each.shape)
        np.testing.assert_allclose(
            np.asarray(found, float), each.double().cpu().numpy(), rtol=2e-4, atol=1e-4
        )
    return graph


ELEMENTWISE: dict[str, Make] = {
    "numbers": lambda x: 1 - (2 * x + 1) / 3 - x / 2 + 2 / (x * x + 1),
    "a factor of a sum": lambda x: (
        torch.add(x, x * x, alpha=3) + torch.sub(x, 2, alpha=2) + torch.rsub(x, x, alpha=2)
    ),
    "powers": lambda x: x**2 + 2**x + x.abs() ** x,
    "logarithms": lambda x: torch.log2(x.abs()) + torch.log10(x.abs()) + torch.exp2(x) + torch.log1p(x.abs()),
    "quotients": lambda x: torch.div(x, 0.7, rounding_mode="floor") + torch.remainder(x, 0.3) + x // 0.4,
    "trigonometry": lambda x: (
        torch.sin(x) + torch.atan2(x, x + 1) + torch.sinh(x) + torch.asinh(x) + torch.erfc(x)
    ),
    "more trigonometry": lambda x: torch.cos(x) + torch.tan(x) + torch.cosh(x) + torch.expm1(x),
    "inverses": lambda x: torch.atan(x) + torch.asin(x / 9) + torch.acos(x / 9) + torch.erf(x),
    "squares": lambda x: torch.square(x) * (x != 1),
    "comparisons": lambda x: (x > 0) * x + torch.where(x <= 0.5, x, 2.0) + torch.where(x == 0, 1.0, 2.0),
    "booleans": lambda x: ops.cast((x > 0) & ~(x > 1) | (x < -1), "float32"),
    "clamped": lambda x: (
        x.clamp(-0.5, 0.5) + x.clamp(min=0) + x.clamp(max=torch.tensor(0.3)) + ops.clip(x, 0, 1)
    ),
    "the larger": lambda x: torch.maximum(x, x * x) + torch.fmin(x, -x) + torch.max(x, x.square()),
    "masked": lambda x: (
        x.masked_fill(x > 0, 3.0) + torch.lerp(x, x * x, 0.25) + torch.addcmul(x, x, x, value=2)
    ),
    "logaddexp": lambda x: torch.logaddexp(x, 2 * x),
    "cast": lambda x: x.to(torch.int32).to(torch.float64) + x.double(),
    "rounded": lambda x: x.round() + x.floor() + x.ceil() + x.sign() + x.reciprocal() + x.abs().rsqrt(),
    "filled": lambda x: (
        torch.full_like(x, 3) + torch.zeros(4) + x.new_ones(4) + torch.arange(4) + torch.eye(4)[0]
    ),
    "written into": lambda x: (x * 1).add_(2).mul_(x).relu_().copy_(x + 1).sub_(1),
    "a part written into": lambda x: torch.zeros_like(x).fill_(2.0) * x,
    "stopped": lambda x: x.detach() + x.clone(),
    "without derivatives": lambda x: without(x) + x,
}


def without(x: Any) -> Any:
    with torch.no_grad():
        return torch.relu(x) * 2


ACTIVATIONS: dict[str, Make] = {
    **{
        name: getattr(F, name)
        for name in (
            "relu relu6 elu selu celu silu mish gelu softplus leaky_relu hardswish hardsigmoid hardtanh "
            "sigmoid tanh logsigmoid softsign tanhshrink softshrink hardshrink rrelu glu"
        ).split()
    },
    **{
        name: getattr(keras.activations, name)
        for name in (
            "sparse_plus squareplus hard_silu sparse_sigmoid soft_shrink hard_shrink tanh_shrink log_sigmoid"
        ).split()
    },
    "gelu, approximate": lambda x: F.gelu(x, approximate="tanh"),
    "elu with alpha": lambda x: F.elu(x, 2.0),
    "celu with alpha": lambda x: F.celu(x, 2.0),
    "steep softplus": lambda x: F.softplus(x, beta=3),
    "threshold": lambda x: F.threshold(x, 0.3, -1.0),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.1, 0.2, 0.3, 0.4])),
    "ReLU of Keras": layers.ReLU(max_value=3, threshold=0.5, negative_slope=0.1),
}
ALONG_AXES: dict[str, Make] = {
    "softmax": lambda x: F.softmax(x, -1) + F.log_softmax(x, 1),
    "reductions": lambda x: (
        x.sum(1) + x.mean((1, 3)).sum(-1, keepdim=True)[:, None] + x.amax((0, 1)) + x.prod(1) + x.amin(1)
    ),
    "of everything": lambda x: x.sum() + x.mean() + x.max() - x.min() + x.prod(),
    "largest": lambda x: x.max(dim=1).values + x.min(dim=1)[0],
    "logsumexp": lambda x: torch.logsumexp(x, (1, 2)) + x.logsumexp(-1, keepdim=True).sum((1, 2)),
    "variances": lambda x: (
        x.var(1)
        + x.std((1,), correction=0)
        + ops.var(x, 1)
        + torch.var_mean(x, 1)[0]
        + torch.std_mean(x, 1)[1]
    ),
    "lengths": lambda x: F.normalize(x) + x.norm() + torch.linalg.vector_norm(x, 1, dim=2, keepdim=True),
    "joined": lambda x: (
        torch.cat([x, x * 2, torch.zeros(0)], 1).sum(1) + torch.stack([x, x + 1], -1).prod(-1).sum(1)
    ),
    "parts": lambda x: sum(x.unbind(1)) + x.chunk(3, 1)[0][:, 0] + x.split(1, 1)[2][:, 0],
    "reversed": lambda x: x.flip(1, -1),
    "chosen": lambda x: (
        x[:, [2, 0]].sum(1)
        + torch.index_select(x, 1, torch.tensor([1, 1])).sum(1)
        + ops.take(x, [0, 2], axis=1).sum(1)
    ),
}
SHAPES: dict[str, Make] = {
    "reshaped": lambda x: x.reshape(2, -1).view(2, 3, -1).flatten(1).unflatten(1, (6, -1)),
    "axes": lambda x: x.unsqueeze(-1).squeeze(-1).permute(0, 3, 1, 2).transpose(1, -1).mT.movedim(1, 2),
    "squeezed": lambda x: (
        x[:, :1].squeeze() + x[:, 1:2].squeeze(1) + x[:, 1:2].squeeze((0, 1)) + x[0, 0].t().T
    ),
    "expanded": lambda x: (
        x[:, :1].expand(-1, 3, -1, -1) + x[:, :1].repeat(1, 3, 1, 1) + x[0, 0].repeat(2, 3, 1, 1)
    ),
    "sliced": lambda x: (
        x[..., 1:-1, ::2]
        + x[:, 0, None, 2:4, 1:3]
        + x.narrow(2, 0, 2)[..., -2:]
        + x.select(1, -1)[:, None, :2, :2]
    ),
    "beyond the end": lambda x: x[:, 1:100] + x[:, -2:] + x[:, -100:2],
    "padded": lambda x: F.pad(x, (1, 2, 0, -1), value=3.0) * 0 + F.pad(x, (1, 2, 0, -1)),
    "mirrored": lambda x: F.pad(x, (1, 2, 0, 1), mode="reflect") + F.pad(x, (1, 2, 0, 1), mode="replicate"),
    "turned": lambda x: torch.rot90(x, 1, (2, 3)) + x.rot90(2, (1, 3)) + x.rot90(-1, (3, 2)) + x.rot90(4),
    "into another shape": lambda x: (x * 1).unsqueeze_(1).squeeze_(1).transpose_(2, 3) + x,
    "repeated": lambda x: ops.repeat(x, 2, axis=1) + ops.tile(x, (1, 2, 1, 1)),
    "pixels from channels": lambda x: F.pixel_unshuffle(F.pixel_shuffle(torch.cat([x, x[:, :1]], 1), 2), 2),
    "one hot": lambda x: F.one_hot((x[:, 0] > 0).long(), 5) + ops.one_hot(ops.cast(x[:, 0] > 0, "int32"), 5),
}
WINDOWS: dict[str, Make] = {
    "convolution": lambda x: F.conv2d(
        x, torch.ones(2, 3, 3, 2), torch.tensor([1.0, 2.0]), (2, 1), (1, 0), (2, 1)
    ),
    "in groups": lambda x: F.conv2d(x, torch.arange(54.0).reshape(6, 1, 3, 3), groups=3, padding="same"),
    "along one axis": lambda x: F.conv1d(x[..., 0], torch.arange(6.0).reshape(1, 3, 2), torch.ones(1)),
    "in a volume": lambda x: F.conv3d(x[..., None], torch.ones(1, 3, 2, 2, 1)),
    "transposed": lambda x: F.conv_transpose2d(
        x, torch.arange(24.0).reshape(3, 2, 2, 2), torch.ones(2), 2, 1, (1, 0)
    ),
    "max pool": lambda x: (
        F.max_pool2d(x, 3, 2, 1) + F.max_pool2d(x, (3, 2), 2, (1, 0), ceil_mode=False)[..., :2, :2].sum()
    ),
    "pools": lambda x: F.avg_pool2d(x, 2, stride=1) + F.max_pool2d(x, 2, 1, dilation=1),
    "pools along one axis": lambda x: F.max_pool1d(x[..., 0], 2) + F.avg_pool1d(x[..., 0], 2),
    "pools of a volume": lambda x: (
        F.max_pool3d(x[..., None], (2, 2, 1)) + F.avg_pool3d(x[..., None], (2, 2, 1))
    ),
    "adaptive": lambda x: (
        F.adaptive_avg_pool2d(x, 2) + F.adaptive_max_pool2d(x, (2, 2)) + F.adaptive_avg_pool2d(x, 1)
    ),
}
NORMALIZATIONS: dict[str, Make] = {
    "batch": lambda x: F.batch_norm(
        x, torch.tensor([0.1, 0.2, 0.3]), torch.ones(3), torch.ones(3) * 2, torch.ones(3), eps=0.01
    ),
    "batch, without weights": lambda x: F.batch_norm(x, torch.zeros(3), torch.ones(3)),
    "instance": lambda x: F.instance_norm(x, weight=torch.ones(3) * 2, bias=torch.ones(3)),
    "group": lambda x: F.group_norm(x, 3, torch.arange(3.0), torch.ones(3)) + F.group_norm(x, 1),
    "layer": lambda x: (
        F.layer_norm(x, (4, 4), torch.arange(16.0).reshape(4, 4))
        + F.layer_norm(x, (4,), None, torch.arange(4.0))
    ),
    "root mean square": lambda x: F.rms_norm(x, (4,), torch.arange(4.0), 1e-3),
}
PRODUCTS: dict[str, Make] = {
    "matrices": lambda x: x[:, 0] @ x[0, 1] + x[:, 0] @ x[:, 1] + torch.matmul(x, x)[:, 0],
    "vectors": lambda x: (
        x[0, 0] @ x[0, 0, 0] + torch.dot(x[0, 0, 0], x[0, 0, 1]) + torch.mv(x[0, 0], x[0, 0, 0])
    ),
    "linear": lambda x: (
        F.linear(x, torch.arange(8.0).reshape(2, 4), torch.ones(2)) + F.linear(x, torch.ones(2, 4))
    ),
    "with a sum": lambda x: (
        torch.addmm(x[0, 0], x[0, 1], x[0, 2], beta=2, alpha=3) + torch.baddbmm(x[0], x[0], x[1])
    ),
    "einsum": lambda x: (
        torch.einsum("bcij,bkij->bck", x, x) + torch.einsum("bcij,cij->bc", x, x[0])[..., None]
    ),
    "attention": lambda x: F.scaled_dot_product_attention(x, x + 1, x * 2),
    "causal attention": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.3),
    "masked attention": lambda x: (
        F.scaled_dot_product_attention(x, x, x, torch.eye(4) > 0)
        + F.scaled_dot_product_attention(x, x, x, torch.eye(4))
    ),
}
GROUPS = {
    "elementwise": (ELEMENTWISE, (2, 4)),
    "activation": (ACTIVATIONS, (3, 4)),
    "axes": (ALONG_AXES, (2, 3, 4, 4)),
    "shape": (SHAPES, (2, 3, 4, 4)),
    "window": (WINDOWS, (2, 3, 4, 4)),
    "norm": (NORMALIZATIONS, (2, 3, 4, 4)),
    "product": (PRODUCTS, (2, 3, 4, 4)),
}


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        pytest.param(function, shape, id=f"{group}: {name}")
        for group, (functions, shape) in GROUPS.items()
        for name, function in functions.items()
    ],
)
def test_the_words_compute_the_same(function: Make, shape: tuple[int, ...]) -> None:
    graph = check(function, shape)
    unnamed = {operation.kind for operation in graph.operations if operation.kind.startswith("aten.")}
    on_the_way = {operation.kind for operation in graph.between(graph.inputs, graph.outputs)}
    assert not unnamed & on_the_way


def test_every_kind_is_compared() -> None:
    functions = [*((each, (2, 4)) for each in ELEMENTWISE.values())]
    functions += [*((each, (3, 4)) for each in ACTIVATIONS.values())]
    told = {operation.kind for each, shape in functions for operation in read(each, shape).operations}
    assert set(FUNCTIONS) & set(KINDS.values()) <= told


def kinds(graph: Graph) -> list[str]:
    return [operation.kind for operation in graph.operations if operation.kind not in ("input", "constant")]


def test_what_is_known_before() -> None:
    """Numbers and tensors made of them are constants; weights, of PyTorch or Keras, are not."""
    module, layer = torch.nn.BatchNorm2d(3).eval(), layers.Dense(3)
    layer.build((None, 3))

    def function(x: Any) -> Any:
        table = torch.tensor([1.0, 2.0, 3.0]).to(torch.float64).float() * 2
        return layer(module(x).mean((2, 3))) + table

    graph = read(function, (1, 3, 4, 4))
    made = {operation.outputs[0]: operation for operation in graph.operations}
    variables = [operation for operation in graph.operations if operation.kind == "variable"]
    assert [each.attributes["name"] for each in variables] == ["", "", layer.kernel.path, layer.bias.path]
    assert all(value.constant is None for each in variables for value in each.outputs)
    (end,) = graph.outputs
    np.testing.assert_allclose(made[end].operands[1].constant, [2.0, 4.0, 6.0])


def test_a_number_for_many_is_no_large_constant() -> None:
    graph = read(lambda x: x + torch.zeros(1000, 1000) + torch.full((1000, 1000), 2.0), (1, 1))
    added = [each.operands[1].constant for each in graph.operations if each.kind == "add"]
    assert [(each.flat[0], each.strides) for each in added] == [(0, (0, 0)), (2, (0, 0))]


def test_random_numbers_are_not_known() -> None:
    graph = read(lambda x: F.dropout(x) * torch.rand(4) + torch.bernoulli(x * 0), (2, 4))
    drawn = [operation for operation in graph.operations if operation.kind == "random"]
    assert len(drawn) == 3
    assert [len(operation.operands) for operation in drawn] == [0, 0, 1]
    assert all(value.constant is None for operation in drawn for value in operation.outputs)


def test_what_no_word_tells_keeps_its_name() -> None:
    graph = read(lambda x: torch.cumsum(x, 1).sort().values.roll(1, 1)[x > 0], (1, 4))
    assert [kind for kind in kinds(graph) if "." in kind] == [
        "aten.cumsum",
        "aten.sort",
        "aten.roll",
        "aten.index",
    ]
    graph = read(lambda x: torch.nn.LSTM(4, 3)(x)[0], (2, 3, 4))
    assert "loop" in kinds(graph)


def test_pytorch_s_own_steps_are_left_out() -> None:
    """Results that are kept for a derivative, and what shares memory with what is written into."""
    assert kinds(read(torch.sigmoid, (1, 4))) == ["sigmoid"]
    assert kinds(read(lambda x: (x + 1).view(4).relu_(), (1, 4))) == ["add", "reshape", "relu"]
    assert kinds(read(lambda x: F.layer_norm(x, (4,)).detach(), (1, 4)))[-1] == "stop_gradient"


def test_a_part_that_is_written_into_has_no_word() -> None:
    def function(x: Any) -> Any:
        y = x + 1
        y[:, :2].relu_()
        return y * 2

    graph = read(function, (1, 4))
    assert kinds(graph) == ["add", "slice", "relu", "aten.as_strided_scatter", "multiply"]


def test_where_no_derivative_is_taken() -> None:
    graph = read(without, (1, 4))
    assert kinds(graph) == ["relu", "stop_gradient", "multiply", "stop_gradient"]
    assert not find_activations(graph, graph.inputs, graph.outputs).found


def test_a_derivative_of_one_s_own() -> None:
    class Tripled(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any, y: Any) -> Any:
            return torch.relu(x)

        @staticmethod
        def backward(context: Any, incoming: Any) -> Any:
            return 3 * incoming, None

    graph = read(lambda x: Tripled.apply(x * 2, 1.0) + 1, (1, 4))
    assert kinds(graph) == ["multiply", "relu", "stop_gradient", "identity", "add"]
    (region,) = find_activations(graph, graph.inputs, graph.outputs).found
    assert [operation.attributes.get("differentiated") for operation, _ in region.route] == [(1,)]


def test_calls_of_layers() -> None:
    shared = layers.ReLU(name="shared")
    entry = keras.Input((4,))
    inner = keras.Model(entry, shared(layers.Dense(3, name="dense")(entry)), name="inner")
    model = keras.Model(entry, shared(inner(entry)))
    graph = models.read(model)
    told = [(call.path, call.index) for call in graph.calls]
    assert told == [("inner/dense", 0), ("shared", 0), ("inner", 0), ("shared", 1), ("", 0)]
    assert all(call.is_layer for call in graph.calls)
    by_path = {call.path: call for call in graph.calls}
    names = [each.name for each in graph.operations[by_path["inner"].first : by_path["inner"].stop]]
    assert names[-2:] == ["inner/dense/1", "shared/2"]
    assert by_path[""].outputs == graph.outputs


def test_windows_have_an_entry_for_each_axis() -> None:
    """Keras pads before a convolution with a stride: that is an operation of its own."""
    graph = read(lambda x: layers.Conv2D(4, 3, 2, padding="same")(x), (1, 9, 8, 3))
    (pad,) = [each for each in graph.operations if each.kind == "pad"]
    (found,) = [each for each in graph.operations if each.kind == "convolution"]
    assert pad.attributes["paddings"] == [(0, 0), (0, 0), (1, 1), (0, 1)]
    assert found.attributes == {
        "window": [1, 1, 3, 3],
        "strides": [1, 1, 2, 2],
        "dilations": [1, 1, 1, 1],
        "padding": [(0, 0)] * 4,
        "channels": 1,
        "groups": 1,
        "transposed": False,
        "filters": (0,),
    }
