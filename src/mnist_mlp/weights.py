"""The weights file of a trained ReLU/LReLU pair: how a notebook leaves its networks behind.

An ``.npz`` of plain arrays, without pickle: reading a stranger's file runs none of his code. Arrays
are called ``ReLU/W1`` (784, 512), ``ReLU/b1`` (512,), ..., ``LReLU/b3`` (10,), all float32;
``about`` is JSON that says what was trained on what.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.recipe import Recipe
from mnist_mlp.run import Run

NAMES = ("ReLU", "LReLU")

Parameters = dict[str, NDArray[np.float32]]
"""W1, W2, ... (fan_in, fan_out) and b1, b2, ... (fan_out,)."""


class WeightsError(Exception):
    """A weights file is missing, damaged or something else; the message says which."""


@dataclass(frozen=True)
class Weights:
    """Two trained networks and what they were trained on; dictionaries go by "ReLU", "LReLU"."""

    framework: str  # "numpy" or "torch"
    dataset: str
    seed: int
    recipes: dict[str, Recipe]
    parameters: dict[str, Parameters]


def shapes(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter of a recipe's network, by name."""
    found: dict[str, tuple[int, ...]] = {}
    for i, (d, m) in enumerate(zip(recipe.widths[:-1], recipe.widths[1:], strict=True), start=1):
        found |= {f"W{i}": (d, m), f"b{i}": (m,)}
    return found


def to_bytes(framework: str, dataset: str, runs: Mapping[str, Run]) -> bytes:
    """Return the content of a weights file; equal networks give equal bytes."""
    about = {
        "framework": framework,
        "dataset": dataset,
        "seed": runs["ReLU"].seed,
        "recipes": {name: asdict(runs[name].recipe) for name in NAMES},
    }
    arrays: dict[str, NDArray[Any]] = {"about": np.array(json.dumps(about))}
    for name in NAMES:
        for key, values in runs[name].parameters.items():
            arrays[f"{name}/{key}"] = np.ascontiguousarray(values, np.float32)
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes `allow_pickle` for them
    return file.getvalue()


def read(path: Path | str) -> Weights:
    """Read a weights file; ``WeightsError`` if it is missing, damaged, or no notebook's."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"{path} does not exist: run the notebook that saves it to its end")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            recipes = {name: Recipe(**about["recipes"][name]) for name in NAMES}
            parameters = {
                name: {k: checked(arrays[f"{name}/{k}"], n) for k, n in shapes(recipe).items()}
                for name, recipe in recipes.items()
            }
        return Weights(about["framework"], about["dataset"], about["seed"], recipes, parameters)
    except Exception as error:  # zipfile and NumPy raise many types for what is no archive
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{path} is damaged or no weights file of these notebooks ({reason}): delete it and "
            "run the notebook that saves it again"
        ) from None


def checked(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an array; raise ``ValueError`` if it is not what its recipe asks for."""
    if values.dtype != np.float32 or values.shape != shape:
        raise ValueError(f"an array is {values.dtype} {values.shape}, not float32 {shape}")
    return values
