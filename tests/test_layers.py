"""Every layer, forward and backward, against hand-worked cases and PyTorch."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn import functional

from mnist_mlp.layers import Affine, Array, Dropout, LeakyReLU, ReLU, SoftmaxCrossEntropy

# The same few float64 operations in another order: a few units of 2e-16, with room for sums.
ROUNDING = 1e-13
LABELS = np.array([0, 9, 3, 3])


def gradient(tensor: torch.Tensor) -> Array:
    assert tensor.grad is not None
    return tensor.grad.numpy()


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape)


def test_affine_is_the_hand_worked_case() -> None:
    layer = Affine(W=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), b=np.array([10.0, 20.0]))
    assert_array_equal(layer.forward(np.array([[1.0, 0.0, -1.0]])), [[6.0, 16.0]])
    assert_array_equal(layer.backward(np.array([[1.0, -1.0]])), [[-1.0, -1.0, -1.0]])
    assert_array_equal(layer.dW, [[1.0, -1.0], [0.0, 0.0], [-1.0, 1.0]])
    assert_array_equal(layer.db, [1.0, -1.0])


def test_affine_agrees_with_pytorch() -> None:
    x, W, b, g = normal(5, 4), normal(4, 3), normal(3), normal(5, 3)
    layer = Affine(W, b)
    t_x, t_W, t_b = (torch.tensor(a, requires_grad=True) for a in (x, W, b))
    t_y = functional.linear(t_x, t_W.T, t_b)
    t_y.backward(torch.tensor(g))
    assert_allclose(layer.forward(x), t_y.detach(), atol=ROUNDING)
    assert_allclose(layer.backward(g), gradient(t_x), atol=ROUNDING)
    assert_allclose(layer.dW, gradient(t_W), atol=ROUNDING)
    assert_allclose(layer.db, gradient(t_b), atol=ROUNDING)


def test_affine_gradients_replace_those_of_the_minibatch_before() -> None:
    layer = Affine(normal(4, 3), normal(3))
    for _ in range(2):
        layer.forward(normal(5, 4))
        layer.backward(np.ones((5, 3)))
    assert_array_equal(layer.db, [5.0, 5.0, 5.0])


def test_affine_takes_minibatches_of_changing_size() -> None:
    layer = Affine(normal(4, 3), normal(3))
    for n in (5, 2, 7):
        x, g = normal(n, 4), normal(n, 3)
        assert_allclose(layer.forward(x), x @ layer.W + layer.b, atol=ROUNDING)
        assert_allclose(layer.backward(g), g @ layer.W.T, atol=ROUNDING)


def test_rectifiers_are_the_hand_worked_case() -> None:
    x, g = np.array([[-2.0, 3.0]]), np.array([[10.0, 100.0]])
    relu, leaky = ReLU(), LeakyReLU(0.5)
    assert_array_equal(relu.forward(x), [[0.0, 3.0]])
    assert_array_equal(relu.backward(g), [[0.0, 100.0]])
    assert_array_equal(leaky.forward(x), [[-1.0, 3.0]])
    assert_array_equal(leaky.backward(g), [[5.0, 100.0]])


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.1, 0.3, 0.99])
def test_rectifiers_are_exactly_pytorchs_also_at_zero(alpha: float) -> None:
    x = np.concatenate([normal(50), [0.0, -0.0, 5e-324, -5e-324, 1e300, -1e300]])
    g = np.linspace(-2, 2, len(x))
    layer = LeakyReLU(alpha) if alpha > 0 else ReLU()
    t_x = torch.tensor(x, requires_grad=True)
    t_y = functional.leaky_relu(t_x, alpha) if alpha > 0 else functional.relu(t_x)
    t_y.backward(torch.tensor(g))
    assert_array_equal(layer.forward(x), t_y.detach())
    assert_array_equal(layer.backward(g), gradient(t_x))


@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(0.3)])
def test_a_unit_counts_as_active_only_where_it_is_positive(layer: ReLU | LeakyReLU) -> None:
    layer.forward(np.array([[-1.0, 0.0, 1.0]]))
    assert_array_equal(layer.active, [[False, False, True]])


@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(0.3), Dropout(0.5, np.random.default_rng(0))])
def test_float32_stays_float32_and_the_input_is_untouched(
    layer: ReLU | LeakyReLU | Dropout,
) -> None:
    x = normal(3, 4).astype(np.float32)
    before = x.copy()
    assert layer.forward(x).dtype == np.float32
    assert layer.backward(x).dtype == np.float32
    assert_array_equal(x, before)


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_dropout_drops_a_fraction_p_and_keeps_the_expectation(p: float) -> None:
    n = 400_000
    y = Dropout(p, np.random.default_rng(1)).forward(np.ones((n // 100, 100)))
    five_sigma = 5 * math.sqrt(p * (1 - p) / n)  # of the binomial fraction; p is rounded by 2^-17
    assert abs(float(np.mean(y == 0)) - p) < five_sigma + 2**-17
    assert abs(float(y.mean()) - 1) < five_sigma / (1 - p)
    # All units that are kept have one scale; p is a multiple of 2^-16, hence the tolerance.
    assert_allclose(np.unique(y), [0, 1 / (1 - p)], rtol=2**-16 / (1 - p))


def test_the_expectation_of_the_dropout_mask_is_exactly_one() -> None:
    for p in (0.1, 0.2, 0.3, 1 / 3):
        kept = float(Dropout(p, np.random.default_rng(0)).forward(np.ones((10, 10))).max())
        assert kept * (2**16 - round(p * 2**16)) / 2**16 == pytest.approx(1, abs=1e-15)


def test_dropout_decides_about_units_and_minibatches_independently() -> None:
    layer, ones = Dropout(0.5, np.random.default_rng(2)), np.ones((2000, 16))
    kept = np.hstack([layer.forward(ones) > 0, layer.forward(ones) > 0])
    correlation = np.corrcoef(kept, rowvar=False) - np.eye(32)
    # sd of a correlation of n independent pairs is 1 / sqrt(n); 5 sigma for 496 pairs.
    assert np.abs(correlation).max() < 5 / math.sqrt(2000)


def test_dropout_goes_backward_through_the_mask_of_its_forward_pass() -> None:
    layer = Dropout(0.3, np.random.default_rng(3))
    for _ in range(2):  # each forward pass has its own mask
        y = layer.forward(np.ones((20, 30))).copy()
        assert 0 < np.mean(y == 0) < 1
        assert_array_equal(layer.backward(np.full((20, 30), 7.0)), 7 * y)


def test_cross_entropy_is_the_hand_worked_case() -> None:
    loss = SoftmaxCrossEntropy()
    logits = np.log([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]])  # probabilities in eighths and quarters
    assert loss.forward(logits, np.array([1, 2])) == pytest.approx(math.log(8) / 2, abs=ROUNDING)
    expected = np.array([[0.125, -0.75, 0.625], [0.25, 0.25, -0.5]]) / 2
    assert_allclose(loss.backward(), expected, atol=ROUNDING)


def test_cross_entropy_agrees_with_pytorch() -> None:
    logits, loss = 5 * normal(4, 10), SoftmaxCrossEntropy()
    t_logits = torch.tensor(logits, requires_grad=True)
    t_loss = functional.cross_entropy(t_logits, torch.tensor(LABELS))
    t_loss.backward()
    assert loss.forward(logits, LABELS) == pytest.approx(t_loss.item(), abs=ROUNDING)
    assert_allclose(loss.backward(), gradient(t_logits), atol=ROUNDING)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_cross_entropy_is_right_at_logits_of_plus_and_minus_1000(dtype: type) -> None:
    logits: Array = np.array([[1000, -1000, 0], [-1000, -1000, -1000]], dtype)
    loss = SoftmaxCrossEntropy()
    # Rows: the loss is 2000 for a hopeless label; log 3 where all logits are equal.
    value = loss.forward(logits, np.array([1, 0]))
    assert value == pytest.approx((2000 + math.log(3)) / 2, rel=1e-6)  # float32 has 7 digits
    expected = np.array([[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3]]) / 2
    assert_allclose(loss.backward(), expected, rtol=1e-6)
    assert loss.forward(logits[:1], np.array([0])) == 0


def test_cross_entropy_of_equal_logits_is_that_of_guessing() -> None:
    value = SoftmaxCrossEntropy().forward(np.zeros((4, 10)), LABELS)
    assert value == pytest.approx(math.log(10), abs=ROUNDING)


def test_the_batch_size_divides_exactly_once() -> None:
    """A minibatch of k copies of one image has the loss and the gradients of that image."""
    affine, relu, loss = Affine(normal(4, 3), normal(3)), ReLU(), SoftmaxCrossEntropy()

    def loss_and_gradients(copies: int) -> list[Array]:
        x = np.repeat(normal(1, 4), copies, axis=0)
        value = loss.forward(relu.forward(affine.forward(x)), np.full(copies, 2))
        grad_input = affine.backward(relu.backward(loss.backward())).sum(axis=0)
        return [np.array(value), affine.dW.copy(), affine.db.copy(), grad_input]

    for one, many in zip(loss_and_gradients(1), loss_and_gradients(7), strict=True):
        assert np.any(one != 0)
        assert_allclose(many, one, atol=ROUNDING)
