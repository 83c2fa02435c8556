"""Proofs that the hand-written network is right, and what becomes of its gradients on the way."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Split
from mnist_mlp.draws import minibatches, random_stream
from mnist_mlp.layers import Array, Dropout
from mnist_mlp.recipe import Recipe
from mnist_mlp.scratch import MLP, ActivationLayer, Trainer

H = 1e-5
"""Step of the central difference: its error is O(H^2) from the third derivative and about
1e-16 / H from rounding; both are near 1e-10 here."""
LOSS_LIMIT, WEIGHT_LIMIT = 1e-10, 1e-9
PROBE = 1000  # images that the gradient flow is measured on
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
    trainer = Trainer(recipe, seed, np.float64)
    model, optimiser = trainer.model, trainer.optimiser
    x = images.astype(np.float64)
    mask_state = model.dropout_rng.bit_generator.state

    def objective() -> tuple[float, list[NDArray[np.bool_]]]:
        model.dropout_rng.bit_generator.state = mask_state  # the same dropout masks every time
        loss = model.loss.forward(model.forward(x, training=True), labels)
        squares = sum(float(np.sum(affine.W**2)) for affine in model.affine)
        signs = [unit.active for unit in model.layers if hasattr(unit, "active")]
        return loss + recipe.weight_decay / 2 * squares, signs

    objective()
    grad_input = model.backward(to_input=True)
    optimiser.step(lr=0)  # from rest: the velocity is now the gradient, with the optimiser's L2
    gradients = [v_W for v_W, _ in optimiser.velocity] + [v_b for _, v_b in optimiser.velocity]
    tensors = dict(zip(trainer.parameters, gradients, strict=True)) | {"x": grad_input}
    values = trainer.parameters | {"x": x}

    rng = np.random.default_rng(seed)
    return [
        compare_entries(name, values[name], backward, objective, rng, entries)
        for name, backward in tensors.items()
    ]


def compare_entries(
    name: str,
    values: Array,
    backward: Array,
    objective: Callable[[], tuple[float, list[NDArray[np.bool_]]]],
    rng: np.random.Generator,
    entries: int,
) -> GradientError:
    """Compare random entries of one tensor; ``objective`` returns the loss and the units' signs."""
    numeric, exact, at_kink = [], [], 0
    for i in rng.choice(values.size, min(entries, values.size), replace=False):
        original = values.flat[i]
        values.flat[i] = original + H
        loss_above, signs_above = objective()
        values.flat[i] = original - H
        loss_below, signs_below = objective()
        values.flat[i] = original
        if all(map(np.array_equal, signs_above, signs_below)):
            numeric.append((loss_above - loss_below) / (2 * H))
            exact.append(backward.flat[i])
        else:
            at_kink += 1
    difference = np.linalg.norm(np.subtract(numeric, exact))
    size = np.linalg.norm(numeric) + np.linalg.norm(exact)
    error = float(difference / size) if size else 0.0
    return GradientError(name, len(numeric), at_kink, error if numeric else math.inf)


@dataclass
class Agreement:
    """Differences of two trainers, one entry a step."""

    loss: list[float] = field(default_factory=list)
    """Absolute difference of the minibatch losses, in nats."""
    weights: list[float] = field(default_factory=list)
    """``|w1 - w2| / |w1|`` over all parameters, after the step."""


def compare_steps(
    ours: Trainer,
    theirs: Any,
    split: Split,
    recipe: Recipe,
    seed: int,
    dtype: Any,
    on_step: Callable[[], None] = lambda: None,
) -> Agreement:
    """Give our trainer and PyTorch's (framework.Trainer) the minibatches of the first epoch.

    ``on_step`` is called before each one, and may raise to end the comparison.
    """
    batches = minibatches(random_stream(seed, "order"), len(split.labels), recipe.batch_size)
    agreement = Agreement()
    for batch in batches:
        on_step()
        x, labels = split.images[batch].astype(dtype), split.labels[batch]
        losses = [float(twin.step(x, labels, recipe.lr_at(0))) for twin in (ours, theirs)]
        w1, w2 = ours.parameters, theirs.parameters
        distance = math.hypot(*(float(np.linalg.norm(w1[name] - w2[name])) for name in w1))
        size = math.hypot(*(float(np.linalg.norm(w)) for w in w1.values()))
        agreement.loss.append(abs(losses[0] - losses[1]))
        agreement.weights.append(distance / size)
    return agreement


def gradient_flow(
    model: MLP, images: NDArray[Any], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the root mean square of dL/dz by hidden layer, over images and units, no dropout.

    z is what goes into a layer's activation.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, Dropout)]
    x = images
    for layer in layers:
        x = layer.forward(x)
    model.loss.forward(x, labels)
    grad = model.loss.backward()
    sizes = []
    for layer in reversed(layers):
        grad = layer.backward(grad)
        if isinstance(layer, ActivationLayer):
            sizes.append(np.sqrt(np.mean(np.square(grad, dtype=np.float64))))
    return np.array(sizes[::-1])


def flow_over_an_epoch(
    recipe: Recipe, split: Split, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gradient flow of the first ``PROBE`` images before and after an epoch."""
    trainer = Trainer(recipe, seed)
    probe = split.images[:PROBE], split.labels[:PROBE]
    start = gradient_flow(trainer.model, *probe)
    for batch in minibatches(random_stream(seed, "order"), len(split.labels), recipe.batch_size):
        trainer.step(split.images[batch], split.labels[batch], recipe.lr_at(0))
    return start, gradient_flow(trainer.model, *probe)
