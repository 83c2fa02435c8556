"""Results that nobody trained, for tests of what is said and drawn about results."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Dataset, Split
from mnist_mlp.evaluation import Result, evaluate_run
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History, Run
from mnist_mlp.study import CHOSEN, StoredRun, Task, plan

LABELS = np.arange(200) % 10


def result(wrong: Mapping[int, int], alpha: float = 0.0, seed: int = 0) -> Result:
    """Return a result on 200 test images that is wrong on the given ones: {image: prediction}."""
    rng = np.random.default_rng(seed)
    predicted = LABELS.copy()
    for image, guess in wrong.items():
        predicted[image] = guess
    logits = rng.uniform(0, 1, (200, 10))
    logits[np.arange(200), predicted] += rng.uniform(10, 40, 200)
    history = History(
        train_loss=[2.4, 0.3, 0.1, 0.05],
        validation_loss=[2.4, 0.2, 0.1, 0.12],
        train_accuracy=[0.1, 0.9, 0.97, 0.99],
        validation_accuracy=[0.1, 0.91, 0.96, 0.965],
        dead_units=[[0.0, 0.01]] * 4,
    )
    recipe = Recipe(alpha=alpha, epochs=3)
    run = Run(recipe, seed, history, None, logits.astype(np.float32))
    return evaluate_run(run, dataset())


def dataset(name: str = "mnist") -> Dataset:
    """Return 200 random images whose labels run through the ten classes."""
    images: NDArray[np.float32] = np.random.default_rng(0).random((200, 784), dtype=np.float32)
    split = Split(images, LABELS)
    return Dataset(name, split, split, split)


def study_runs(measure: Callable[[Task], Mapping[str, Any]] = lambda _: {}) -> list[StoredRun]:
    """Return a whole study whose runs hold the given measures over plausible defaults."""
    return [replace(stored_run(task), **measure(task)) for task in plan()]


def stored_run(task: Task) -> StoredRun:
    """Return a plausible result of a run, with the optional fields that such a run has."""
    rng = np.random.default_rng([task.seed, zlib.crc32(repr(task.recipe).encode())])
    first, last, test = rng.normal((0.96, 0.985, 0.986), (0.001, 0.0005, 0.0005))
    history = curves(float(first), float(last), task.recipe)
    run = StoredRun(
        implementation=task.implementation,
        dataset=task.dataset,
        seed=task.seed,
        recipe=task.recipe,
        diverged_after=None,
        train_loss=history.train_loss[-1],
        train_accuracy=history.train_accuracy[-1],
        validation_loss=history.validation_loss[-1],
        validation_accuracy=float(last),
        test_loss=0.05,
        test_accuracy=float(test),
        first_validation_accuracy=float(first),
        dead_units=history.dead_units,
        history=history,
    )
    if replace(task.recipe, alpha=CHOSEN.alpha) != CHOSEN:
        return run
    wrong = sorted(int(image) for image in rng.choice(400, 140, replace=False))  # the hard ones
    return replace(
        run,
        errors={image: (image % 10, 3 if image % 10 != 3 else 5) for image in wrong},
        top3={
            digit: [(int(image), -1e-9) for image in rng.choice(1000, 3, replace=False)]
            for digit in range(10)
        },
        expected_calibration_error=0.006,
        loss_right=0.006,
        loss_wrong=3.0,
    )


def runs_with(**fields: Sequence[Any]) -> list[StoredRun]:
    """Return stored runs with these values, one a run: ``runs_with(seed=[0, 1])``."""
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    one = stored_run(Task("numpy", CHOSEN, 0))
    return [replace(one, **row) for row in rows]


def curves(first: float, last: float, recipe: Recipe) -> History:
    """Return learning curves with these validation accuracies after the first and last epoch."""
    learned = 1 - 0.5 ** np.arange(recipe.epochs + 1.0)  # 0, then 1/2, 3/4, ...
    accuracy = [0.1, *np.linspace(first, last, recipe.epochs)]
    return History(
        train_loss=list(2.4 - 2.39 * learned),
        validation_loss=list(2.4 - 2.35 * learned),
        train_accuracy=[float(a) for a in accuracy],
        validation_accuracy=[float(a) for a in accuracy],
        dead_units=[[0.001] * len(recipe.hidden)] * (recipe.epochs + 1),
    )
