"""The same network in PyTorch: autograd instead of hand-written backward passes.

The recipe, the initial weights, the minibatch order and the dropout masks are those of the NumPy
network, so that the two can be compared step by step. The only module that imports torch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_mlp.data import Dataset, Split
from mnist_mlp.draws import dropout_mask, initial_parameters, minibatches, random_stream
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import Evaluation, History, OnEpoch, Run

torch.set_num_threads(1)  # for the reason given in __init__.py


def best_device() -> torch.device:
    """Return CUDA where there is one, else the CPU.

    Not Apple's MPS: it has no float64, and two threads that use it abort the process.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class PairedDropout(nn.Module):
    """``nn.Dropout`` with the masks that the NumPy network draws (and faster on a CPU)."""

    def __init__(self, p: float, rng: np.random.Generator) -> None:
        super().__init__()
        self.p, self.rng = p, rng

    def forward(self, x: Tensor) -> Tensor:
        """Return x itself in evaluation mode, ``x mask`` while training."""
        if not self.training:
            return x
        dtype = np.float64 if x.dtype == torch.float64 else np.float32
        mask = torch.from_numpy(dropout_mask(self.rng, self.p, tuple(x.shape), dtype))
        return x * mask.to(x.device, non_blocking=True)


ACTIVATIONS: dict[str, Callable[[Recipe], nn.Module]] = {
    "relu": lambda recipe: nn.LeakyReLU(recipe.alpha) if recipe.alpha > 0 else nn.ReLU(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "tanh": lambda _: nn.Tanh(),
}


def build_mlp(recipe: Recipe, seed: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return the recipe's network with the weights that the NumPy network starts from."""
    rng = random_stream(seed, "dropout")
    layers: list[nn.Module] = []
    for i, (W, b) in enumerate(initial_parameters(recipe, seed)):
        if i > 0:
            layers.append(ACTIVATIONS[recipe.activation](recipe))
        p = recipe.hidden_dropout if i > 0 else recipe.input_dropout
        if p > 0:
            layers.append(PairedDropout(p, rng))
        linear = nn.Linear(W.shape[0], W.shape[1], dtype=dtype)
        linear.weight.data.copy_(torch.from_numpy(W.T))  # nn.Linear keeps (fan_out, fan_in)
        linear.bias.data.copy_(torch.from_numpy(b))
        layers.append(linear)
    return nn.Sequential(*layers)


class TensorSplit:
    """Images (N, 784) and labels (N,) as tensors on a device, copied there once."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.images = torch.from_numpy(split.images).to(device)
        self.labels = torch.from_numpy(split.labels).to(device)


class Trainer:
    """A model and its optimiser: everything that training and measuring need.

    The methods take arrays as ``scratch.Trainer`` does, or tensors that are on the device already.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or best_device()
        self.model = build_mlp(recipe, seed, dtype).to(self.device)
        self.linear = [m for m in self.model if isinstance(m, nn.Linear)]
        # L2 acts on weights, not on biases. fused: one kernel for the update of all parameters.
        groups = [
            {"params": [m.weight for m in self.linear], "weight_decay": recipe.weight_decay},
            {"params": [m.bias for m in self.linear], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """Arrays by name, shaped as in ``scratch``: W1 (784, 512), W2, W3, b1 (512,), b2, b3."""
        layers = list(enumerate(self.linear, start=1))
        weights = {f"W{i}": layer.weight.detach().cpu().numpy().T for i, layer in layers}
        return weights | {f"b{i}": layer.bias.detach().cpu().numpy() for i, layer in layers}

    def step(
        self, images: Tensor | NDArray[Any], labels: Tensor | NDArray[Any], lr: float
    ) -> Tensor:
        """Learn from one minibatch; return its loss before the step, still on the device."""
        images = torch.as_tensor(images, device=self.device)
        labels = torch.as_tensor(labels, device=self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.model.train()
        loss = nn.functional.cross_entropy(self.model(images), labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    @torch.inference_mode()
    def logits(self, images: Tensor | NDArray[Any], chunk: int = 1000) -> NDArray[Any]:
        """Return the logits (N, 10) of any number of images, without dropout."""
        self.model.eval()
        chunks = torch.as_tensor(images, device=self.device).split(chunk)
        return torch.cat([self.model(x) for x in chunks]).cpu().numpy()

    @torch.inference_mode()
    def evaluate(self, split: Split | TensorSplit, chunk: int = 1000) -> Evaluation:
        """Measure mean loss, accuracy and dead units of each hidden layer, without dropout."""
        labels = torch.as_tensor(split.labels, device=self.device)
        alive = [torch.zeros_like(m.bias, dtype=torch.bool) for m in self.linear[:-1]]
        chunks = []
        self.model.eval()
        for x in torch.as_tensor(split.images, device=self.device).split(chunk):
            hidden = iter(alive)
            for layer in self.model:
                if not isinstance(layer, nn.Linear | PairedDropout):
                    next(hidden).logical_or_((x > 0).any(dim=0))
                x = layer(x)
            chunks.append(x)
        logits = torch.cat(chunks)
        return Evaluation(
            loss=nn.functional.cross_entropy(logits, labels).item(),
            accuracy=(logits.argmax(dim=1) == labels).double().mean().item(),
            dead_units=[(~units).double().mean().item() for units in alive],
        )


def fit(dataset: Dataset, recipe: Recipe, seed: int = 0, on_epoch: OnEpoch | None = None) -> Run:
    """Train on ``dataset.train`` and return the finished run; arguments as of ``scratch.fit``."""
    trainer = Trainer(recipe, seed)
    train, validation = (
        TensorSplit(s, trainer.device) for s in (dataset.train, dataset.validation)
    )
    order = random_stream(seed, "order")
    history = History()
    for epoch in range(recipe.epochs + 1):
        if epoch > 0:
            # No DataLoader, no .item(): rows are copied from where the data lies, and nothing in an
            # epoch waits for the device. index_select is faster than images[batch].
            for indices in minibatches(order, len(dataset.train.labels), recipe.batch_size):
                batch = torch.from_numpy(indices).to(trainer.device, non_blocking=True)
                images, labels = (t.index_select(0, batch) for t in (train.images, train.labels))
                trainer.step(images, labels, recipe.lr_at(epoch - 1))
        history.append(trainer.evaluate(train), trainer.evaluate(validation))
        if on_epoch:
            on_epoch(epoch, history)
    logits = trainer.logits(dataset.test.images)
    return Run(recipe, seed, history, trainer.model, logits, trainer.parameters)
