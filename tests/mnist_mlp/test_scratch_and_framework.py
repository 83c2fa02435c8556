"""The two networks: one set of properties, which both implementations have."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from torch.nn import functional

from mnist_mlp import framework, scratch
from mnist_mlp.data import Dataset, Split
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import DivergedError


@pytest.fixture(params=[scratch, framework], ids=["scratch", "framework"])
def network(request: pytest.FixtureRequest) -> Any:
    """Each implementation, as a module."""
    return request.param


@pytest.mark.parametrize("chunk", [1, 100, 1000])
def test_measures_are_without_dropout(recipe: Recipe, digits: Dataset, chunk: int) -> None:
    """In chunks of any size; a unit is dead if its input is positive for no image of any chunk."""
    images, labels = digits.validation.images.astype(float), digits.validation.labels
    split: Any = Split(images, labels)
    cpu = torch.device("cpu")
    ours = scratch.Trainer(recipe, 0, np.float64)
    theirs = framework.Trainer(recipe, 0, torch.float64, cpu)
    black: Any = Split(np.zeros((3, 784)), labels[:3])  # type: ignore[arg-type]
    found = []
    for trainer in (ours, theirs):
        assert trainer.evaluate(black).dead_units[0] == 1  # every unit stands exactly at zero
        trainer.step(images[:50], labels[:50], lr=0.1)  # leaves PyTorch in training mode
        trainer.parameters["b1"][:5] = -1e3  # no image can lift these five of twelve above 0
        found.append(trainer.evaluate(split, chunk))
        trainer.step(images[:50], labels[:50], lr=0)
    logits = theirs.logits(images, chunk)
    assert_allclose(ours.logits(images, chunk), logits, atol=1e-12)
    dead = np.mean((images @ ours.parameters["W1"] + ours.parameters["b1"] <= 0).all(axis=0))
    loss = functional.cross_entropy(torch.tensor(logits), torch.tensor(labels)).item()
    for measured in found:
        assert measured.loss == pytest.approx(loss, abs=1e-12)  # rounding of a mean of 288
        assert measured.accuracy == np.mean(logits.argmax(axis=1) == labels)
        assert measured.dead_units[0] == dead >= 5 / 12
        assert measured.dead_units == found[0].dead_units


def test_the_curves_start_before_the_first_epoch_and_measure_each_split(
    network: Any, small: Recipe, digits: Dataset
) -> None:
    seen: list[tuple[int, int]] = []
    run = network.fit(digits, small, 1, lambda epoch, h: seen.append((epoch, len(h.train_loss))))
    assert seen == [(0, 1), (1, 2), (2, 3)]
    assert (run.recipe, run.seed, run.logits.dtype) == (small, 1, np.float32)
    trainer = network.Trainer(small, 1)
    train, validation = (trainer.evaluate(s) for s in (digits.train, digits.validation))
    assert [curve[0] for curve in vars(run.history).values()] == [
        *(train.loss, validation.loss, train.accuracy, validation.accuracy),
        validation.dead_units,
    ]
    assert len(network.fit(digits, replace(small, epochs=0)).history.train_loss) == 1


def test_both_learn_and_learn_the_same(recipe: Recipe, digits: Dataset) -> None:
    recipe = replace(recipe, epochs=12, hidden=(64, 32), weight_decay=1e-4)
    ours, theirs = scratch.fit(digits, recipe), framework.fit(digits, recipe)
    assert ours.history.validation_accuracy[0] < 0.3  # ten classes, untrained
    assert ours.history.validation_accuracy[-1] > 0.9  # what a linear classifier reaches on digits
    for name in ("train_loss", "validation_loss"):
        # float32 rounds at 1e-7, and the steps add up: measured 5e-6 and 8e-4; the rest is left to
        # other BLAS libraries and to accelerators.
        assert_allclose(getattr(ours.history, name), getattr(theirs.history, name), atol=1e-4)
    assert_allclose(ours.logits, theirs.logits, atol=1e-2)


def test_one_seed_gives_one_run(network: Any, small: Recipe, digits: Dataset) -> None:
    first, again, other = (network.fit(digits, small, seed) for seed in (1, 1, 2))
    assert first.history == again.history
    assert_array_equal(first.logits, again.logits)
    assert first.history != other.history


@pytest.mark.parametrize("batch_size", [50, 383, 5000])  # a short last one, none, one in all
def test_an_epoch_takes_every_image_once_in_an_order_that_all_recipes_share(
    network: Any, batch_size: int, small: Recipe, digits: Dataset, monkeypatch: Any
) -> None:
    taken: list[NDArray[np.float32]] = []
    rates: list[float] = []

    def record(self: Any, images: Any, labels: Any, lr: float) -> None:
        taken.append(torch.as_tensor(images).cpu().numpy().copy())
        rates.append(lr)

    monkeypatch.setattr(network.Trainer, "step", record)
    small = replace(small, batch_size=batch_size)
    for recipe in (small, replace(small, activation="tanh", hidden_dropout=0)):
        network.fit(digits, recipe, 5)
    half = -(-1149 // batch_size)
    assert rates == 2 * ([0.1] * half + [0.05] * half)  # linear, by epoch
    assert max(map(len, taken)) == min(batch_size, 1149)
    first, second, *again = np.split(np.concatenate(taken), 4)
    assert_array_equal(again, [first, second])
    assert not np.array_equal(first, second)
    images = digits.train.images
    for epoch in (first, second):
        assert_array_equal(epoch[np.lexsort(epoch.T)], images[np.lexsort(images.T)])


DIVERGING = [{"lr": 1e6}, {"lr": 1e30, "activation": "sigmoid"}, {"init_gain": 1e30}]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("change", DIVERGING, ids=str)
def test_divergence_is_one_error_with_the_history_and_no_warning(
    network: Any, change: Any, small: Recipe, digits: Dataset
) -> None:
    seen: list[int] = []
    with pytest.raises(DivergedError, match="lower Recipe") as caught:
        network.fit(digits, replace(small, **change), 0, lambda epoch, _: seen.append(epoch))
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  as a worker sends it
    curves = list(vars(error.history).values())
    assert {len(curve) for curve in curves} == {len(seen)}
    assert np.isfinite(np.concatenate([np.ravel(curve) for curve in curves])).all()
    assert f"after epoch {len(seen)}" in str(error)
