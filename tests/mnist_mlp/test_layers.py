"""Each layer by itself: at zero, where exp overflows, and in its types.

That they are right in between, together, is seen in test_checks.py: the gradient check, and the
steps that PyTorch takes too.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from mnist_mlp import layers
from mnist_mlp.layers import Array


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape)


ACTIVATIONS = [
    (layers.ReLU(), nn.ReLU()),
    (layers.LeakyReLU(0.3), nn.LeakyReLU(0.3)),
    (layers.Sigmoid(), nn.Sigmoid()),
    (layers.Tanh(), nn.Tanh()),
]


@pytest.mark.parametrize(("ours", "theirs"), ACTIVATIONS)
def test_activations_agree_with_pytorch(ours: Any, theirs: nn.Module) -> None:
    """Rectifiers exactly, also at 0, where a unit is not active."""
    x = np.concatenate([5 * normal(200), [0.0, -0.0, 5e-324, -5e-324, 1e300, -1e300]])
    t_x: Any = torch.tensor(x, requires_grad=True)
    g = np.linspace(-2, 2, len(x))
    t_y = theirs(t_x)
    t_y.backward(torch.tensor(g))
    rectifier = hasattr(ours, "active")
    tolerance = 0 if rectifier else 1e-15  # a few roundings of 1e-16
    assert_allclose(ours.forward(x), t_y.detach(), rtol=0, atol=tolerance)
    assert_allclose(ours.backward(g), t_x.grad, rtol=0, atol=tolerance)
    if rectifier:
        assert_array_equal(ours.active, x > 0)


DROPOUT = layers.Dropout(0.5, np.random.default_rng(0))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", [*(ours for ours, _ in ACTIVATIONS), DROPOUT])
def test_layers_keep_the_type_and_change_no_argument(layer: Any, dtype: type) -> None:
    """Inputs of 1000 too, where exp would overflow."""
    x: Array = (1000 * normal(3, 4)).astype(dtype)
    before, g = x.copy(), -x
    y, grad = layer.forward(x), layer.backward(g)
    assert y.dtype == grad.dtype == dtype
    assert np.isfinite([y, grad]).all()
    assert_array_equal(x, before)
    assert_array_equal(g, -before)


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
