"""The same network in PyTorch: autograd instead of hand-written backward passes.

The recipe, the initial weights, the minibatch order and the dropout masks are those of the NumPy
network, so that the two can be compared step by step. The only module that imports torch.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_mlp.data import Dataset, Split
from mnist_mlp.recipe import (
    Evaluation,
    History,
    OnEpoch,
    Recipe,
    Run,
    dropout_mask,
    initial_parameters,
    minibatches,
    random_stream,
)

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


def build_mlp(recipe: Recipe, seed: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return the recipe's network with the weights that the NumPy network starts from.

    ``nn.Linear`` keeps its weight as (fan_out, fan_in), the transpose of our W.
    """
    rng = random_stream(seed, "dropout")
    layers: list[nn.Module] = []
    for i, (W, b) in enumerate(initial_parameters(recipe, seed)):
        if i > 0:
            layers.append(nn.LeakyReLU(recipe.alpha) if recipe.alpha > 0 else nn.ReLU())
        p = recipe.hidden_dropout if i > 0 else recipe.input_dropout
        if p > 0:
            layers.append(PairedDropout(p, rng))
        fan_in, fan_out = W.shape
        linear = nn.Linear(fan_in, fan_out, dtype=dtype)
        linear.weight.data.copy_(torch.from_numpy(W.T))
        linear.bias.data.copy_(torch.from_numpy(b))
        layers.append(linear)
    return nn.Sequential(*layers)


class TensorSplit:
    """Images (N, 784) and labels (N,) as tensors on a device, copied there once."""

    def __init__(self, split: Split, device: torch.device, dtype: torch.dtype) -> None:
        self.images = torch.from_numpy(split.images).to(device, dtype)
        self.labels = torch.from_numpy(split.labels).to(device)


class Trainer:
    """A model and its optimiser; ``step`` is all of training."""

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or best_device()
        self.model = build_mlp(recipe, seed, dtype).to(self.device)
        linear = [m for m in self.model if isinstance(m, nn.Linear)]
        # L2 acts on weights, not on biases. fused: one kernel for the update of all parameters.
        groups = [
            {"params": [m.weight for m in linear], "weight_decay": recipe.weight_decay},
            {"params": [m.bias for m in linear], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)

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

    @property
    def parameters(self) -> NDArray[Any]:
        """All parameters as NumPy's network keeps them: [W1, W2, W3, b1, b2, b3]."""
        linear = [m for m in self.model if isinstance(m, nn.Linear)]
        tensors = [m.weight.detach().T for m in linear] + [m.bias.detach() for m in linear]
        return np.concatenate([t.cpu().numpy().ravel() for t in tensors])


@torch.inference_mode()
def evaluate(model: nn.Sequential, split: TensorSplit, chunk: int = 1000) -> Evaluation:
    """Measure mean loss, accuracy and dead units of each hidden layer, without dropout."""
    ever_active: dict[int, Tensor] = {}
    all_logits = []
    model.eval()
    for x in split.images.split(chunk):
        for i, layer in enumerate(model):
            x = layer(x)
            if isinstance(layer, nn.ReLU | nn.LeakyReLU):
                active = (x > 0).any(dim=0)
                ever_active[i] = active | ever_active[i] if i in ever_active else active
        all_logits.append(x)
    logits = torch.cat(all_logits)
    return Evaluation(
        loss=nn.functional.cross_entropy(logits, split.labels).item(),
        accuracy=(logits.argmax(dim=1) == split.labels).double().mean().item(),
        dead_units=[(~active).double().mean().item() for active in ever_active.values()],
    )


@torch.inference_mode()
def predict_logits(model: nn.Sequential, images: Tensor, chunk: int = 1000) -> NDArray[np.float32]:
    """Return the logits (N, 10) of any number of images, in evaluation mode."""
    model.eval()
    return torch.cat([model(x) for x in images.split(chunk)]).cpu().numpy()


def fit(
    dataset: Dataset,
    recipe: Recipe,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Train on ``dataset.train`` and return the finished run; the twin of ``scratch.fit``.

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
    train, validation, test = (
        TensorSplit(split, trainer.device, torch.float32)
        for split in (dataset.train, dataset.validation, dataset.test)
    )
    order = random_stream(seed, "order")
    history = History()
    for epoch in range(recipe.epochs + 1):
        if epoch > 0:
            # No DataLoader, no .item(): rows are copied from where the data lies, and nothing in an
            # epoch waits for the device. index_select is faster than images[batch].
            for indices in minibatches(order, len(train.labels), recipe.batch_size):
                batch = torch.from_numpy(indices).to(trainer.device, non_blocking=True)
                images, labels = (t.index_select(0, batch) for t in (train.images, train.labels))
                trainer.step(images, labels, recipe.lr_at(epoch - 1))
        history.append(evaluate(trainer.model, train), evaluate(trainer.model, validation))
        if on_epoch:
            on_epoch(epoch, history)
    logits = predict_logits(trainer.model, test.images)
    return Run(recipe, seed, history, trainer.model, logits)
