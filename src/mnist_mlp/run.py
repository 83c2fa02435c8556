"""What a training run leaves behind: its learning curves, its measures, the trained network."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.recipe import Recipe


@dataclass
class History:
    """Learning curves, measured in evaluation mode before the first epoch and after each one.

    Every list has ``epochs + 1`` entries. Losses are the mean cross-entropy in nats without the
    L2 term, accuracies are fractions, ``dead_units[epoch][layer]`` is the fraction of the hidden
    units whose input (what the activation is applied to) is positive for no validation image.
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
    """A finished training run: what was asked for, how it went, the model and what it says."""

    recipe: Recipe
    seed: int
    history: History
    model: Any
    logits: NDArray[np.float32]
    """(n_test, 10), in the order of the test images."""
    parameters: dict[str, NDArray[Any]] = field(default_factory=dict)
    """The trained weights by name: W1 (784, 512), W2, W3, then b1 (512,), b2, b3."""


class DivergedError(RuntimeError):
    """Training reached an infinite or undefined loss; ``history`` holds the epochs before it."""

    def __init__(self, history: History) -> None:
        super().__init__(history)  # pickle makes it again from this
        self.history = history

    def __str__(self) -> str:
        return (
            f"the loss is no longer finite after epoch {len(self.history.train_loss)}: "
            "training stopped; lower Recipe.lr (or init_gain) and run again"
        )


OnEpoch = Callable[[int, History], None]
"""Called with the number of finished epochs (0 before the first) and the curves so far."""
