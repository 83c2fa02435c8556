"""The two networks: one set of properties, which both implementations have."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mnist_mlp import framework, scratch
from mnist_mlp.data import Dataset, Split
from mnist_mlp.draws import initial_parameters
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import DivergedError, Evaluation, History


@pytest.fixture(params=[scratch, framework], ids=["scratch", "framework"])
def network(request: pytest.FixtureRequest) -> Any:
    """Each implementation, as a module."""
    return request.param


def float64_trainer(network: Any, recipe: Recipe) -> Any:
    if network is scratch:
        return scratch.Trainer(recipe, 0, np.float64)
    return framework.Trainer(recipe, 0, torch.float64, torch.device("cpu"))


def initial(recipe: Recipe, seed: int = 0) -> dict[str, NDArray[Any]]:
    pairs = list(enumerate(initial_parameters(recipe, seed), start=1))
    return {f"W{i}": W for i, (W, _) in pairs} | {f"b{i}": b for i, (_, b) in pairs}


def oracle(recipe: Recipe, parameters: Mapping[str, Any], images: NDArray[Any]) -> list[Tensor]:
    """Return the input of each activation and the logits, without dropout, by PyTorch."""
    activation: dict[str, Callable[[Tensor], Tensor]] = {
        "relu": partial(functional.leaky_relu, negative_slope=recipe.alpha),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
    }
    x, found = torch.tensor(images, dtype=torch.float64), []
    for i in range(1, len(recipe.widths)):
        W, b = (torch.as_tensor(parameters[f"{name}{i}"]) for name in "Wb")
        found.append(x @ W + b)
        x = activation[recipe.activation](found[-1])
    return found


def measured(recipe: Recipe, parameters: Mapping[str, Any], split: Split) -> Evaluation:
    """Return what the oracle measures."""
    *hidden, logits = oracle(recipe, parameters, split.images)
    labels = torch.tensor(split.labels)
    accuracy = (logits.argmax(dim=1) == labels).double().mean().item()
    dead_units = [(z <= 0).all(dim=0).double().mean().item() for z in hidden]
    return Evaluation(functional.cross_entropy(logits, labels).item(), accuracy, dead_units)


# ---- Trainer


def test_a_step_is_that_of_torch_optim_sgd(network: Any, recipe: Recipe, digits: Dataset) -> None:
    """From the same draws, with momentum, L2 on weights alone, and the learning rate's schedule."""
    recipe = replace(recipe, epochs=4, input_dropout=0, hidden_dropout=0)
    ours, theirs = float64_trainer(network, recipe), initial(recipe)
    assert list(ours.parameters) == ["W1", "W2", "W3", "b1", "b2", "b3"]
    for name, values in ours.parameters.items():
        assert_array_equal(values, theirs[name])
    tensors = {name: torch.tensor(values, requires_grad=True) for name, values in theirs.items()}
    weights, biases = ([t for name, t in tensors.items() if name[0] == kind] for kind in "Wb")
    groups: list[Any] = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": biases},
    ]
    optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: 1 - epoch / 4)
    for epoch in range(4):
        for batch in (slice(0, 50), slice(50, 100)):
            x, labels = digits.train.images[batch].astype(float), digits.train.labels[batch]
            loss = functional.cross_entropy(oracle(recipe, tensors, x)[-1], torch.tensor(labels))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found = float(ours.step(x, labels, recipe.lr_at(epoch)))
            assert found == pytest.approx(loss.item(), abs=1e-12)  # rounding over eight steps
        schedule.step()
    for name, values in ours.parameters.items():
        assert_allclose(values, tensors[name].detach(), atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 100, 1000])
def test_measures_are_without_dropout(
    network: Any, recipe: Recipe, digits: Dataset, chunk: int
) -> None:
    """In chunks of any size; a unit is dead if its input is positive for no image of any chunk."""
    split: Any = Split(digits.validation.images.astype(float), digits.validation.labels)
    trainer = float64_trainer(network, recipe)
    black: Any = Split(np.zeros((3, 784)), split.labels[:3])
    assert trainer.evaluate(black).dead_units[0] == 1  # every unit stands exactly at zero
    trainer.step(split.images[:50], split.labels[:50], lr=0.1)  # leaves PyTorch in training mode
    trainer.parameters["b1"][:5] = -1e3  # no image can lift these five of twelve above 0
    expected = measured(recipe, trainer.parameters, split)
    assert 5 / 12 <= expected.dead_units[0] < 1
    found = trainer.evaluate(split, chunk)
    assert found.loss == pytest.approx(expected.loss, abs=1e-12)  # rounding of a mean of 288
    assert replace(found, loss=expected.loss) == expected
    trainer.step(split.images[:50], split.labels[:50], lr=0)
    logits = oracle(recipe, trainer.parameters, split.images)[-1]
    assert_allclose(trainer.logits(split.images, chunk), logits, atol=1e-12)


# ---- fit


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_the_curves_start_before_the_first_epoch_and_measure_each_split_without_dropout(
    network: Any, epochs: int, small: Recipe, digits: Dataset
) -> None:
    """The steps are too small to change a float32: the network stays the initial one."""
    seen: list[tuple[int, int]] = []
    recipe = replace(small, epochs=epochs, lr=1e-12, momentum=0)
    run = network.fit(digits, recipe, 1, lambda epoch, h: seen.append((epoch, len(h.train_loss))))
    assert seen == [(epoch, epoch + 1) for epoch in range(epochs + 1)]
    assert (run.recipe, run.seed, run.logits.dtype) == (recipe, 1, np.float32)
    start, expected = initial(recipe, 1), History()  # a unit is dead on validation alone
    for _ in seen:
        splits = (digits.train, digits.validation)
        expected.append(*(measured(recipe, start, split) for split in splits))
    for name, curve in vars(run.history).items():
        # float32 logits are rounded at 1e-6, on every machine in another order.
        assert_allclose(curve, getattr(expected, name), atol=1e-5, err_msg=name)
    assert_allclose(run.logits, oracle(recipe, start, digits.test.images)[-1], atol=1e-5)


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
    batch_size: int, small: Recipe, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[NDArray[np.float32]] = []
    rates: list[float] = []

    def record(self: Any, images: Any, labels: Any, lr: float) -> None:
        taken.append(torch.as_tensor(images).cpu().numpy().copy())
        rates.append(lr)

    small = replace(small, batch_size=batch_size)
    orders = []
    for network in (scratch, framework):
        monkeypatch.setattr(network.Trainer, "step", record)
        for recipe in (small, replace(small, activation="tanh", hidden_dropout=0)):
            network.fit(digits, recipe, 5)
            half = -(-1149 // batch_size)
            assert rates == [0.1] * half + [0.05] * half  # linear, by epoch
            assert max(map(len, taken)) == min(batch_size, 1149)
            orders.append(np.concatenate(taken))
            taken.clear()
            rates.clear()
    assert all(np.array_equal(orders[0], other) for other in orders[1:])
    first, second = np.split(orders[0], 2)
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
