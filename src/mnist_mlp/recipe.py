"""The recipe: everything that defines a training run but its data and its seed."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from operator import index
from typing import Any, Literal, get_args

Activation = Literal["relu", "sigmoid", "tanh"]
N_INPUTS, N_CLASSES = 28 * 28, 10


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a training run but its data and its seed.

    The defaults are the chosen recipe: best mean validation accuracy in the search that
    ``study.py`` records, never chosen on test data.

    Parameters
    ----------
    activation, alpha : what follows every hidden layer; the slope of "relu" for negative inputs,
        0 <= alpha < 1, where 0 is ReLU and anything else LReLU.
    epochs, batch_size : passes over the training set (0 or more); images a minibatch.
    hidden : widths of the hidden layers.
    lr, decay : learning rate; "linear" falls by epoch to ``lr / epochs``, "constant" stays.
    momentum : m in ``v = m v + g; w -= lr v``.
    weight_decay : lambda in ``loss + lambda / 2 * sum(W^2)``, on weights and not on biases.
    input_dropout, hidden_dropout : probability that a unit is dropped, inputs and hidden layers.
    init_gain : factor on the standard deviation of the initial weights.

    A value outside its range is a ``ValueError`` that names it.
    """

    activation: Activation = "relu"
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
        equal recipes look the same wherever they are stored.
        """
        for name, (form, valid, rule) in RULES.items():
            given, fits = getattr(self, name), False
            with suppress(TypeError, ValueError, OverflowError):  # then it has no such form
                object.__setattr__(self, name, form(given))
                fits = valid(getattr(self, name))
            if not fits:
                raise ValueError(f"Recipe.{name} is {given!r}; it must be {rule}")
        if self.alpha > 0 and self.activation != "relu":
            raise ValueError(f"Recipe.alpha is {self.alpha}; {self.activation} has no slope to set")

    @property
    def label(self) -> str:
        """Name for figures and tables: "ReLU", "LReLU(0.1)" with its slope, "sigmoid", "tanh"."""
        if self.activation != "relu":
            return self.activation
        return "ReLU" if self.alpha == 0 else f"LReLU({self.alpha:g})"

    @property
    def widths(self) -> tuple[int, ...]:
        """Layer widths from input to output: (784, 512, 256, 10)."""
        return (N_INPUTS, *self.hidden, N_CLASSES)

    def lr_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0: ``lr (1 - epoch / epochs)`` when linear."""
        return self.lr * (1 - epoch / max(1, self.epochs)) if self.decay == "linear" else self.lr


# Of every field: the form that it is kept in, what is valid, and how that is said.
RULES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], bool], str]] = {
    "activation": (str, lambda a: a in get_args(Activation), " or ".join(get_args(Activation))),
    "alpha": (float, lambda a: 0 <= a < 1, "a number, 0 <= alpha < 1 (0 is ReLU)"),
    "epochs": (index, lambda n: n >= 0, "a whole number, 0 or more"),
    "batch_size": (index, lambda n: n >= 1, "a whole number, 1 or more"),
    "hidden": (
        lambda w: tuple(map(index, w)),
        lambda w: min(w, default=0) > 0,
        "positive layer widths",
    ),
    "lr": (float, lambda lr: 0 < lr < math.inf, "a positive number"),
    "decay": (str, lambda d: d in ("linear", "constant"), '"linear" or "constant"'),
    "momentum": (float, lambda m: 0 <= m < 1, "a number, 0 <= momentum < 1"),
    "weight_decay": (float, lambda w: 0 <= w < math.inf, "a number, 0 or more"),
    "input_dropout": (float, lambda p: 0 <= p <= 0.9999, "a number, 0 <= p <= 0.9999"),
    "hidden_dropout": (float, lambda p: 0 <= p <= 0.9999, "a number, 0 <= p <= 0.9999"),
    "init_gain": (float, lambda g: 0 < g < math.inf, "a positive number"),
}
