"""Results that nobody trained, for tests of what is said and drawn about results."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Dataset, Split
from mnist_mlp.evaluation import Result, evaluate_run
from mnist_mlp.recipe import History, Recipe, Run
from mnist_mlp.study import csv_line
from mnist_mlp.study_plan import Task, plan
from mnist_mlp.study_rows import COLUMNS

LABELS = np.arange(200) % 10


def result(name: str, wrong: dict[int, int], alpha: float = 0.0, seed: int = 0) -> Result:
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
    return evaluate_run(name, run, dataset())


def dataset() -> Dataset:
    """Return 200 random images whose labels run through the ten classes."""
    images: NDArray[np.float32] = np.random.default_rng(0).random((200, 784), dtype=np.float32)
    split = Split(images, LABELS)
    return Dataset("mnist", split, split, split)


def study_file(path: Path, measure: Callable[[Task], dict[str, object]]) -> Path:
    """Write a whole study whose rows are the given measures over plausible defaults."""
    text = csv_line(COLUMNS)
    for task in plan():
        rng = np.random.default_rng([task.seed, int(task.recipe.digest(), 16)])
        dead = "|".join("0.001" for _ in task.recipe.hidden)
        row: dict[str, object] = {
            "framework": task.framework,
            "recipe_hash": task.recipe.digest(),
            "alpha": task.recipe.alpha,
            "seed": task.seed,
            "dataset": task.dataset,
            "train_loss": 0.001,
            "train_accuracy": 0.9999,
            "validation_loss": 0.05,
            "validation_accuracy": 0.985 + 0.0005 * rng.standard_normal(),
            "test_loss": 0.05,
            "test_accuracy": 0.986 + 0.0005 * rng.standard_normal(),
            "first_train_accuracy": 0.96,
            "first_validation_accuracy": 0.96 + 0.001 * rng.standard_normal(),
            "dead_units": " ".join([dead] * (task.recipe.epochs + 1)),
            "errors": " ".join(f"{i}:3" for i in sorted(rng.choice(10_000, 140, replace=False))),
            "recipe": json.dumps(asdict(task.recipe)),
        } | measure(task)
        text += csv_line([row.get(name, "") for name in COLUMNS])
    path.write_text(text, encoding="utf-8")
    return path
