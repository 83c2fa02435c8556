"""What both frameworks share: the recipe, the random draws, the learning curves and the result.

ReLU and LReLU, NumPy and PyTorch use the same :class:`Recipe`, initial draws, minibatch order and
dropout masks for the same seed. NumPy and PyTorch then start from the same weights; two activations
from weights that differ by the factor of He initialisation alone.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from operator import index
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

N_INPUTS, N_CLASSES = 28 * 28, 10


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a training run but its data and its seed.

    The defaults are the chosen recipe: best mean validation accuracy in the search that
    ``study_plan.py`` records, never chosen on test data.

    Parameters
    ----------
    alpha : slope for negative inputs, 0 <= alpha < 1; 0 is ReLU.
    epochs, batch_size : passes over the training set (0 or more); images a minibatch.
    hidden : widths of the hidden layers.
    lr, decay : learning rate; "linear" falls by epoch to ``lr / epochs``, "constant" stays.
    momentum : m in ``v = m v + g; w -= lr v``.
    weight_decay : lambda in ``loss + lambda / 2 * sum(W^2)``, on weights and not on biases.
    input_dropout, hidden_dropout : probability that a unit is dropped, inputs and hidden layers.
    init_gain : factor on the standard deviation of He initialisation.

    Raises
    ------
    ValueError
        If a value is outside its range; the message names it.
    """

    alpha: float = 0.0
    epochs: int = 20
    batch_size: int = 100
    hidden: tuple[int, ...] = (512, 256)
    lr: float = 0.05
    decay: Literal["linear", "constant"] = "linear"
    momentum: float = 0.95
    weight_decay: float = 5e-5
    input_dropout: float = 0.1
    hidden_dropout: float = 0.1
    init_gain: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values for which training has no meaning (NaN fails every comparison).

        Equal values get one form (``alpha=0`` becomes 0.0, NumPy's integers Python's), so that
        equal recipes have equal digests.
        """
        forms: dict[Any, Callable[[Any], Any]] = {
            float: float,
            int: index,
            tuple[int, ...]: lambda widths: tuple(index(width) for width in widths),
        }
        for entry in fields(self):
            value = getattr(self, entry.name)
            try:
                if entry.type in forms:
                    object.__setattr__(self, entry.name, forms[entry.type](value))
            except (TypeError, ValueError):
                kind = "a number" if entry.type is float else "whole numbers"
                raise ValueError(f"Recipe.{entry.name} is {value!r}; it must be {kind}") from None
        rules = {
            "alpha": (0 <= self.alpha < 1, "0 <= alpha < 1 (0 is ReLU)"),
            "epochs": (self.epochs >= 0, "0 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "hidden": (len(self.hidden) > 0 and min(self.hidden) > 0, "positive layer widths"),
            "lr": (0 < self.lr < math.inf, "a positive number"),
            "decay": (self.decay in ("linear", "constant"), '"linear" or "constant"'),
            "momentum": (0 <= self.momentum < 1, "0 <= momentum < 1"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "input_dropout": (0 <= self.input_dropout <= 0.9999, "0 <= p <= 0.9999"),
            "hidden_dropout": (0 <= self.hidden_dropout <= 0.9999, "0 <= p <= 0.9999"),
            "init_gain": (0 < self.init_gain < math.inf, "a positive number"),
        }
        for name, (valid, rule) in rules.items():
            if not valid:
                raise ValueError(f"Recipe.{name} is {getattr(self, name)!r}; it must be {rule}")

    @property
    def activation(self) -> str:
        """Name for figures and tables: "ReLU" or, with its slope, "LReLU(0.1)"."""
        return "ReLU" if self.alpha == 0 else f"LReLU({self.alpha:g})"

    @property
    def widths(self) -> tuple[int, ...]:
        """Layer widths from input to output: (784, 512, 256, 10)."""
        return (N_INPUTS, *self.hidden, N_CLASSES)

    def lr_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0: ``lr (1 - epoch / epochs)`` when linear."""
        return self.lr * (1 - epoch / max(1, self.epochs)) if self.decay == "linear" else self.lr

    def digest(self) -> str:
        """Twelve hex digits that change with any value of the recipe."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]


def random_stream(seed: int, purpose: Literal["init", "order", "dropout"]) -> np.random.Generator:
    """Return an independent generator for one purpose of a run.

    Separate streams keep runs paired: a recipe without dropout sees the same initial weights and
    the same minibatches as one with it.
    """
    return np.random.default_rng([seed, ("init", "order", "dropout").index(purpose)])


def initial_parameters(
    recipe: Recipe, seed: int
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draw (W, b) of every layer: W (fan_in, fan_out) by He initialisation, b (fan_out,) zero.

    ``Var W = 2 / ((1 + alpha^2) fan_in)`` keeps the variance of the signal from layer to layer
    for a leaky rectifier (He et al. 2015, arXiv:1502.01852, eq. 15). The standard normal draws do
    not depend on alpha, so two activations with one seed start from the same pattern.
    """
    rng = random_stream(seed, "init")
    parameters = []
    for fan_in, fan_out in zip(recipe.widths[:-1], recipe.widths[1:], strict=True):
        std = recipe.init_gain * math.sqrt(2 / ((1 + recipe.alpha**2) * fan_in))
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


@dataclass
class History:
    """Learning curves, measured in evaluation mode before the first epoch and after each one.

    Every list has ``epochs + 1`` entries. Losses are the mean cross-entropy in nats without the
    L2 term, accuracies are fractions, ``dead_units[epoch][layer]`` is the fraction of the hidden
    units that are positive for no validation image.
    """

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    dead_units: list[list[float]] = field(default_factory=list)

    def append(self, train: "Evaluation", validation: "Evaluation") -> None:
        """Add one epoch, or raise :class:`DivergedError` if a loss is not finite."""
        if not (math.isfinite(train.loss) and math.isfinite(validation.loss)):
            raise DivergedError(self)
        self.train_loss.append(train.loss)
        self.validation_loss.append(validation.loss)
        self.train_accuracy.append(train.accuracy)
        self.validation_accuracy.append(validation.accuracy)
        self.dead_units.append(validation.dead_units)


@dataclass(frozen=True)
class Evaluation:
    """Mean loss, accuracy and the dead fraction of each hidden layer on one set of images."""

    loss: float
    accuracy: float
    dead_units: list[float]


@dataclass
class Run:
    """A finished training run: what was asked for, how it went, the model and its test logits."""

    recipe: Recipe
    seed: int
    history: History
    model: Any
    logits: NDArray[np.float32]
    """(n_test, 10), in the order of the test images."""


class DivergedError(RuntimeError):
    """Training reached an infinite or undefined loss; ``history`` holds the epochs before it."""

    def __init__(self, history: History) -> None:
        self.history = history
        super().__init__(
            f"the loss is no longer finite after epoch {len(history.train_loss)}: "
            "training stopped; lower Recipe.lr (or init_gain) and run again"
        )

    def __reduce__(self) -> tuple[type["DivergedError"], tuple[History]]:
        """Let worker processes send it: by default only the message would be."""
        return type(self), (self.history,)


OnEpoch = Callable[[int, History], None]
"""Called with the number of finished epochs (0 before the first) and the curves so far."""
