"""The checks that the notebooks show: what passes them, what does not, and the gradient's flow."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from mnist_mlp import framework, layers, scratch
from mnist_mlp.checks import (
    Agreement,
    compare_steps,
    flow_over_an_epoch,
    gradient_check,
    gradient_flow,
)
from mnist_mlp.data import Dataset, Split
from mnist_mlp.recipe import Recipe
from mnist_mlp.scratch import MLP, SGD


def largest_gradient_error(recipe: Recipe, digits: Dataset) -> float:
    images, labels = digits.train.images[:8], digits.train.labels[:8]
    errors = gradient_check(recipe, images, labels, entries=10)
    assert [e.tensor for e in errors] == ["W1", "W2", "W3", "b1", "b2", "b3", "x"]
    assert all(e.checked >= 5 for e in errors)  # else nothing was compared
    return max(e.relative_error for e in errors)


def agreement(digits: Dataset, recipe: Recipe, images: int) -> Agreement:
    ours = scratch.Trainer(recipe, 0, np.float64)
    theirs = framework.Trainer(recipe, 0, torch.float64, torch.device("cpu"))
    split = Split(digits.train.images[:images], digits.train.labels[:images])
    return compare_steps(ours, theirs, split, recipe, 0, np.float64)


# ---- the gradient


def test_backward_is_the_derivative_of_the_objective(recipe: Recipe, digits: Dataset) -> None:
    # A central difference with H = 1e-5 is itself exact to about 1e-9 here; a wrong sign or
    # factor gives 1e-1 or more.
    assert largest_gradient_error(recipe, digits) < 1e-7


def no_bias(layer: Any, grad_output: Any) -> None:
    layer.dW, layer.db = layer.x.T @ grad_output, np.zeros_like(layer.b)


def no_l2(optimiser: Any, lr: float, step: Any = SGD.step) -> None:
    optimiser.weight_decay = 0
    step(optimiser, lr)


WRONG: list[tuple[Any, str, Callable[..., Any]]] = [
    (layers.Affine, "parameter_gradients", no_bias),
    (layers.Affine, "backward", lambda layer, g: layer.parameter_gradients(g) or -g @ layer.W.T),
    (layers.LeakyReLU, "backward", lambda layer, g: g * layer.active),
    (layers.Dropout, "backward", lambda layer, g: g),
    (layers.SoftmaxCrossEntropy, "backward", lambda loss: loss.probs / len(loss.labels)),
    (SGD, "step", no_l2),
]


@pytest.mark.parametrize(("owner", "name", "wrong"), WRONG)
def test_both_checks_report_what_is_wrong(
    owner: Any, name: str, wrong: Any, small: Recipe, digits: Dataset, monkeypatch: Any
) -> None:
    monkeypatch.setattr(owner, name, wrong)
    recipe = replace(small, alpha=0.3)
    assert largest_gradient_error(recipe, digits) > 1e-3  # ten thousand times the right code's
    assert max(agreement(digits, recipe, images=150).weights) > 1e-9


def test_the_check_leaves_out_and_counts_kinks(recipe: Recipe, digits: Dataset) -> None:
    """With black images every first-layer unit stands at 0: b1 +- H lie on two sides of it."""
    errors = gradient_check(recipe, np.zeros((8, 784)), digits.train.labels[:8], entries=10)
    b1 = next(e for e in errors if e.tensor == "b1")
    if recipe.activation == "relu":
        assert (b1.checked, b1.at_kink) == (0, 10)
        assert b1.relative_error == math.inf  # what was not checked is no success
    else:
        assert (b1.checked, b1.at_kink) == (10, 0)


# ---- the steps


def test_numpy_and_pytorch_take_the_same_steps(recipe: Recipe, digits: Dataset) -> None:
    """For a whole epoch and at full size, with dropout, momentum and L2."""
    recipe = replace(recipe, hidden=(512, 256))
    found = agreement(digits, recipe, images=1149)
    assert len(found.loss) == len(found.weights) == math.ceil(1149 / 50)
    # Measured: 1e-15 and 6e-16. Where training is nearly unstable, rounding grows from step to
    # step, for which the limits leave room; a different formula shows at step 1 or 2.
    assert max(found.loss) < 1e-10
    assert max(found.weights) < 1e-9


# ---- the gradient's flow


def test_the_flow_is_that_of_autograd(recipe: Recipe, digits: Dataset) -> None:
    recipe = replace(recipe, hidden=(12, 8, 6), init_gain=3)
    images, labels = digits.train.images[:50].astype(float), digits.train.labels[:50]
    x, inputs = torch.tensor(images), []
    for layer in framework.build_mlp(recipe, 0, torch.float64).eval():
        if not isinstance(layer, nn.Linear | framework.PairedDropout):
            x.retain_grad()
            inputs.append(x)
        x = layer(x)
    nn.functional.cross_entropy(x, torch.tensor(labels)).backward()
    found = gradient_flow(MLP(recipe, 0, np.float64), images, labels)
    mean_square = [z.grad.square().mean().item() for z in inputs if z.grad is not None]
    assert_allclose(found**2, mean_square, rtol=1e-12)  # the same sums in another order


def test_the_flow_over_an_epoch_is_that_before_and_after_it(
    recipe: Recipe, digits: Dataset
) -> None:
    for epochs, flow in enumerate(flow_over_an_epoch(recipe, digits.train, seed=2)):
        model = scratch.fit(digits, replace(recipe, epochs=epochs), seed=2).model
        expected = gradient_flow(model, digits.train.images[:1000], digits.train.labels[:1000])
        assert_array_equal(flow, expected)
