"""The layers of the network, each with its forward and its hand-written backward pass.

Shapes: N images a minibatch, D inputs and M outputs of a layer. ``backward(grad_output)`` takes
dL/d(output), stores the gradients of the layer's parameters and returns dL/d(input). The arrays
that a layer returns are its own and are overwritten by its next call, so that training allocates
nothing of that size but the minibatch itself and the dropout masks.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.recipe import dropout_mask

Array = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]


class Buffers:
    """Arrays that a layer uses again at every step; made anew only when the shape changes."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the array ``name`` of this shape and dtype; its contents are undefined."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            array = self._arrays[name] = np.empty(shape, dtype)
        return array


class Affine:
    """``y = x W + b`` with x (N, D), W (D, M), b (M,) and y (N, M).

    ``dW`` and ``db`` receive the gradients; a network passes views of one flat array, so that the
    optimiser can treat all parameters as one vector.
    """

    def __init__(
        self, W: Array, b: Array, dW: Array | None = None, db: Array | None = None
    ) -> None:
        self.W, self.b = W, b
        self.dW = np.empty_like(W) if dW is None else dW
        self.db = np.empty_like(b) if db is None else db
        self._buffer = Buffers()

    def forward(self, x: Array) -> Array:
        """Return y (N, M); keep x, which backward needs."""
        self.x = x
        y = self._buffer("y", (len(x), len(self.b)), self.W.dtype)
        np.matmul(x, self.W, out=y)
        y += self.b
        return y

    def backward(self, grad_output: Array) -> Array:
        """Store dW and db; return ``dL/dx = g W^T`` (N, D) for g = grad_output (N, M)."""
        self.parameter_gradients(grad_output)
        grad_input = self._buffer("grad", self.x.shape, self.W.dtype)
        return np.matmul(grad_output, self.W.T, out=grad_input)

    def parameter_gradients(self, grad_output: Array) -> None:
        """Store ``dW = x^T g`` (D, M) and ``db = sum_n g_n`` (M,).

        Training calls this alone for the first layer: nobody needs the gradient of the images,
        and its matrix product would be a fifth of the step.
        """
        np.matmul(self.x.T, grad_output, out=self.dW)
        np.sum(grad_output, axis=0, out=self.db)


class ReLU:
    """``y = max(x, 0)``; the derivative at 0 is taken as 0, as in PyTorch."""

    def __init__(self) -> None:
        self._buffer = Buffers()

    def forward(self, x: Array) -> Array:
        """Return y, shaped like x; keep where x is positive."""
        self.active: BoolArray = np.greater(x, 0, out=self._buffer("active", x.shape, bool))
        return np.maximum(x, 0, out=self._buffer("y", x.shape, x.dtype))

    def backward(self, grad_output: Array) -> Array:
        """Return g where x > 0 and 0 elsewhere."""
        grad_input = self._buffer("grad", grad_output.shape, grad_output.dtype)
        return np.multiply(grad_output, self.active, out=grad_input)


class LeakyReLU:
    """``y = x`` where x > 0 and ``alpha x`` elsewhere, 0 <= alpha < 1 (Maas et al. 2013)."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self._buffer = Buffers()

    def forward(self, x: Array) -> Array:
        """Return y, shaped like x; keep the slope at every x: 1 or alpha."""
        self.active: BoolArray = np.greater(x, 0, out=self._buffer("active", x.shape, bool))
        self.slope = self._buffer("slope", x.shape, x.dtype)
        np.maximum(self.active, x.dtype.type(self.alpha), out=self.slope)
        return np.multiply(x, self.slope, out=self._buffer("y", x.shape, x.dtype))

    def backward(self, grad_output: Array) -> Array:
        """Return g where x > 0 and ``alpha g`` elsewhere."""
        grad_input = self._buffer("grad", grad_output.shape, grad_output.dtype)
        return np.multiply(grad_output, self.slope, out=grad_input)


class Dropout:
    """Inverted dropout: drop each unit with probability p, divide the others by ``1 - p``.

    The expectation of the output is the input, so that the network is used without this layer
    at test time (Srivastava et al. 2014).
    """

    def __init__(self, p: float, rng: np.random.Generator) -> None:
        self.p, self.rng = p, rng
        self._buffer = Buffers()

    def forward(self, x: Array) -> Array:
        """Return ``y = x mask`` and keep the mask: 0 or ``1 / (1 - p)`` for every unit."""
        self.mask = dropout_mask(self.rng, self.p, x.shape, x.dtype)
        return np.multiply(x, self.mask, out=self._buffer("y", x.shape, x.dtype))

    def backward(self, grad_output: Array) -> Array:
        """Return ``g mask``."""
        grad_input = self._buffer("grad", grad_output.shape, grad_output.dtype)
        return np.multiply(grad_output, self.mask, out=grad_input)


class SoftmaxCrossEntropy:
    """Mean cross-entropy of softmax(logits) with integer labels, in nats.

    Softmax and loss are one layer because their joint gradient is simple and cannot overflow:
    ``dL/dz = (softmax(z) - onehot(t)) / N``.
    """

    def forward(self, logits: Array, labels: NDArray[np.int64]) -> float:
        """Return ``L = mean_n (log sum_j exp(z_nj) - z_n,t)`` for logits (N, K), labels (N,).

        The row maximum is subtracted first: softmax does not change, exp cannot overflow.
        """
        shifted = logits - logits.max(axis=1, keepdims=True)
        exp = np.exp(shifted)
        total = exp.sum(axis=1, keepdims=True)
        self.probs = exp / total
        self.labels = labels
        rows = np.arange(len(labels))
        return float(np.mean(np.log(total[:, 0]) - shifted[rows, labels], dtype=np.float64))

    def backward(self) -> Array:
        """Return dL/dlogits (N, K); the one place where the batch size divides."""
        grad = self.probs.copy()
        grad[np.arange(len(self.labels)), self.labels] -= 1
        grad /= len(self.labels)
        return grad
