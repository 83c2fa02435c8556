"""The same training, done by everybody: ours, and what users of other libraries would write.

A contestant is made from images, a recipe and a seed. ``epoch()`` trains one epoch and waits until
it is finished; ``parameters`` are its own W1, b1, ... b3, which show whether it skipped work. All
start from the same weights; all but scikit-learn and the DataLoader, which shuffle by themselves,
also see the same minibatches. A library is imported by the contestant that needs it: one that is
not installed is left out.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Split
from mnist_mlp.draws import initial_parameters, minibatches, random_stream
from mnist_mlp.recipe import Recipe
from mnist_mlp.scratch import Trainer

PLAIN = Recipe(
    lr=0.003, decay="constant", momentum=0.9, weight_decay=3e-2, input_dropout=0, hidden_dropout=0
)
"""Momentum and L2, no dropout. A small learning rate and a strong L2 cost no time and make a smooth
loss: after an epoch it varies by 1 % with the minibatches, and by 29 % if L2 is left out."""
Parameters = dict[str, NDArray[Any]]


def by_name(layers: Iterable[tuple[Any, Any]]) -> Parameters:
    """Return (W, b) of every layer, W (fan_in, fan_out), by name."""
    named: Parameters = {}
    for i, (W, b) in enumerate(layers, start=1):
        named |= {f"W{i}": np.asarray(W), f"b{i}": np.asarray(b)}
    return named


class BareProducts:
    """The eight matrix products of a step and nothing else: the floor for any implementation."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        n = recipe.batch_size
        self.steps = len(split.labels) // n
        rng = np.random.default_rng(seed)
        self.W = [W.astype(np.float32) for W, _ in initial_parameters(recipe, seed)]
        self.dW = [np.empty_like(W) for W in self.W]
        self.x = [rng.standard_normal((n, width), np.float32) for width in recipe.widths]
        self.grad = [rng.standard_normal(x.shape, np.float32) for x in self.x]
        self.parameters: Parameters = {}

    def step(self) -> None:
        """Multiply as one step of training does: three forward, five backward."""
        x, W, grad = self.x, self.W, self.grad
        for i in range(len(W)):
            np.matmul(x[i], W[i], out=x[i + 1])
        for i in reversed(range(len(W))):
            np.matmul(x[i].T, grad[i + 1], out=self.dW[i])
            if i > 0:  # no gradient for the images
                np.matmul(grad[i + 1], W[i].T, out=grad[i])

    def epoch(self) -> None:
        for _ in range(self.steps):
            self.step()


class Scratch:
    """Our network in NumPy, by the loop of ``scratch.fit``."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        self.images, self.labels, self.recipe = split.images, split.labels, recipe
        self.trainer = Trainer(recipe, seed)
        self.parameters = self.trainer.parameters
        self.order = random_stream(seed, "order")

    def epoch(self) -> None:
        for batch in minibatches(self.order, len(self.labels), self.recipe.batch_size):
            self.trainer.step(self.images[batch], self.labels[batch], self.recipe.lr)


class TorchOurs:
    """Our network in PyTorch, by the loop of ``framework.fit``."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import torch

        from mnist_mlp import framework

        cpu = torch.device("cpu")
        self.torch, self.recipe = torch, recipe
        self.trainer = framework.Trainer(recipe, seed, device=cpu)
        self.parameters = self.trainer.parameters
        self.split = framework.TensorSplit(split, cpu)
        self.order = random_stream(seed, "order")

    def epoch(self) -> None:
        images, labels = self.split.images, self.split.labels
        for indices in minibatches(self.order, len(labels), self.recipe.batch_size):
            batch = self.torch.from_numpy(indices)
            x, y = images.index_select(0, batch), labels.index_select(0, batch)
            self.trainer.step(x, y, self.recipe.lr)


class TorchIndexing:
    """What a PyTorch user writes: ``nn.Sequential``, ``SGD`` as it comes, tensors indexed."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import torch
        from torch import nn

        from mnist_mlp import framework

        torch.manual_seed(seed)
        self.torch, self.recipe = torch, recipe
        self.images, self.labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
        self.order = random_stream(seed, "order")
        layers = [
            nn.Dropout(m.p) if isinstance(m, framework.PairedDropout) else m
            for m in framework.build_mlp(recipe, seed)
        ]
        self.model, self.loss = nn.Sequential(*layers), nn.CrossEntropyLoss()
        linear = [m for m in layers if isinstance(m, nn.Linear)]
        groups: list[dict[str, Any]] = [
            {"params": [m.weight for m in linear], "weight_decay": recipe.weight_decay},
            {"params": [m.bias for m in linear]},
        ]
        self.optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
        self.parameters = by_name((m.weight.detach().T, m.bias.detach()) for m in linear)

    def step(self, images: Any, labels: Any) -> None:
        loss = self.loss(self.model(images), labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def epoch(self) -> None:
        for indices in minibatches(self.order, len(self.labels), self.recipe.batch_size):
            batch = self.torch.from_numpy(indices)
            self.step(self.images[batch], self.labels[batch])


class TorchDataLoader(TorchIndexing):
    """The same with the minibatches of a ``DataLoader``, as PyTorch's own tutorials do."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        super().__init__(split, recipe, seed)
        from torch.utils.data import DataLoader, TensorDataset

        dataset = TensorDataset(self.images, self.labels)
        self.loader = DataLoader(dataset, batch_size=recipe.batch_size, shuffle=True)

    def epoch(self) -> None:
        for images, labels in self.loader:
            self.step(images, labels)


class Jax:
    """JAX: a whole epoch is one compiled ``lax.scan`` over the minibatches."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import jax
        import jax.numpy as jnp

        self.jax, self.batch_size = jax, recipe.batch_size
        self.order = random_stream(seed, "order")
        images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)
        self.n = len(labels)
        initial = initial_parameters(recipe, seed)
        self.state = [(jnp.asarray(W, "float32"), jnp.asarray(b, "float32")) for W, b in initial]
        self.velocity = jax.tree.map(jnp.zeros_like, self.state)
        self.parameters = by_name(self.state)

        def loss(layers: Any, x: Any, labels: Any) -> Any:
            for W, b in layers[:-1]:
                x = jax.nn.leaky_relu(x @ W + b, recipe.alpha)
            W, b = layers[-1]
            log_probs = jax.nn.log_softmax(x @ W + b)
            squares = sum(jnp.sum(W**2) for W, _ in layers)
            of_label = jnp.take_along_axis(log_probs, labels[:, None], axis=1)
            return recipe.weight_decay / 2 * squares - jnp.mean(of_label)

        def step(carry: Any, batch: Any) -> tuple[Any, None]:
            state, velocity = carry
            grads = jax.grad(loss)(state, images[batch], labels[batch])
            velocity = jax.tree.map(lambda v, g: recipe.momentum * v + g, velocity, grads)
            state = jax.tree.map(lambda w, v: w - recipe.lr * v, state, velocity)
            return (state, velocity), None

        self.compiled = jax.jit(partial(jax.lax.scan, step))

    def epoch(self) -> None:
        batches = np.array(list(minibatches(self.order, self.n, self.batch_size)))
        carry, _ = self.compiled((self.state, self.velocity), batches)
        self.state, self.velocity = self.jax.block_until_ready(carry)
        self.parameters = by_name(self.state)


class Sklearn:
    """scikit-learn's ``MLPClassifier``: ``partial_fit`` is one epoch and keeps the velocity."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        from sklearn.neural_network import MLPClassifier

        self.split, n = split, recipe.batch_size
        self.model = MLPClassifier(
            recipe.hidden,
            solver="sgd",
            batch_size=n,
            learning_rate_init=recipe.lr,
            momentum=recipe.momentum,
            nesterovs_momentum=False,
            alpha=recipe.weight_decay * n,  # it divides alpha by the batch size
            random_state=seed,
        )
        self.model.partial_fit(split.images[:n], split.labels[:n], classes=np.arange(10))
        # It can't be told where to start: put everybody's initial weights in, at rest.
        for i, (W, b) in enumerate(initial_parameters(recipe, seed)):
            self.model.coefs_[i][:], self.model.intercepts_[i][:] = W, b
        for velocity in self.model._optimizer.velocities:
            velocity[:] = 0
        self.parameters = by_name(zip(self.model.coefs_, self.model.intercepts_, strict=True))

    def epoch(self) -> None:
        self.model.partial_fit(self.split.images, self.split.labels)


CONTESTANTS: dict[str, tuple[Callable[[Split, Recipe, int], Any], Recipe, str]] = {
    "bare_products": (BareProducts, PLAIN, "행렬곱 8개만"),
    "scratch_relu": (Scratch, PLAIN, "이 저장소, NumPy, ReLU"),
    "scratch_lrelu": (Scratch, replace(PLAIN, alpha=0.1), "이 저장소, NumPy, LReLU"),
    "torch_ours": (TorchOurs, PLAIN, "이 저장소, PyTorch, ReLU"),
    "torch_eager": (TorchIndexing, PLAIN, "PyTorch, 텐서 인덱싱"),
    "torch_dataloader": (TorchDataLoader, PLAIN, "PyTorch, DataLoader"),
    "jax": (Jax, PLAIN, "JAX, `jit`와 `scan`"),
    "sklearn": (Sklearn, PLAIN, "scikit-learn `MLPClassifier`"),
}
"""By the names of results.json: how to make it, what it trains, its label in the README."""
for name in ("scratch_relu", "scratch_lrelu", "torch_ours", "torch_eager"):
    make, recipe, label = CONTESTANTS[name]
    with_dropout = replace(recipe, input_dropout=0.1, hidden_dropout=0.1)
    CONTESTANTS[f"dropout_{name}"] = make, with_dropout, f"드롭아웃: {label}"


def installed() -> list[str]:
    """Return the contestants whose library is there."""
    libraries = ("torch", "jax", "sklearn")
    return [n for n in CONTESTANTS if all(find_spec(m) for m in libraries if m in n)]


def loss_of(parameters: Parameters, recipe: Recipe, split: Split) -> float:
    """Return the mean cross-entropy of a network on ``split``, computed in one way for all."""
    trainer = Trainer(recipe, seed=0)
    for name, values in trainer.parameters.items():
        values[...] = parameters[name]
    return trainer.evaluate(split).loss
