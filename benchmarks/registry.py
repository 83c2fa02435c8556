"""Everybody who can take part, by the names of ``results.json``."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace

from benchmarks.contestants import FULL, PLAIN, BareProducts, Contestant, Scratch
from benchmarks.contestants_peers import Jax, Sklearn
from benchmarks.contestants_torch import TorchDataLoader, TorchEager, TorchOurs
from mnist_mlp.data import Split
from mnist_mlp.recipe import Recipe

Entry = tuple[Callable[[Split, Recipe, int], Contestant], Recipe]


def registry() -> dict[str, Entry]:
    """Return every contestant whose library is installed, with the recipe it trains."""
    lrelu, full_lrelu = replace(PLAIN, alpha=0.1), replace(FULL, alpha=0.1)
    entries: dict[str, Entry] = {
        "bare_products": (BareProducts, PLAIN),
        "scratch_relu": (Scratch, PLAIN),
        "scratch_lrelu": (Scratch, lrelu),
        "torch_eager": (TorchEager, PLAIN),
        "torch_dataloader": (TorchDataLoader, PLAIN),
        "torch_ours": (TorchOurs, PLAIN),
        "jax": (Jax, PLAIN),
        "sklearn": (Sklearn, PLAIN),
        "dropout_scratch_relu": (Scratch, FULL),
        "dropout_scratch_lrelu": (Scratch, full_lrelu),
        "dropout_torch_eager": (TorchEager, FULL),
        "dropout_torch_ours": (TorchOurs, FULL),
    }
    return {name: e for name, e in entries.items() if importlib.util.find_spec(library(name))}


def library(name: str) -> str:
    """Return the module that a contestant needs."""
    return next((m for m in ("torch", "jax", "sklearn") if m in name), "numpy")
