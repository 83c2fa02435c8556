"""The same training, done by everybody: ours, and what users of other libraries would write.

``epoch()`` trains one epoch and waits until it is finished; ``parameters`` are a contestant's own
W1, b1, ... b3, which show whether it skipped work. All start from the same weights; all but
scikit-learn and the DataLoaders, which shuffle by themselves, also see the same minibatches.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
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
    values = enumerate((np.asarray(array) for layer in layers for array in layer), start=2)
    return {f"{'Wb'[i % 2]}{i // 2}": array for i, array in values}


class Contestant:
    """What all have: images, labels, the recipe and the order of the minibatches."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        self.parameters: Parameters = {}
        self.images, self.labels, self.recipe = split.images, split.labels, recipe
        self.order, self.initial = random_stream(seed, "order"), initial_parameters(recipe, seed)

    def batches(self) -> Iterator[NDArray[np.int64]]:
        return minibatches(self.order, len(self.labels), self.recipe.batch_size)


class BareProducts(Contestant):
    """The eight matrix products of a step and nothing else: the floor for any implementation."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        super().__init__(split, recipe, seed)
        rng, n = np.random.default_rng(seed), recipe.batch_size
        self.W = [W.astype(np.float32) for W, _ in self.initial]
        self.dW = [np.empty_like(W) for W in self.W]
        self.x = [rng.standard_normal((n, width), np.float32) for width in recipe.widths]
        self.grad = [rng.standard_normal(x.shape, np.float32) for x in self.x]

    def epoch(self) -> None:
        for _ in self.batches():
            for i in (0, 1, 2):
                np.matmul(self.x[i], self.W[i], out=self.x[i + 1])
            for i in (2, 1, 0):
                np.matmul(self.x[i].T, self.grad[i + 1], out=self.dW[i])
                if i > 0:  # no gradient for the images
                    np.matmul(self.grad[i + 1], self.W[i].T, out=self.grad[i])


class Scratch(Contestant):
    """Our network in NumPy, by the loop of ``scratch.fit``."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        super().__init__(split, recipe, seed)
        self.trainer = Trainer(recipe, seed)
        self.parameters = self.trainer.parameters

    def epoch(self) -> None:
        for batch in self.batches():
            self.trainer.step(self.images[batch], self.labels[batch], self.recipe.lr)


class TorchOurs(Contestant):
    """Our network in PyTorch, by the loop of ``framework.fit``."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import torch

        from mnist_mlp import framework

        super().__init__(split, recipe, seed)
        self.torch, cpu = torch, torch.device("cpu")
        self.trainer = framework.Trainer(recipe, seed, device=cpu)
        self.parameters = self.trainer.parameters
        self.split = framework.TensorSplit(split, cpu)

    def epoch(self) -> None:
        images, labels = self.split.images, self.split.labels
        for batch in map(self.torch.from_numpy, self.batches()):
            x, y = images.index_select(0, batch), labels.index_select(0, batch)
            self.trainer.step(x, y, self.recipe.lr)


class TorchDataLoader(Contestant):
    """What a PyTorch user writes: ``nn.Sequential``, ``SGD`` as it comes, a ``DataLoader``."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import torch
        from torch import nn

        from mnist_mlp import framework

        torch.manual_seed(seed)
        layers = [
            nn.Dropout(m.p) if isinstance(m, framework.PairedDropout) else m
            for m in framework.build_mlp(recipe, seed)
        ]
        linear = [m for m in layers if isinstance(m, nn.Linear)]
        self.model, self.loss = nn.Sequential(*layers), nn.CrossEntropyLoss()
        self.optimiser = torch.optim.SGD(
            self.model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.parameters = by_name((m.weight.detach().T, m.bias.detach()) for m in linear)
        self.loader = torch.utils.data.DataLoader(self.dataset(split), recipe.batch_size, True)

    def dataset(self, split: Split) -> Any:
        import torch

        return torch.utils.data.TensorDataset(*map(torch.from_numpy, (split.images, split.labels)))

    def step(self, images: Any, labels: Any) -> Any:
        loss = self.loss(self.model(images), labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss

    def epoch(self) -> None:
        for images, labels in self.loader:
            self.step(images, labels)


class TorchTutorial(TorchDataLoader):
    """The same as tutorials write it: ``ToTensor`` on every image, the loss read every step."""

    def dataset(self, split: Split) -> Any:
        import torch
        from PIL import Image

        data = torch.from_numpy(np.rint(255 * split.images).astype(np.uint8).reshape(-1, 28, 28))
        targets = torch.from_numpy(split.labels)

        class Pictures(torch.utils.data.Dataset[Any]):
            def __len__(self) -> int:
                return len(data)

            def __getitem__(self, index: int) -> tuple[Any, int]:  # as torchvision's, step for step
                picture = np.array(Image.fromarray(data[index].numpy()))
                image = torch.from_numpy(picture).view(28, 28, 1).permute(2, 0, 1).contiguous()
                return image.to(torch.float32).div(255), int(targets[index])

        return Pictures()

    def epoch(self) -> None:
        for images, labels in self.loader:
            self.step(images.flatten(1), labels).item()


class NumpyTextbook(Contestant):
    """NumPy as textbooks write it: one-hot labels, masks, the images' gradient; but in float32."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        super().__init__(split, recipe, seed)
        self.one_hot, self.rng = np.eye(10, dtype=np.float32)[split.labels], self.order.spawn(1)[0]
        self.parameters = by_name((W.astype("f4"), b.astype("f4")) for W, b in self.initial)
        self.velocity = {name: np.zeros_like(v) for name, v in self.parameters.items()}

    def mask(self, x: NDArray[Any], i: int) -> Any:
        p = self.recipe.hidden_dropout if i > 1 else self.recipe.input_dropout
        positive = x > 0 if i > 1 else True
        return (positive & (self.rng.random(x.shape) > p)) / np.float32(1 - p) if p else positive

    def gradients(self, x: NDArray[Any], t: NDArray[Any]) -> Parameters:
        values, kept, grads = self.parameters, {}, {}
        for i in (1, 2, 3):
            mask = self.mask(x, i)  # ReLU and dropout
            kept[i] = x * mask, mask
            x = np.dot(kept[i][0], values[f"W{i}"]) + values[f"b{i}"]
        y = np.exp(x - np.max(x, axis=1, keepdims=True))
        y = y / np.sum(y, axis=1, keepdims=True)
        self.loss = -np.sum(t * np.log(y + 1e-7)) / len(t)
        dout = (y - t) / len(t)
        for i in (3, 2, 1):
            grads[f"W{i}"] = np.dot(kept[i][0].T, dout) + self.recipe.weight_decay * values[f"W{i}"]
            grads[f"b{i}"] = np.sum(dout, axis=0)
            dout = np.dot(dout, values[f"W{i}"].T) * kept[i][1]
        return grads

    def epoch(self) -> None:
        for batch in self.batches():
            for name, grad in self.gradients(self.images[batch], self.one_hot[batch]).items():
                moved = self.recipe.momentum * self.velocity[name] - self.recipe.lr * grad
                self.velocity[name] = moved
                self.parameters[name] += moved


class Jax(Contestant):
    """JAX: a whole epoch is one compiled ``lax.scan`` over the minibatches."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import jax
        import jax.numpy as jnp

        super().__init__(split, recipe, seed)
        self.jax, images, labels = jax, jnp.asarray(split.images), jnp.asarray(split.labels)
        start = [(jnp.asarray(W, "float32"), jnp.asarray(b, "float32")) for W, b in self.initial]
        self.carry = start, jax.tree.map(jnp.zeros_like, start)
        self.parameters = by_name(start)

        def loss(layers: Any, x: Any, labels: Any) -> Any:
            for W, b in layers[:-1]:
                x = jax.nn.relu(x @ W + b)
            log_probs = jax.nn.log_softmax(x @ layers[-1][0] + layers[-1][1])
            of_label = jnp.take_along_axis(log_probs, labels[:, None], axis=1)
            return -jnp.mean(of_label)

        def step(carry: Any, batch: Any) -> tuple[Any, None]:
            state, velocity = carry
            grads = jax.grad(loss)(state, images[batch], labels[batch])
            grads = jax.tree.map(lambda g, w: g + recipe.weight_decay * w, grads, state)
            velocity = jax.tree.map(lambda v, g: recipe.momentum * v + g, velocity, grads)
            state = jax.tree.map(lambda w, v: w - recipe.lr * v, state, velocity)
            return (state, velocity), None

        self.compiled = jax.jit(lambda carry, batches: jax.lax.scan(step, carry, batches))

    def epoch(self) -> None:
        batches = np.array(list(self.batches()))
        self.carry, _ = self.jax.block_until_ready(self.compiled(self.carry, batches))
        self.parameters = by_name(self.carry[0])


class Sklearn(Contestant):
    """scikit-learn's ``MLPClassifier``: ``partial_fit`` is one epoch and keeps the velocity."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        from sklearn.neural_network import MLPClassifier

        super().__init__(split, recipe, seed)
        self.model, n = MLPClassifier(recipe.hidden, solver="sgd"), recipe.batch_size
        self.model.set_params(batch_size=n, learning_rate_init=recipe.lr, random_state=seed)
        self.model.set_params(momentum=recipe.momentum, nesterovs_momentum=False)
        self.model.set_params(alpha=recipe.weight_decay * n)  # it divides it by the batch size
        self.model.partial_fit(split.images[:n], split.labels[:n], classes=np.arange(10))
        # It can't be told where to start: put everybody's initial weights in, at rest.
        for i, (W, b) in enumerate(self.initial):
            self.model.coefs_[i][:], self.model.intercepts_[i][:] = W, b
        for velocity in self.model._optimizer.velocities:
            velocity[:] = 0
        self.parameters = by_name(zip(self.model.coefs_, self.model.intercepts_, strict=True))

    def epoch(self) -> None:
        self.model.partial_fit(self.images, self.labels)


CONTESTANTS: dict[str, tuple[Callable[[Split, Recipe, int], Any], Recipe, str]] = {
    "bare_products": (BareProducts, PLAIN, "행렬곱 8개만"),
    "scratch_relu": (Scratch, PLAIN, "이 저장소, NumPy, ReLU"),
    "scratch_lrelu": (Scratch, replace(PLAIN, alpha=0.1), "이 저장소, NumPy, LReLU"),
    "torch_ours": (TorchOurs, PLAIN, "이 저장소, PyTorch, ReLU"),
    "torch_dataloader": (TorchDataLoader, PLAIN, "PyTorch, `TensorDataset`"),
    "torch_tutorial": (TorchTutorial, PLAIN, "PyTorch, 튜토리얼대로"),
    "numpy_textbook": (NumpyTextbook, PLAIN, "NumPy, 교과서대로"),
    "sklearn": (Sklearn, PLAIN, "scikit-learn `MLPClassifier`"),
    "jax": (Jax, PLAIN, "JAX, `jit`와 `scan`"),
}
"""By the names of results.json: how to make it, what it trains, its label in the README."""
for name in [n for n in CONTESTANTS if n not in ("bare_products", "sklearn", "jax")]:
    make, recipe, label = CONTESTANTS[name]
    with_dropout = replace(recipe, input_dropout=0.1, hidden_dropout=0.1)
    CONTESTANTS[f"dropout_{name}"] = make, with_dropout, f"드롭아웃: {label}"


def installed() -> list[str]:
    """Return the contestants whose library is there."""
    return [n for n in CONTESTANTS if all(find_spec(m) for m in ("torch", "jax") if m in n)]


def loss_of(parameters: Parameters, recipe: Recipe, split: Split) -> float:
    """Return the mean cross-entropy of a network on ``split``, computed in one way for all."""
    trainer = Trainer(recipe, seed=0)
    for name, values in trainer.parameters.items():
        values[...] = parameters[name]
    return trainer.evaluate(split).loss
