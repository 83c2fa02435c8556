"""Two proofs that the hand-written network is right: finite differences, and PyTorch's steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Split
from mnist_mlp.recipe import Recipe, minibatches, random_stream
from mnist_mlp.scratch import MLP, SGD

H = 1e-5
"""Step of the central difference: its error is O(H^2) from the third derivative and about
1e-16 / H from rounding; both are near 1e-10 here."""
LOSS_LIMIT, WEIGHT_LIMIT = 1e-10, 1e-9
"""What two implementations may differ by in float64: losses in nats, weights relatively."""


@dataclass(frozen=True)
class GradientError:
    """How far backward is from the central difference for one tensor."""

    tensor: str
    checked: int
    at_kink: int
    """Entries left out because a unit changed sign between the two points of the difference."""
    relative_error: float
    """``|numeric - backward| / (|numeric| + |backward|)``, norms over the checked entries; infinite
    where none could be checked, so that nothing unchecked passes."""


def gradient_check(
    recipe: Recipe,
    images: NDArray[Any],
    labels: NDArray[np.int64],
    seed: int = 0,
    entries: int = 40,
) -> list[GradientError]:
    """Compare backward with ``(L(w + H) - L(w - H)) / 2H`` in float64.

    L is the training objective: cross-entropy under a fixed dropout mask, plus L2. For every
    parameter tensor and for the input, ``entries`` random entries are checked. A rectifier has no
    derivative at 0: where a unit is positive on one side of the difference only, the quotient
    mixes two slopes and says nothing about backward, so that such entries are counted and left out.
    """
    model = MLP(recipe, seed, np.float64)
    x = images.astype(np.float64)
    mask_state = model.dropout_rng.bit_generator.state

    def objective() -> tuple[float, list[NDArray[np.bool_]]]:
        model.dropout_rng.bit_generator.state = mask_state  # the same dropout mask every time
        loss = model.loss.forward(model.forward(x, training=True), labels)
        weights = model.parameters[: model.n_weights]
        signs = [unit.active.copy() for unit in model.layers if hasattr(unit, "active")]
        return loss + recipe.weight_decay / 2 * float(weights @ weights), signs

    objective()
    grad_input = model.backward(to_input=True).copy()
    optimiser = SGD(model, recipe)
    optimiser.step(lr=0)  # from rest: the velocity is now the gradient, with the optimiser's L2
    gradients = optimiser.velocity
    tensors = {name: (model.parameters[s], gradients[s]) for name, s in model.slices.items()}
    tensors["x"] = (x.reshape(-1), grad_input.reshape(-1))

    rng = np.random.default_rng(seed)
    return [
        compare_entries(name, values, backward, objective, rng, entries)
        for name, (values, backward) in tensors.items()
    ]


def compare_entries(
    name: str,
    values: NDArray[np.float64],
    backward: NDArray[np.float64],
    objective: Callable[[], tuple[float, list[NDArray[np.bool_]]]],
    rng: np.random.Generator,
    entries: int,
) -> GradientError:
    """Compare random entries of one tensor; ``objective`` returns the loss and the units' signs."""
    numeric, exact, at_kink = [], [], 0
    for i in rng.choice(values.size, min(entries, values.size), replace=False):
        original = values[i]
        values[i] = original + H
        loss_above, signs_above = objective()
        values[i] = original - H
        loss_below, signs_below = objective()
        values[i] = original
        if all(map(np.array_equal, signs_above, signs_below)):
            numeric.append((loss_above - loss_below) / (2 * H))
            exact.append(backward[i])
        else:
            at_kink += 1
    difference = np.linalg.norm(np.subtract(numeric, exact))
    size = np.linalg.norm(numeric) + np.linalg.norm(exact)
    error = float(difference / size) if size else 0.0
    return GradientError(name, len(numeric), at_kink, error if numeric else math.inf)


class Trainer(Protocol):
    """What ``scratch.Trainer`` and ``framework.Trainer`` have in common."""

    @property
    def parameters(self) -> NDArray[Any]:
        """All parameters in one vector: [W1, W2, W3, b1, b2, b3]."""

    def step(self, images: Any, labels: Any, lr: float) -> Any:
        """Learn from one minibatch; return its loss before the step."""


@dataclass
class Agreement:
    """Differences of two trainers, one entry a step."""

    loss: list[float] = field(default_factory=list)
    """Absolute difference of the minibatch losses, in nats."""
    weights: list[float] = field(default_factory=list)
    """``|w1 - w2| / |w1|`` over all parameters, after the step."""


def compare_steps(
    first: Trainer,
    second: Trainer,
    split: Split,
    recipe: Recipe,
    seed: int,
    dtype: Any,
    steps: int | None = None,
) -> Agreement:
    """Give two trainers the minibatches of the first epoch (or ``steps`` of them) and compare."""
    batches = minibatches(random_stream(seed, "order"), len(split.labels), recipe.batch_size)
    agreement = Agreement()
    for batch in islice(batches, steps):
        x, labels = split.images[batch].astype(dtype), split.labels[batch]
        losses = [float(t.step(x, labels, recipe.lr_at(0))) for t in (first, second)]
        w1, w2 = first.parameters, second.parameters
        agreement.loss.append(abs(losses[0] - losses[1]))
        agreement.weights.append(float(np.linalg.norm(w1 - w2) / np.linalg.norm(w1)))
    return agreement
