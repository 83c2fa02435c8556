"""Contestants in PyTorch: our network, and what a user would write."""

from typing import Any

from benchmarks.contestants import Vector, flatten
from mnist_mlp.data import Split
from mnist_mlp.recipe import Recipe, initial_parameters, minibatches, random_stream


class TorchOurs:
    """Our network in PyTorch, by the loop of ``framework.fit``."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import torch

        from mnist_mlp import framework

        self.torch, self.recipe = torch, recipe
        self.trainer = framework.Trainer(recipe, seed, device=torch.device("cpu"))
        self.split = framework.TensorSplit(split, torch.device("cpu"), torch.float32)
        self.order = random_stream(seed, "order")

    def epoch(self) -> None:
        """Train one epoch."""
        images, labels, lr = self.split.images, self.split.labels, self.recipe.lr
        for indices in minibatches(self.order, len(labels), self.recipe.batch_size):
            batch = self.torch.from_numpy(indices)
            self.trainer.step(images.index_select(0, batch), labels.index_select(0, batch), lr)

    def parameters(self) -> Vector:
        """Return the weights as NumPy's network keeps them."""
        return self.trainer.parameters


class TorchEager:
    """What a PyTorch user writes: ``nn.Sequential``, ``SGD`` as it comes, tensors indexed."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import torch
        from torch import nn

        torch.manual_seed(seed)
        self.torch, self.recipe = torch, recipe
        self.images, self.labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
        self.order = random_stream(seed, "order")
        layers: list[nn.Module] = []
        self.linear: list[nn.Linear] = []
        for i, (W, b) in enumerate(initial_parameters(recipe, seed)):
            if i > 0:
                layers.append(nn.LeakyReLU(recipe.alpha) if recipe.alpha > 0 else nn.ReLU())
            if (p := recipe.hidden_dropout if i > 0 else recipe.input_dropout) > 0:
                layers.append(nn.Dropout(p))
            self.linear.append(nn.Linear(*W.shape))
            self.linear[-1].weight.data.copy_(torch.from_numpy(W.T))
            self.linear[-1].bias.data.copy_(torch.from_numpy(b))
            layers.append(self.linear[-1])
        self.model = nn.Sequential(*layers)
        self.loss = nn.CrossEntropyLoss()
        groups: list[dict[str, Any]] = [
            {"params": [m.weight for m in self.linear], "weight_decay": recipe.weight_decay},
            {"params": [m.bias for m in self.linear]},
        ]
        self.optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)

    def step(self, images: Any, labels: Any) -> None:
        """Learn from one minibatch."""
        loss = self.loss(self.model(images), labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def epoch(self) -> None:
        """Train one epoch."""
        for indices in minibatches(self.order, len(self.labels), self.recipe.batch_size):
            batch = self.torch.from_numpy(indices)
            self.step(self.images[batch], self.labels[batch])

    def parameters(self) -> Vector:
        """Return the weights as NumPy's network keeps them."""
        layers = [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in self.linear]
        return flatten([W for W, _ in layers], [b for _, b in layers])


class TorchDataLoader(TorchEager):
    """The same with the minibatches of a ``DataLoader``, as PyTorch's own tutorials do."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        super().__init__(split, recipe, seed)
        from torch.utils.data import DataLoader, TensorDataset

        dataset = TensorDataset(self.images, self.labels)
        self.loader = DataLoader(dataset, batch_size=recipe.batch_size, shuffle=True)

    def epoch(self) -> None:
        """Train one epoch."""
        for images, labels in self.loader:
            self.step(images, labels)
