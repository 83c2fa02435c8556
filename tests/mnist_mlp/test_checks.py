"""The checks that the notebooks show: what passes them, what does not, and the gradient's flow."""

import ast
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
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
from mnist_mlp.data import Dataset
from mnist_mlp.recipe import Recipe
from mnist_mlp.scratch import MLP, SGD

BACKWARD_PASSES = [
    (owner, name)
    for owner in vars(layers).values()
    for name in ("backward", "parameter_gradients")
    if inspect.isclass(owner) and hasattr(owner, name)
]


def largest_gradient_error(recipe: Recipe, digits: Dataset) -> float:
    images, labels = digits.train.images[:8], digits.train.labels[:8]
    errors = gradient_check(recipe, images, labels, entries=10)
    assert [e.tensor for e in errors] == ["W1", "W2", "W3", "b1", "b2", "b3", "x"]
    assert all(e.checked >= 5 for e in errors)  # else nothing was compared
    return max(e.relative_error for e in errors)


def agreement(digits: Dataset, recipe: Recipe, other: Recipe, steps: int | None) -> Agreement:
    ours = scratch.Trainer(recipe, 0, np.float64)
    theirs = framework.Trainer(other, 0, torch.float64, torch.device("cpu"))
    return compare_steps(ours, theirs, digits.train, recipe, 0, np.float64, steps)


def mutants(method: Callable[..., Any]) -> Iterator[str]:
    """Yield the source with one sign or factor wrong, or one operand or statement left out."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    for node in ast.walk(tree):
        changes: list[tuple[str, Any]] = []
        if isinstance(node, ast.Return | ast.Assign | ast.AugAssign):
            value = ast.unparse(node.value or ast.Constant(None))
            changes += [("value", f"-({value})"), ("value", f"2 * ({value})")]
        if isinstance(node, ast.BinOp | ast.AugAssign) and not isinstance(node.op, ast.MatMult):
            neutral = "0" if isinstance(node.op, ast.Add | ast.Sub) else "1"
            changes += [("right" if isinstance(node, ast.BinOp) else "value", neutral)]
            if isinstance(node, ast.BinOp):
                changes += [("right", f"-1 * ({ast.unparse(node.right)})")]
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                changes += [("left", neutral)]
        for field, new in changes:
            old = getattr(node, field)
            setattr(node, field, ast.parse(new, mode="eval").body)
            yield ast.unparse(tree)
            setattr(node, field, old)


def undetected(owner: type, name: str, detects: Callable[[], bool]) -> list[str]:
    """Return the mutants of a method with which ``detects`` finds nothing wrong."""
    method, survivors = getattr(owner, name), []
    for source in mutants(method):
        namespace = dict(vars(inspect.getmodule(owner)))
        exec(source, namespace)  # noqa: S102  our own source, changed in one place
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, namespace[name])
            survivors += [] if detects() else [source]
    return survivors


# ---- the gradient


def test_backward_is_the_derivative_of_the_objective(recipe: Recipe, digits: Dataset) -> None:
    # A central difference with H = 1e-5 is itself exact to about 1e-9 here; a wrong sign or
    # factor gives 1e-1 or more.
    assert largest_gradient_error(recipe, digits) < 1e-7


@pytest.mark.parametrize(("owner", "name"), BACKWARD_PASSES)
def test_the_gradient_check_reports_every_mutation_of_a_backward_pass(
    owner: type, name: str, small: Recipe, digits: Dataset
) -> None:
    smooth = (replace(small, activation="sigmoid"), replace(small, activation="tanh"))
    recipes = (replace(small, alpha=0.3), small, *smooth)
    assert len(list(mutants(getattr(owner, name)))) >= 2
    # 1e-3: ten thousand times what the right code shows, a hundredth of what a wrong factor does.
    assert not undetected(
        owner, name, lambda: any(largest_gradient_error(r, digits) > 1e-3 for r in recipes)
    )


def test_the_check_leaves_out_and_counts_kinks(recipe: Recipe, digits: Dataset) -> None:
    """With black images every first-layer unit stands at 0: b1 +- H lie on two sides of it."""
    errors = gradient_check(recipe, np.zeros((8, 784)), digits.train.labels[:8], entries=10)
    b1 = next(e for e in errors if e.tensor == "b1")
    if recipe.activation == "relu":
        assert (b1.checked, b1.at_kink) == (0, 10)
        assert b1.relative_error == math.inf  # what was not checked is no success
    else:
        assert (b1.checked, b1.at_kink) == (10, 0)


def test_training_uses_the_gradient_that_is_checked(recipe: Recipe, digits: Dataset) -> None:
    """Training skips the gradient of the images; every other gradient is the same."""
    model, gradients = MLP(recipe, 0, np.float64), []
    logits = model.forward(digits.train.images[:8].astype(float), training=True)
    model.loss.forward(logits, digits.train.labels[:8])
    for to_input in (True, False):
        model.backward(to_input)
        gradients.append([gradient for a in model.affine for gradient in (a.dW, a.db)])
    for checked, used in zip(*gradients, strict=True):
        assert checked is not used
        assert_array_equal(checked, used)


# ---- the steps


def test_numpy_and_pytorch_take_the_same_steps(recipe: Recipe, digits: Dataset) -> None:
    """For a whole epoch and at full size, with dropout, momentum and L2."""
    recipe = replace(recipe, hidden=(512, 256))
    found = agreement(digits, recipe, recipe, steps=None)
    assert len(found.loss) == len(found.weights) == math.ceil(1149 / 50)
    # Measured: 1e-15 and 6e-16. Where training is nearly unstable, rounding grows from step to
    # step, for which the limits leave room; a different formula shows at step 1 or 2.
    assert max(found.loss) < 1e-10
    assert max(found.weights) < 1e-9


def test_the_comparison_of_steps_sees_a_small_change(small: Recipe, digits: Dataset) -> None:
    recipe = replace(small, alpha=0.3)
    rates = ("momentum", "weight_decay", "input_dropout", "hidden_dropout")
    for name in ("alpha", "init_gain", *rates):
        other = replace(recipe, **{name: 1.001 * getattr(recipe, name)})
        found = agreement(digits, recipe, other, steps=5)
        assert len(found.weights) == 5
        assert max(found.weights) > 1e-9, name


@pytest.mark.parametrize(("owner", "name"), [(MLP, "backward"), (SGD, "step")])
def test_the_two_checks_report_every_mutation_of_the_network_and_the_optimiser(
    owner: type, name: str, small: Recipe, digits: Dataset
) -> None:
    """Also a missing L2 or momentum, and a bias that never moves."""

    def detects() -> bool:
        try:
            steps_differ = max(agreement(digits, small, small, steps=3).weights) > 1e-9
        except ValueError:  # the mutant's shapes no longer fit
            return True
        return steps_differ or largest_gradient_error(small, digits) > 1e-3

    assert not undetected(owner, name, detects)


# ---- the gradient's flow


def test_the_flow_is_that_of_autograd(recipe: Recipe, digits: Dataset) -> None:
    recipe = replace(recipe, hidden=(12, 8, 6), init_gain=3)  # large inputs: some saturate
    images, labels = digits.train.images[:50].astype(float), digits.train.labels[:50]
    x, inputs = torch.tensor(images), []
    derivatives: list[torch.Tensor] = []
    for layer in framework.build_mlp(recipe, 0, torch.float64).eval():
        if not isinstance(layer, nn.Linear | framework.PairedDropout):
            x.retain_grad()
            inputs.append(x)
            z = x.detach().requires_grad_()
            derivatives += torch.autograd.grad(layer(z).sum(), z)
        x = layer(x)
    nn.functional.cross_entropy(x, torch.tensor(labels)).backward()
    limit = 0.05 * (0.25 if recipe.activation == "sigmoid" else 1)
    found = gradient_flow(MLP(recipe, 0, np.float64), images, labels)
    mean_square = [z.grad.square().mean().item() for z in inputs if z.grad is not None]
    assert_allclose(found.gradient**2, mean_square, rtol=1e-12)  # the same sums in another order
    assert_allclose(found.active, [(z > 0).double().mean().item() for z in inputs])
    assert_allclose(found.saturated, [(d < limit).double().mean().item() for d in derivatives])


@pytest.mark.parametrize(
    ("activation", "z", "saturated"),
    [
        # 0.05 of the maximum: y (1 - y) = 0.0125 at z = 4.357, 1 - y^2 = 0.05 at z = 2.178
        (Recipe("sigmoid"), [-4.4, -4.3, 0, 4.3, 4.4], 2 / 5),
        (Recipe("tanh"), [-2.2, -2.1, 0, 2.1, 2.2], 2 / 5),
        (Recipe(), [-1, -2, 0, 1, 2], 3 / 5),  # where the slope is 0
        (Recipe(alpha=0.06), [-1, -2, 0, 1, 2], 0),
    ],
)
def test_active_and_saturated_shares_are_the_hand_made_case(
    activation: Recipe, z: list[float], saturated: float
) -> None:
    model = MLP(replace(activation, hidden=(5,)), 0, np.float64)
    model.affine[0].b[:] = z  # of every image, since all are black
    flow = gradient_flow(model, np.zeros((3, 784)), np.array([0, 1, 2]))
    assert (flow.active.tolist(), flow.saturated.tolist()) == ([2 / 5], [saturated])


@pytest.mark.parametrize(("activation", "factor"), [(Recipe("sigmoid"), 1 / 4), (Recipe(), 1)])
def test_each_layer_multiplies_the_gradient_by_the_predicted_factor(
    activation: Recipe, factor: float, digits: Dataset
) -> None:
    model = MLP(replace(activation, hidden=(128,) * 7), 0)
    gradient = gradient_flow(model, digits.train.images, digits.train.labels).gradient
    # The sigmoid's derivative is 1/4 at z = 0 alone. An sd of z of 1/2 (128 inputs near 1/2,
    # weights of variance 1/128) makes its mean 0.236, 6 % less; the rest is for one draw of W.
    assert (gradient[0] / gradient[-1]) ** (1 / 6) == pytest.approx(factor, rel=0.1)


def test_the_flow_over_an_epoch_is_that_before_and_after_it(
    recipe: Recipe, digits: Dataset
) -> None:
    for epochs, flow in enumerate(flow_over_an_epoch(recipe, digits.train, seed=2)):
        model = scratch.fit(digits, replace(recipe, epochs=epochs), seed=2).model
        expected = gradient_flow(model, digits.train.images[:1000], digits.train.labels[:1000])
        assert_array_equal(list(vars(flow).values()), list(vars(expected).values()))
