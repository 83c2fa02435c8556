"""Every random draw of a training run on one page: weights, minibatch order, dropout masks.

ReLU and LReLU, NumPy and PyTorch take the same draws for the same seed. NumPy and PyTorch then
start from the same weights; two activations from weights that differ by the factor of their
initialisation alone.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.recipe import Recipe


def random_stream(seed: int, purpose: Literal["init", "order", "dropout"]) -> np.random.Generator:
    """Return an independent generator for one purpose of a run.

    Separate streams keep runs paired: a recipe without dropout sees the same initial weights and
    the same minibatches as one with it.
    """
    return np.random.default_rng([seed, ("init", "order", "dropout").index(purpose)])


def initial_variance(recipe: Recipe, fan_in: int, fan_out: int) -> float:
    """Return the variance of a layer's weights, which keeps the signal's size from layer to layer.

    For rectifiers it is He's, ``2 / ((1 + alpha^2) fan_in)`` (He et al. 2015, arXiv:1502.01852,
    eq. 15), for sigmoid and tanh Xavier's, ``2 / (fan_in + fan_out)`` (Glorot and Bengio 2010,
    eq. 12); times the recipe's ``init_gain`` squared.
    """
    if recipe.activation == "relu":
        return recipe.init_gain**2 * 2 / ((1 + recipe.alpha**2) * fan_in)
    return recipe.init_gain**2 * 2 / (fan_in + fan_out)


def initial_parameters(
    recipe: Recipe, seed: int
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draw (W, b) of every layer: W (fan_in, fan_out) normal with mean zero, b (fan_out,) zero.

    The standard normal draws do not depend on the activation, so that two activations with one
    seed start from the same pattern.
    """
    rng = random_stream(seed, "init")
    parameters = []
    for fan_in, fan_out in zip(recipe.widths[:-1], recipe.widths[1:], strict=True):
        std = math.sqrt(initial_variance(recipe, fan_in, fan_out))
        parameters.append((std * rng.standard_normal((fan_in, fan_out)), np.zeros(fan_out)))
    return parameters


def minibatches(rng: np.random.Generator, n: int, batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of one epoch's minibatches: every image once, the last one may be short."""
    order = rng.permutation(n)
    for start in range(0, n, batch_size):
        yield order[start : start + batch_size]


def dropout_mask(
    rng: np.random.Generator, p: float, shape: tuple[int, ...], dtype: Any
) -> NDArray[Any]:
    """Draw an inverted-dropout mask: 0 with probability p, ``1 / (1 - p)`` otherwise.

    Sixteen random bits decide about a unit, which costs a quarter of a random float for each; p
    is rounded to a multiple of 2^-16, and the scale belongs to the rounded p, so that the
    expectation of the mask is exactly 1.
    """
    threshold = round(p * 2**16)
    size = math.prod(shape)
    bits = rng.integers(0, 2**64, size=size // 4 + 1, dtype=np.uint64)
    kept = bits.view(np.uint16)[:size].reshape(shape) >= threshold
    return np.multiply(kept, 2**16 / (2**16 - threshold), dtype=dtype)
