"""The network from scratch, in NumPy alone: model, optimiser and training loop."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Dataset, Split
from mnist_mlp.layers import Affine, Array, Dropout, LeakyReLU, ReLU, SoftmaxCrossEntropy
from mnist_mlp.recipe import (
    Evaluation,
    History,
    OnEpoch,
    Recipe,
    Run,
    initial_parameters,
    minibatches,
    random_stream,
)


class MLP:
    """The recipe's network, 784 - 512 - 256 - 10, with its parameters in one flat array.

    ``parameters`` and ``gradients`` hold ``[W1, W2, W3, b1, b2, b3]`` one after another; every
    layer works on views of them, so that the optimiser needs one pass over one vector. ``slices``
    says where each tensor lies: ``parameters[slices["W1"]]``.
    """

    def __init__(self, recipe: Recipe, seed: int, dtype: Any = np.float32) -> None:
        initial = initial_parameters(recipe, seed)
        tensors = [W for W, _ in initial] + [b for _, b in initial]
        self.parameters = np.concatenate([t.ravel() for t in tensors]).astype(dtype)
        self.gradients = np.zeros_like(self.parameters)
        self.n_weights = sum(W.size for W, _ in initial)

        depth = len(initial)
        names = [f"W{i + 1}" for i in range(depth)] + [f"b{i + 1}" for i in range(depth)]
        ends = np.cumsum([t.size for t in tensors])
        self.slices = {
            n: slice(e - t.size, e) for n, t, e in zip(names, tensors, ends, strict=True)
        }

        W_b = views(self.parameters, tensors)
        dW_db = views(self.gradients, tensors)
        self.affine = [
            Affine(W_b[i], W_b[depth + i], dW_db[i], dW_db[depth + i]) for i in range(depth)
        ]
        self.dropout_rng = random_stream(seed, "dropout")
        self.layers: list[Affine | ReLU | LeakyReLU | Dropout] = []
        for i, affine in enumerate(self.affine):
            p = recipe.hidden_dropout if i > 0 else recipe.input_dropout
            if p > 0:
                self.layers.append(Dropout(p, self.dropout_rng))
            self.layers.append(affine)
            if i < depth - 1:
                self.layers.append(LeakyReLU(recipe.alpha) if recipe.alpha > 0 else ReLU())
        self.loss = SoftmaxCrossEntropy()

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the logits (N, 10) of images x (N, 784); dropout acts only while training."""
        for layer in self.layers:
            if training or not isinstance(layer, Dropout):
                x = layer.forward(x)
        return x

    def backward(self, to_input: bool = False) -> Array:
        """Fill ``gradients`` with those of the loss.

        Call it after ``forward(x, training=True)`` and ``loss.forward(logits, labels)``. Returns
        the gradient of the images (N, 784) if ``to_input``, which training does not need, else
        that of the first affine layer's output.
        """
        grad = self.loss.backward()
        end = 0 if to_input else self.layers.index(self.affine[0]) + 1
        for layer in reversed(self.layers[end:]):
            grad = layer.backward(grad)
        if not to_input:
            self.affine[0].parameter_gradients(grad)
        return grad

    def logits(self, images: Array, chunk: int = 1000) -> Array:
        """Return the logits (N, 10) of any number of images, in chunks that fit the cache."""
        starts = range(0, len(images), chunk)
        return np.concatenate([self.forward(images[s : s + chunk]).copy() for s in starts])

    def evaluate(self, split: Split, chunk: int = 1000) -> Evaluation:
        """Measure mean loss, accuracy and dead units of each hidden layer, without dropout."""
        activations = [a for a in self.layers if isinstance(a, ReLU | LeakyReLU)]
        ever_active = [np.zeros(len(affine.b), bool) for affine in self.affine[:-1]]
        logits = np.empty((len(split.labels), len(self.affine[-1].b)), self.parameters.dtype)
        for start in range(0, len(logits), chunk):
            rows = slice(start, start + chunk)
            logits[rows] = self.forward(split.images[rows])
            for alive, activation in zip(ever_active, activations, strict=True):
                alive |= activation.active.any(axis=0)
        return Evaluation(
            loss=self.loss.forward(logits, split.labels),
            accuracy=float(np.mean(logits.argmax(axis=1) == split.labels)),
            dead_units=[float(np.mean(~alive)) for alive in ever_active],
        )


def views(flat: Array, like: list[NDArray[Any]]) -> list[Array]:
    """Cut a flat array into consecutive views with the shapes of ``like``."""
    ends = np.cumsum([array.size for array in like])
    return [flat[e - a.size : e].reshape(a.shape) for a, e in zip(like, ends, strict=True)]


class SGD:
    """Gradient descent with momentum and L2: ``v = m v + g + lambda W; w -= lr v``.

    PyTorch's form. L2 acts on weights, not on biases. The parameters are updated block by block:
    one block of them, of gradients and of velocities stays in the processor's cache for all six
    operations, so that main memory is passed over once.
    """

    BLOCK = 2**17  # parameters; half or twice as many are as fast

    def __init__(self, model: MLP, recipe: Recipe) -> None:
        self.momentum = recipe.momentum
        self.velocity = np.zeros_like(model.parameters)
        update = np.empty(self.BLOCK, model.parameters.dtype)
        weights, size = model.n_weights, len(model.parameters)
        starts = [*range(0, weights, self.BLOCK), *range(weights, size, self.BLOCK)]
        self.blocks = []
        for start, end in zip(starts, [*starts[1:], size], strict=True):
            arrays = (model.parameters, model.gradients, self.velocity)
            w, g, v = (array[start:end] for array in arrays)
            decay = recipe.weight_decay if start < weights else 0.0
            self.blocks.append((w, g, v, update[: end - start], decay))

    def step(self, lr: float) -> None:
        """Move the parameters one step against their gradients."""
        for w, g, v, update, decay in self.blocks:
            np.multiply(w, decay, out=update)
            update += g
            v *= self.momentum
            v += update
            np.multiply(v, lr, out=update)
            w -= update


class Trainer:
    """A model and its optimiser; ``step`` is all of training."""

    def __init__(self, recipe: Recipe, seed: int, dtype: Any = np.float32) -> None:
        self.model = MLP(recipe, seed, dtype)
        self.optimiser = SGD(self.model, recipe)

    @property
    def parameters(self) -> Array:
        """All parameters in one vector: [W1, W2, W3, b1, b2, b3]."""
        return self.model.parameters

    def step(self, images: Array, labels: NDArray[np.int64], lr: float) -> float:
        """Learn from one minibatch; return its loss before the step."""
        logits = self.model.forward(images, training=True)
        loss = self.model.loss.forward(logits, labels)
        self.model.backward()
        self.optimiser.step(lr)
        return loss


def fit(
    dataset: Dataset,
    recipe: Recipe,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Train on ``dataset.train`` and return the finished run.

    Parameters
    ----------
    on_epoch : called with the number of finished epochs and the history, before the first epoch
        and after each one.

    Raises
    ------
    DivergedError
        If a loss becomes infinite or undefined; it carries the history so far.
    """
    trainer = Trainer(recipe, seed)
    train = dataset.train
    order = random_stream(seed, "order")
    history = History()
    for epoch in range(recipe.epochs + 1):
        # An overflow is reported once, as DivergedError, not as a warning from each operation.
        with np.errstate(over="ignore", invalid="ignore"):
            if epoch > 0:
                for batch in minibatches(order, len(train.labels), recipe.batch_size):
                    lr = recipe.lr_at(epoch - 1)
                    trainer.step(train.images[batch], train.labels[batch], lr)
            history.append(
                trainer.model.evaluate(train), trainer.model.evaluate(dataset.validation)
            )
        if on_epoch:
            on_epoch(epoch, history)
    return Run(recipe, seed, history, trainer.model, trainer.model.logits(dataset.test.images))
