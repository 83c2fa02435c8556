"""The same training, done by everybody: what a contestant is, and those in NumPy.

A contestant is made from the training images, a recipe without or with dropout, and a seed.
``epoch()`` trains one epoch; ``parameters()`` returns ``[W1, W2, W3, b1, b2, b3]`` as one vector,
by which it is checked that nobody skipped work. All start from the same weights; all but
scikit-learn and the DataLoader, which shuffle by themselves, also see the same minibatches.
A library is imported by the contestant that needs it: one that is not installed is left out.
"""

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Split
from mnist_mlp.recipe import Recipe, minibatches, random_stream
from mnist_mlp.scratch import MLP, Trainer

Vector = NDArray[np.float32]

PLAIN = Recipe(
    lr=0.003, decay="constant", momentum=0.9, weight_decay=3e-2, input_dropout=0, hidden_dropout=0
)
"""Momentum and L2, no dropout. A small learning rate and a strong L2 cost no time and make a smooth
loss: after an epoch it varies by 1 % with the minibatches, and by 29 % if L2 is left out."""
FULL = replace(PLAIN, input_dropout=0.1, hidden_dropout=0.1)


class Contestant(Protocol):
    """Anything that can train the network."""

    def epoch(self) -> None:
        """Train one epoch and wait until it is finished."""

    def parameters(self) -> Vector | None:
        """Return ``[W1, W2, W3, b1, b2, b3]``; None if nothing is learned."""


def flatten(weights: list[Any], biases: list[Any]) -> Vector:
    """Join W (fan_in, fan_out) and b of every layer to one vector."""
    return np.concatenate([np.asarray(t, np.float32).ravel() for t in [*weights, *biases]])


class BareProducts:
    """The eight matrix products of a step and nothing else: the floor for any implementation.

    They read and write the network's own arrays, so that what is above the floor is the glue.
    """

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        n = recipe.batch_size
        self.steps = len(split.labels) // n
        self.model = MLP(recipe, seed)
        self.W = [affine.W for affine in self.model.affine]
        self.dW = [affine.dW for affine in self.model.affine]
        self.x = [split.images[:n].copy()]
        self.x += [np.empty((n, W.shape[1]), np.float32) for W in self.W]
        rng = np.random.default_rng(seed)
        self.grad = [rng.standard_normal(x.shape, np.float32) for x in self.x]

    def step(self) -> None:
        """Multiply as one step of training does: three forward, five backward."""
        x, W, dW, grad = self.x, self.W, self.dW, self.grad
        for i in range(len(W)):
            np.matmul(x[i], W[i], out=x[i + 1])
        for i in reversed(range(len(W))):
            np.matmul(x[i].T, grad[i + 1], out=dW[i])
            if i > 0:
                np.matmul(grad[i + 1], W[i].T, out=grad[i])

    def epoch(self) -> None:
        """Multiply as often as an epoch does."""
        for _ in range(self.steps):
            self.step()

    def parameters(self) -> None:
        """Nothing is learned."""


class Scratch:
    """Our network in NumPy, by the loop of ``scratch.fit``."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        self.split, self.recipe = split, recipe
        self.trainer = Trainer(recipe, seed)
        self.order = random_stream(seed, "order")

    def epoch(self) -> None:
        """Train one epoch."""
        images, labels, lr = self.split.images, self.split.labels, self.recipe.lr
        for batch in minibatches(self.order, len(labels), self.recipe.batch_size):
            self.trainer.step(images[batch], labels[batch], lr)

    def parameters(self) -> Vector:
        """Return a copy of the weights."""
        return self.trainer.parameters.copy()


def training_loss(parameters: Vector, recipe: Recipe, split: Split) -> float:
    """Return the mean cross-entropy of a network, computed in one way for all contestants."""
    model = MLP(recipe, seed=0)
    model.parameters[:] = parameters
    return model.evaluate(split).loss
