"""The network from scratch, in NumPy alone: model, optimiser and training loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp import weights
from mnist_mlp.data import Dataset, Split
from mnist_mlp.draws import initial_parameters, minibatches, random_stream
from mnist_mlp.layers import (
    Affine,
    Array,
    Dropout,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)
from mnist_mlp.recipe import N_INPUTS, Recipe
from mnist_mlp.run import Evaluation, History, OnEpoch, Run

ActivationLayer = ReLU | LeakyReLU | Sigmoid | Tanh
ACTIVATIONS: dict[str, Callable[[Recipe], ActivationLayer]] = {
    "relu": lambda recipe: LeakyReLU(recipe.alpha) if recipe.alpha > 0 else ReLU(),
    "sigmoid": lambda _: Sigmoid(),
    "tanh": lambda _: Tanh(),
}


def check_images(images: Any) -> None:
    """Raise ``ValueError`` unless images are like those that the network was trained on."""
    x = np.asarray(images)
    fits = x.ndim == 2 and x.shape[1] == N_INPUTS and x.size > 0 and x.dtype.kind == "f"
    if not (fits and x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"images are {x.dtype} {x.shape}; give (N, 784) floats in [0, 1]: pixels / 255"
        )


class MLP:
    """The recipe's network, 784 - 512 - 256 - 10; ``affine[i].W`` and ``.b`` are its parameters."""

    def __init__(self, recipe: Recipe, seed: int, dtype: Any = np.float32) -> None:
        initial = initial_parameters(recipe, seed)
        self.affine = [Affine(W.astype(dtype), b.astype(dtype)) for W, b in initial]
        self.dropout_rng = random_stream(seed, "dropout")
        self.layers: list[Affine | ActivationLayer | Dropout] = []
        for i, affine in enumerate(self.affine):
            if i > 0:
                self.layers.append(ACTIVATIONS[recipe.activation](recipe))
            p = recipe.hidden_dropout if i > 0 else recipe.input_dropout
            if p > 0:
                self.layers.append(Dropout(p, self.dropout_rng))
            self.layers.append(affine)
        self.loss = SoftmaxCrossEntropy()

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the logits (N, 10) of images x (N, 784); dropout acts only while training."""
        for layer in self.layers:
            if training or not isinstance(layer, Dropout):
                x = layer.forward(x)
        return x

    def logits(self, images: Array, chunk: int = 1000) -> Array:
        """Return the logits (N, 10) of any number of images, in chunks that fit the cache."""
        starts = range(0, len(images), chunk)
        return np.concatenate([self.forward(images[s : s + chunk]) for s in starts])

    def predict(self, images: Array) -> NDArray[np.int64]:
        """Return the digit (N,) that the network reads in each image (N, 784), in [0, 1]."""
        check_images(images)
        return self.logits(images).argmax(axis=1)

    def backward(self, to_input: bool = False) -> Array:
        """Store the loss's gradients in every affine layer's ``dW`` and ``db``.

        Call it after ``forward(x, training=True)`` and ``loss.forward(logits, labels)``. Returns
        dL/dx of the images (N, 784) if ``to_input``, else of the first layer's output (N, 512).
        """
        grad = self.loss.backward()
        end = 0 if to_input else self.layers.index(self.affine[0]) + 1
        for layer in reversed(self.layers[end:]):
            grad = layer.backward(grad)
        if not to_input:
            # Training changes no image: to leave out g W^T saves a quarter of a step's products.
            self.affine[0].parameter_gradients(grad)
        return grad


class SGD:
    """Gradient descent with momentum and L2: ``v = m v + g + lambda w; w -= lr v``.

    PyTorch's form. L2 acts on weights, not on biases.
    """

    def __init__(self, model: MLP, recipe: Recipe) -> None:
        self.affine = model.affine
        self.momentum, self.weight_decay = recipe.momentum, recipe.weight_decay
        self.velocity = [(np.zeros_like(a.W), np.zeros_like(a.b)) for a in model.affine]

    def step(self, lr: float) -> None:
        """Move the parameters one step against their gradients."""
        for layer, (v_W, v_b) in zip(self.affine, self.velocity, strict=True):
            v_W *= self.momentum
            v_W += layer.dW + self.weight_decay * layer.W
            layer.W -= lr * v_W
            v_b *= self.momentum
            v_b += layer.db
            layer.b -= lr * v_b


class Trainer:
    """A model and its optimiser: everything that training and measuring need."""

    def __init__(self, recipe: Recipe, seed: int, dtype: Any = np.float32) -> None:
        self.model = MLP(recipe, seed, dtype)
        self.optimiser = SGD(self.model, recipe)

    @property
    def parameters(self) -> dict[str, Array]:
        """The model's own arrays by name: W1 (784, 512), W2, W3, then b1 (512,), b2, b3."""
        weights = {f"W{i}": affine.W for i, affine in enumerate(self.model.affine, start=1)}
        return weights | {f"b{i}": affine.b for i, affine in enumerate(self.model.affine, start=1)}

    def step(self, images: Array, labels: NDArray[np.int64], lr: float) -> float:
        """Learn from one minibatch; return its loss before the step."""
        logits = self.model.forward(images, training=True)
        loss = self.model.loss.forward(logits, labels)
        self.model.backward()
        self.optimiser.step(lr)
        return loss

    def logits(self, images: Array, chunk: int = 1000) -> Array:
        """Return the logits (N, 10) of any number of images, without dropout."""
        return self.model.logits(images, chunk)

    def evaluate(self, split: Split, chunk: int = 1000) -> Evaluation:
        """Measure mean loss, accuracy and dead units of each hidden layer, without dropout."""
        alive = [np.zeros(len(affine.b), bool) for affine in self.model.affine[:-1]]
        chunks = []
        for start in range(0, len(split.labels), chunk):
            x, hidden = split.images[start : start + chunk], iter(alive)
            for layer in self.model.layers:
                if isinstance(layer, ActivationLayer):
                    units = next(hidden)
                    units |= (x > 0).any(axis=0)
                if not isinstance(layer, Dropout):
                    x = layer.forward(x)
            chunks.append(x)
        logits = np.concatenate(chunks)
        return Evaluation(
            loss=self.model.loss.forward(logits, split.labels),
            accuracy=float(np.mean(logits.argmax(axis=1) == split.labels)),
            dead_units=[float(np.mean(~units)) for units in alive],
        )


def fit(dataset: Dataset, recipe: Recipe, seed: int = 0, on_epoch: OnEpoch | None = None) -> Run:
    """Train on ``dataset.train`` and return the finished run.

    ``on_epoch`` is called before the first epoch and after each one, with the number of finished
    epochs and the history. Raises ``DivergedError``, which carries the history so far, if a loss
    becomes infinite or undefined.
    """
    trainer = Trainer(recipe, seed)
    train, order = dataset.train, random_stream(seed, "order")
    history = History()
    for epoch in range(recipe.epochs + 1):
        # An overflow is reported once, as DivergedError, not as a warning from each operation.
        with np.errstate(over="ignore", invalid="ignore"):
            if epoch > 0:
                for batch in minibatches(order, len(train.labels), recipe.batch_size):
                    lr = recipe.lr_at(epoch - 1)
                    trainer.step(train.images[batch], train.labels[batch], lr)
            history.append(trainer.evaluate(train), trainer.evaluate(dataset.validation))
        if on_epoch:
            on_epoch(epoch, history)
    logits = trainer.logits(dataset.test.images)
    return Run(recipe, seed, history, trainer.model, logits, trainer.parameters)


def load(path: Path | str, activation: str = "ReLU") -> MLP:
    """Return a trained network, "ReLU" or "LReLU", from the file that a notebook saved.

    Also PyTorch's (``weights_framework.npz``): both notebooks save the same arrays.
    ``load("figures/weights_scratch.npz").predict(images)`` reads images (N, 784) in [0, 1].
    Raises ``WeightsError`` if there is no such file, or no such activation in it.
    """
    saved = weights.read(path)
    if activation not in saved.recipes:
        raise weights.WeightsError(f"no {activation!r} in {path}, but {', '.join(saved.recipes)}")
    model = MLP(saved.recipes[activation], seed=0)  # the weights it draws are replaced
    for i, affine in enumerate(model.affine, start=1):
        affine.W = saved.parameters[activation][f"W{i}"]
        affine.b = saved.parameters[activation][f"b{i}"]
    return model
