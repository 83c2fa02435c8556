"""What notebook cells rely on: training in the background, followed by several cells."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from mnist_mlp.notebook import SideBySide
from mnist_mlp.recipe import DivergedError, History, OnEpoch, Recipe, Run

RECIPES = {"ReLU": Recipe(epochs=4), "LReLU": Recipe(alpha=0.1, epochs=4)}


def append(history: History, value: float) -> None:
    """Add an epoch with one value everywhere."""
    for curve in (history.train_loss, history.validation_loss,
                  history.train_accuracy, history.validation_accuracy):  # fmt: skip
        curve.append(value)


def fake_fit(
    before: Callable[[Recipe, int], None] = lambda recipe, epoch: None,
) -> Callable[..., Run]:
    """Return a ``fit`` that learns nothing; ``before`` is called before each epoch's report."""

    def fit(dataset: Any, recipe: Recipe, seed: int, on_epoch: OnEpoch) -> Run:
        history = History()
        for epoch in range(recipe.epochs + 1):
            before(recipe, epoch)
            append(history, epoch + recipe.alpha)
            on_epoch(epoch, history)
        return Run(recipe, seed, history, None, None)  # type: ignore[arg-type]

    return fit


def start(fit: Callable[..., Run]) -> SideBySide:
    return SideBySide(fit, None, RECIPES, 3)  # type: ignore[arg-type]


def epochs(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines()]


def test_cells_follow_one_training_and_print_each_epoch_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    training = start(fake_fit())
    training.follow(2)
    first = capsys.readouterr().out
    training.follow(2)  # the cell run twice
    assert capsys.readouterr().out == ""
    runs = training.finish()
    assert (epochs(first), epochs(capsys.readouterr().out)) == ([0, 1, 2], [3, 4])
    assert {name: (run.recipe, run.seed) for name, run in runs.items()} == {
        name: (recipe, 3) for name, recipe in RECIPES.items()
    }
    assert training.finish() == runs
    assert "ReLU: 손실 2.0000 / 2.0000" in first
    assert "LReLU: 손실 2.1000 / 2.1000" in first


def test_the_output_does_not_depend_on_which_is_faster(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for slow in (0.0, 0.1):
        gate = threading.Event()

        def wait(recipe: Recipe, epoch: int, gate: threading.Event = gate, slow: float = slow):  # type: ignore[no-untyped-def]
            if recipe.alpha != slow and epoch == 4:
                gate.set()
            elif recipe.alpha == slow:
                assert gate.wait(10)  # the other one is already in its last epoch

        start(fake_fit(wait)).finish()
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert epochs(texts[0]) == [0, 1, 2, 3, 4]


def test_an_error_in_one_training_reaches_the_reader_and_ends_the_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    release, reached = threading.Event(), []

    def fail(recipe: Recipe, epoch: int) -> None:
        if recipe.alpha > 0 and epoch == 2:
            raise DivergedError(History())
        if recipe.alpha == 0 and epoch == 3:
            assert release.wait(10)
        if recipe.alpha == 0:
            reached.append(epoch)

    training = start(fake_fit(fail))
    with pytest.raises(DivergedError):
        training.finish()
    assert epochs(capsys.readouterr().out) == [0, 1]
    release.set()
    for _ in range(2):  # the cell run again, and again
        with pytest.raises((DivergedError, InterruptedError)):
            training.finish()
    assert isinstance(training._futures["ReLU"].exception(timeout=10), InterruptedError)
    assert 4 not in reached


def test_starting_again_stops_the_training_before() -> None:
    go_on, blocked = threading.Event(), threading.Event()

    def wait(recipe: Recipe, epoch: int) -> None:
        if epoch == 1:
            blocked.set()
            assert go_on.wait(10)

    first = start(fake_fit(wait))
    assert blocked.wait(10)
    second = start(fake_fit())
    go_on.set()
    with pytest.raises(InterruptedError, match="run the cell that starts it again"):
        first.finish()
    assert set(second.finish()) == set(RECIPES)


def test_an_interrupt_by_the_reader_stops_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def wait(recipe: Recipe, epoch: int) -> None:
        if epoch == 2:
            assert go_on.wait(10)

    training = start(fake_fit(wait))

    def interrupted(name: str, epoch: int) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            training.follow(4)
    go_on.set()
    with pytest.raises(InterruptedError):
        training.finish()
