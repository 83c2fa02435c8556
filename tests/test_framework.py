"""The PyTorch network: step for step the NumPy network, and measured by the same definitions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from mnist_mlp import framework, scratch
from mnist_mlp.checks import Agreement, compare_steps
from mnist_mlp.data import Dataset, Split, load
from mnist_mlp.recipe import DivergedError, History, Recipe

CPU = torch.device("cpu")  # the oracle is float64, which not every accelerator has
# Every value is given, so that the tests do not change with the chosen recipe.
SMALL = Recipe(
    hidden=(12, 8), epochs=2, batch_size=50, lr=0.1, decay="linear", momentum=0.9,
    weight_decay=5e-5, input_dropout=0.1, hidden_dropout=0.1,
)  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("sklearn-digits")


def float64_model(recipe: Recipe) -> tuple[scratch.MLP, nn.Sequential]:
    """Return both networks with the initial weights of one seed and biases that are not zero."""
    ours = scratch.MLP(recipe, 0, np.float64)
    theirs = framework.build_mlp(recipe, 0, torch.float64)
    linear = [m for m in theirs if isinstance(m, nn.Linear)]
    for i, (affine, layer) in enumerate(zip(ours.affine, linear, strict=True)):
        affine.b[:] = np.random.default_rng(i).standard_normal(len(affine.b))
        layer.bias.data.copy_(torch.from_numpy(affine.b))
    return ours, theirs


def float64_split(split: Split) -> Split:
    return Split(split.images.astype(np.float64), split.labels)


def as_tensors(split: Split, dtype: torch.dtype = torch.float64) -> framework.TensorSplit:
    return framework.TensorSplit(split, CPU, dtype)


def agreement(digits: Dataset, recipe: Recipe, other: Recipe, seed: int, steps: int) -> Agreement:
    """Train both frameworks in float64 on the digits, repeated until there are enough of them."""
    repeats = -(-steps * recipe.batch_size // len(digits.train.labels))
    split = Split(np.tile(digits.train.images, (repeats, 1)), np.tile(digits.train.labels, repeats))
    ours = scratch.Trainer(recipe, seed, np.float64)
    theirs = framework.Trainer(other, seed, torch.float64, CPU)
    return compare_steps(ours, theirs, split, recipe, seed, np.float64, steps)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_numpy_and_pytorch_take_the_same_steps(alpha: float, digits: Dataset) -> None:
    """The whole recipe at full size: dropout, momentum, L2."""
    recipe = Recipe(alpha=alpha)
    assert recipe.input_dropout > 0
    assert recipe.hidden_dropout > 0
    found = agreement(digits, recipe, recipe, seed=0, steps=60)
    assert len(found.loss) == len(found.weights) == 60
    # Rounding starts at 1e-16 and grows with the steps; a different formula shows at step 1 or 2.
    assert max(found.loss) < 1e-10
    assert max(found.weights) < 1e-9


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 0.301},
        {"momentum": 0.901},
        {"weight_decay": 5.1e-5},
        {"input_dropout": 0.11},
        {"hidden_dropout": 0.11},
        {"init_gain": 1.0001},
    ],
)
def test_the_comparison_of_steps_sees_a_small_change_of_the_recipe(
    change: dict[str, float], digits: Dataset
) -> None:
    recipe = replace(SMALL, alpha=0.3)
    found = agreement(digits, recipe, replace(recipe, **change), seed=0, steps=5)  # type: ignore[arg-type]
    assert max(found.weights) > 1e-9


def test_the_parameters_start_equal_and_in_one_order(digits: Dataset) -> None:
    ours, theirs = (
        scratch.Trainer(SMALL, 7, np.float64),
        framework.Trainer(SMALL, 7, torch.float64, CPU),
    )
    assert_array_equal(ours.parameters, theirs.parameters)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_both_networks_measure_the_same(alpha: float, digits: Dataset) -> None:
    ours, theirs = float64_model(replace(SMALL, alpha=alpha))
    split = float64_split(digits.validation)
    mine, other = ours.evaluate(split, 100), framework.evaluate(theirs, as_tensors(split), 100)
    assert mine.loss == pytest.approx(other.loss, abs=1e-12)  # rounding of a mean of 288 images
    assert mine.accuracy == other.accuracy
    assert mine.dead_units == other.dead_units
    logits = framework.predict_logits(theirs, as_tensors(split).images, 100)
    assert_allclose(ours.logits(split.images), logits, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_dead_units_have_one_definition(alpha: float, digits: Dataset) -> None:
    ours, theirs = float64_model(replace(SMALL, alpha=alpha))
    first = next(m for m in theirs if isinstance(m, nn.Linear))
    ours.affine[0].b[:5] = -1e3  # no image can lift these five of twelve above 0
    first.bias.data[:5] = -1e3
    split = float64_split(digits.validation)
    for chunk in (1, 100, 1000):
        dead = framework.evaluate(theirs, as_tensors(split), chunk).dead_units
        assert dead == ours.evaluate(split, chunk).dead_units
        assert dead[0] >= 5 / 12


def test_a_unit_that_stands_exactly_at_zero_is_dead_in_both(digits: Dataset) -> None:
    black = Split(np.zeros((3, 784)), np.zeros(3, np.int64))  # type: ignore[arg-type]
    ours = scratch.MLP(SMALL, 0, np.float64)
    theirs = framework.build_mlp(SMALL, 0, torch.float64)
    assert ours.evaluate(black).dead_units == [1.0, 1.0]
    assert framework.evaluate(theirs, as_tensors(black)).dead_units == [1.0, 1.0]


def test_the_images_are_measured_without_dropout(digits: Dataset) -> None:
    with_dropout, without = (
        framework.build_mlp(replace(SMALL, input_dropout=p, hidden_dropout=p), 0) for p in (0.5, 0)
    )
    split = as_tensors(digits.validation, torch.float32)
    with_dropout.train()
    assert framework.evaluate(with_dropout, split) == framework.evaluate(without, split)
    with_dropout.train()
    logits = framework.predict_logits(with_dropout, split.images)
    assert_array_equal(logits, framework.predict_logits(without, split.images))


@pytest.mark.parametrize("batch_size", [1, 50, 5000])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_fit_is_the_twin_of_the_scratch_fit(alpha: float, batch_size: int, digits: Dataset) -> None:
    recipe = replace(SMALL, alpha=alpha, batch_size=batch_size, lr=0.1 if batch_size > 1 else 0.002)
    if batch_size == 1:
        recipe = replace(recipe, epochs=1)
    epochs: list[int] = []
    run = framework.fit(digits, recipe, 3, lambda epoch, _: epochs.append(epoch))
    twin = scratch.fit(digits, recipe, 3)
    assert (run.recipe, run.seed, epochs) == (recipe, 3, list(range(recipe.epochs + 1)))
    assert run.logits.dtype == twin.logits.dtype == np.float32
    assert run.logits.shape == (len(digits.test.labels), 10)
    # float32 rounds at 1e-7, and the steps add up: measured 2e-7 and 9e-6, ten times that is left
    # to other BLAS libraries and to accelerators.
    assert_allclose(run.history.train_loss, twin.history.train_loss, atol=1e-5)
    assert_allclose(run.history.validation_loss, twin.history.validation_loss, atol=1e-5)
    assert_allclose(run.logits, twin.logits, atol=1e-4)
    assert {len(curve) for curve in vars(run.history).values()} == {recipe.epochs + 1}


def test_one_seed_gives_one_run(digits: Dataset) -> None:
    first, again, other = (framework.fit(digits, SMALL, seed) for seed in (1, 1, 2))
    assert first.history == again.history
    assert_array_equal(first.logits, again.logits)
    assert first.history != other.history


def test_zero_epochs_leave_the_initial_network(digits: Dataset) -> None:
    run = framework.fit(digits, replace(SMALL, epochs=0), 3)
    assert len(run.history.train_loss) == 1
    initial = framework.build_mlp(SMALL, 3)
    test = as_tensors(digits.test, torch.float32)
    assert_array_equal(run.logits, framework.predict_logits(initial, test.images))


@pytest.mark.parametrize("change", [{"lr": 1e6}, {"init_gain": 1e30}])
def test_divergence_is_one_error_with_the_history_so_far(
    change: dict[str, float], digits: Dataset
) -> None:
    recipe = replace(SMALL, epochs=5, **change)  # type: ignore[arg-type]
    seen: list[int] = []

    def on_epoch(epoch: int, _: History) -> None:
        seen.append(epoch)

    with pytest.raises(DivergedError, match="lower Recipe") as caught:
        framework.fit(digits, recipe, 0, on_epoch)
    curves = list(vars(caught.value.history).values())
    assert {len(curve) for curve in curves} == {len(seen)}
    assert np.isfinite(np.concatenate([np.ravel(curve) for curve in curves])).all()
