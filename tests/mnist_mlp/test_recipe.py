"""The recipe: what it refuses, its one form, its label and its schedule."""

import math
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest

from mnist_mlp.recipe import Recipe

NAN, INF = math.nan, math.inf
MEANINGLESS: dict[str, list[Any]] = {
    "activation": ["ReLU", "gelu", None],
    "alpha": [-0.1, 1.0, 2.0, NAN, INF, None],
    "epochs": [-1, 2.5, "20"],
    "batch_size": [0, -5, 1.5],
    "hidden": [(), (512, 0), (-1,), (1.5,), 5, None],
    "lr": [0.0, -0.1, NAN, INF, "fast", 10**400],
    "decay": ["cosine", None],
    "momentum": [1.0, -0.1, NAN],
    "weight_decay": [-1e-5, NAN, INF],
    "input_dropout": [-0.1, 1.0, NAN],
    "hidden_dropout": [-0.1, 1.0, NAN],
    "init_gain": [0.0, -1.0, NAN, INF],
}


def test_every_value_without_meaning_is_refused_by_name() -> None:
    assert list(MEANINGLESS) == list(vars(Recipe()))  # no field is without a refusal
    for name, values in MEANINGLESS.items():
        for value in values:
            with pytest.raises(ValueError, match=rf"^Recipe\.{name} is .*; it must be "):
                Recipe(**{name: value})
    with pytest.raises(ValueError, match=r"^Recipe\.alpha is 0\.1; tanh has no slope"):
        Recipe("tanh", alpha=0.1)


def test_equal_values_take_one_form() -> None:
    given: Any = {"alpha": 0, "epochs": np.int64(20), "lr": np.float64(0.05), "hidden": [512, 256]}
    same = Recipe(**given)
    assert (same, hash(same), repr(same)) == (Recipe(), hash(Recipe()), repr(Recipe()))
    assert [type(value) for value in astuple(same)] == [type(v) for v in astuple(Recipe())]


def test_the_label_names_the_activation_and_its_slope() -> None:
    recipes = (Recipe(), Recipe(alpha=0.1), Recipe("sigmoid"), Recipe("tanh"))
    assert [r.label for r in recipes] == ["ReLU", "LReLU(0.1)", "sigmoid", "tanh"]


def test_the_linear_schedule_falls_from_lr_to_lr_over_epochs() -> None:
    recipe = Recipe(lr=0.2, epochs=4, decay="linear")
    assert [recipe.lr_at(e) for e in range(4)] == pytest.approx([0.2, 0.15, 0.1, 0.05], abs=1e-15)
    constant = replace(recipe, decay="constant")
    assert [constant.lr_at(e) for e in range(4)] == [0.2] * 4
