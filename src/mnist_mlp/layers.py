"""The layers of the network, each with its forward and its hand-written backward pass.

Shapes: N images a minibatch, D inputs and M outputs of a layer. ``backward(grad_output)`` takes
dL/d(output), stores the gradients of the layer's parameters and returns dL/d(input). It belongs to
the last ``forward``, whose values the layer has kept.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.draws import dropout_mask

Array = NDArray[np.floating[Any]]
"""float32 for training, float64 for checks; a layer computes in the type that it is given."""


class Affine:
    """``y = x W + b`` with x (N, D), W (D, M), b (M,) and y (N, M)."""

    def __init__(self, W: Array, b: Array) -> None:
        self.W, self.b = W, b

    def forward(self, x: Array) -> Array:
        """Return y (N, M); keep x, which backward needs."""
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad_output: Array) -> Array:
        """Store dW and db; return ``dL/dx = g W^T`` (N, D) for g = grad_output (N, M)."""
        self.parameter_gradients(grad_output)
        return grad_output @ self.W.T

    def parameter_gradients(self, grad_output: Array) -> None:
        """Store ``dW = x^T g`` (D, M) and ``db = sum_n g_n`` (M,)."""
        self.dW = self.x.T @ grad_output
        self.db = grad_output.sum(axis=0)


class ReLU:
    """``y = max(x, 0)``."""

    def forward(self, x: Array) -> Array:
        """Return y, shaped like x; keep where x is positive."""
        self.active = x > 0  # at 0 the derivative is taken as 0, as in PyTorch
        return np.maximum(x, 0)

    def backward(self, grad_output: Array) -> Array:
        """Return g where x > 0 and 0 elsewhere."""
        return grad_output * self.active


class LeakyReLU:
    """``y = x`` where x > 0 and ``alpha x`` elsewhere, 0 <= alpha < 1 (Maas et al. 2013)."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        """Return y, shaped like x; keep the slope at every x: 1 or alpha."""
        self.active = x > 0
        self.slope = np.maximum(self.active, self.alpha, dtype=x.dtype)  # True counts as 1
        return x * self.slope

    def backward(self, grad_output: Array) -> Array:
        """Return g where x > 0 and ``alpha g`` elsewhere."""
        return grad_output * self.slope


class Sigmoid:
    """``y = 1 / (1 + exp(-x))``, between 0 and 1."""

    def forward(self, x: Array) -> Array:
        """Return y, shaped like x; keep it, which backward needs."""
        self.y = (1 + np.tanh(x / 2)) / 2  # the same function, and exp cannot overflow
        return self.y

    def backward(self, grad_output: Array) -> Array:
        """Return ``g y (1 - y)``: the derivative is at most 1/4."""
        return grad_output * self.y * (1 - self.y)


class Tanh:
    """``y = tanh(x)``, between -1 and 1."""

    def forward(self, x: Array) -> Array:
        """Return y, shaped like x; keep it, which backward needs."""
        self.y = np.tanh(x)
        return self.y

    def backward(self, grad_output: Array) -> Array:
        """Return ``g (1 - y^2)``: the derivative is at most 1, at x = 0."""
        return grad_output * (1 - self.y**2)


class Dropout:
    """Inverted dropout: drop each unit with probability p, divide the others by ``1 - p``.

    The expectation of the output is the input, so that the network is used without this layer
    at test time (Srivastava et al. 2014).
    """

    def __init__(self, p: float, rng: np.random.Generator) -> None:
        self.p, self.rng = p, rng

    def forward(self, x: Array) -> Array:
        """Return ``y = x mask`` and keep the mask: 0 or ``1 / (1 - p)`` for every unit."""
        self.mask = dropout_mask(self.rng, self.p, x.shape, x.dtype)
        return x * self.mask

    def backward(self, grad_output: Array) -> Array:
        """Return ``g mask``."""
        return grad_output * self.mask


class SoftmaxCrossEntropy:
    """Mean cross-entropy of softmax(logits) with integer labels, in nats.

    Softmax and loss are one layer because their joint gradient is simple and cannot overflow:
    ``dL/dz = (softmax(z) - onehot(t)) / N``.
    """

    def forward(self, logits: Array, labels: NDArray[np.int64]) -> float:
        """Return ``L = mean_n (log sum_j exp(z_nj) - z_n,t)`` for logits (N, K), labels (N,)."""
        # Softmax does not change when a row's maximum is subtracted, and exp cannot overflow.
        shifted = logits - logits.max(axis=1, keepdims=True)
        exp = np.exp(shifted)
        total = exp.sum(axis=1, keepdims=True)
        self.probs = exp / total
        self.labels = labels
        of_label = shifted[np.arange(len(labels)), labels]
        return float(np.mean(np.log(total[:, 0]) - of_label, dtype=np.float64))

    def backward(self) -> Array:
        """Return dL/dlogits (N, K)."""
        grad = self.probs.copy()
        grad[np.arange(len(self.labels)), self.labels] -= 1
        return grad / len(self.labels)  # the one place where the batch size divides
