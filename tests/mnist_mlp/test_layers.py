"""Every layer, forward and backward, against PyTorch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional

from mnist_mlp import layers
from mnist_mlp.layers import Array

# The same few float64 operations in another order: a few units of 2e-16, with room for sums.
ROUNDING = 1e-13


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape)


def tensor(values: Array) -> Any:
    return torch.tensor(values, requires_grad=True)


def test_affine_agrees_with_pytorch_for_one_minibatch_after_the_other() -> None:
    """Gradients replace those of the minibatch before, whatever its size was."""
    layer = layers.Affine(normal(4, 3), normal(3))
    for n in (5, 2, 7):
        x, W, b = tensor(normal(n, 4)), tensor(layer.W), tensor(layer.b)
        y, g = functional.linear(x, W.T, b), normal(n, 3)
        y.backward(torch.tensor(g))
        assert_allclose(layer.forward(normal(n, 4)), y.detach(), atol=ROUNDING)
        assert_allclose(layer.backward(g), x.grad, atol=ROUNDING)
        assert_allclose(layer.dW, W.grad, atol=ROUNDING)
        assert_allclose(layer.db, b.grad, atol=ROUNDING)


RECTIFIERS = [(layers.LeakyReLU(alpha), nn.LeakyReLU(alpha)) for alpha in (0.01, 0.1, 0.3, 0.99)]
SMOOTH = [(layers.Sigmoid(), nn.Sigmoid()), (layers.Tanh(), nn.Tanh())]


@pytest.mark.parametrize(("ours", "theirs"), [(layers.ReLU(), nn.ReLU()), *RECTIFIERS, *SMOOTH])
def test_activations_agree_with_pytorch(ours: Any, theirs: nn.Module) -> None:
    """Rectifiers exactly, also at 0, where a unit is not active."""
    x = np.concatenate([5 * normal(200), [0.0, -0.0, 5e-324, -5e-324, 1e300, -1e300]])
    t_x, g = tensor(x), np.linspace(-2, 2, len(x))
    t_y = theirs(t_x)
    t_y.backward(torch.tensor(g))
    rectifier = hasattr(ours, "active")
    tolerance = 0 if rectifier else 1e-15  # a few roundings of 1e-16
    assert_allclose(ours.forward(x), t_y.detach(), rtol=0, atol=tolerance)
    assert_allclose(ours.backward(g), t_x.grad, rtol=0, atol=tolerance)
    if rectifier:
        assert_array_equal(ours.active, x > 0)


ELEMENTWISE = [
    *(layers.ReLU(), layers.LeakyReLU(0.3), layers.Sigmoid(), layers.Tanh()),
    layers.Dropout(0.5, np.random.default_rng(0)),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", ELEMENTWISE)
def test_layers_keep_the_type_and_change_no_argument(layer: Any, dtype: type) -> None:
    """Inputs of 1000 too, where exp would overflow."""
    x: Array = (1000 * normal(3, 4)).astype(dtype)
    before, g = x.copy(), -x
    y, grad = layer.forward(x), layer.backward(g)
    assert y.dtype == grad.dtype == dtype
    assert np.isfinite([y, grad]).all()
    assert_array_equal(x, before)
    assert_array_equal(g, -before)


def test_dropout_goes_backward_through_the_mask_of_its_forward_pass() -> None:
    layer = layers.Dropout(0.3, np.random.default_rng(3))
    first, second = (layer.forward(np.ones((20, 30))) for _ in range(2))
    assert not np.array_equal(first, second)  # each forward pass has its own
    assert_array_equal(layer.backward(np.full((20, 30), 7.0)), 7 * second)


def test_cross_entropy_agrees_with_pytorch() -> None:
    logits, labels, loss = 5 * normal(4, 10), np.array([0, 9, 3, 3]), layers.SoftmaxCrossEntropy()
    t_logits = tensor(logits)
    t_loss = functional.cross_entropy(t_logits, torch.tensor(labels))
    t_loss.backward()
    assert loss.forward(logits, labels) == pytest.approx(t_loss.item(), abs=ROUNDING)
    assert_allclose(loss.backward(), t_logits.grad, atol=ROUNDING)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_cross_entropy_is_right_at_logits_of_plus_and_minus_1000(dtype: type) -> None:
    logits: Array = np.array([[1000, -1000, 0], [-1000, -1000, -1000]], dtype)
    loss = layers.SoftmaxCrossEntropy()
    # Rows: the loss is 2000 for a hopeless label; log 3 where all logits are equal.
    value = loss.forward(logits, np.array([1, 0]))
    assert value == pytest.approx((2000 + math.log(3)) / 2, rel=1e-6)  # float32 has 7 digits
    expected = np.array([[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3]]) / 2
    assert_allclose(loss.backward(), expected, rtol=1e-6)
    assert loss.backward().dtype == dtype
    assert loss.forward(logits[:1], np.array([0])) == 0
