"""Contestants from libraries that the project itself does not use."""

import warnings
from typing import Any

import numpy as np

from benchmarks.contestants import Vector, flatten
from mnist_mlp.data import Split
from mnist_mlp.recipe import Recipe, initial_parameters, random_stream


class Jax:
    """JAX: a whole epoch is one compiled ``lax.scan`` over the minibatches."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        import jax
        import jax.numpy as jnp

        self.jax, self.recipe = jax, recipe
        self.images, self.labels = jnp.asarray(split.images), jnp.asarray(split.labels)
        self.order = random_stream(seed, "order")
        initial = initial_parameters(recipe, seed)
        self.state = [(jnp.asarray(W, "float32"), jnp.asarray(b, "float32")) for W, b in initial]
        self.velocity = jax.tree.map(jnp.zeros_like, self.state)

        def loss(layers: Any, x: Any, labels: Any) -> Any:
            for W, b in layers[:-1]:
                x = jax.nn.leaky_relu(x @ W + b, recipe.alpha)
            W, b = layers[-1]
            log_probs = jax.nn.log_softmax(x @ W + b)
            return -jnp.mean(jnp.take_along_axis(log_probs, labels[:, None], axis=1))

        def step(carry: Any, batch: Any) -> tuple[Any, Any]:
            state, velocity = carry
            value, grads = jax.value_and_grad(loss)(state, self.images[batch], self.labels[batch])
            grads = [
                (dW + recipe.weight_decay * W, db)
                for (dW, db), (W, _) in zip(grads, state, strict=True)
            ]
            velocity = jax.tree.map(lambda v, g: recipe.momentum * v + g, velocity, grads)
            state = jax.tree.map(lambda w, v: w - recipe.lr * v, state, velocity)
            return (state, velocity), value

        def epoch(carry: Any, batches: Any) -> Any:
            return jax.lax.scan(step, carry, batches)[0]

        self.compiled = jax.jit(epoch, donate_argnums=0)

    def epoch(self) -> None:
        """Train one epoch; the first call compiles."""
        n = len(self.labels) // self.recipe.batch_size * self.recipe.batch_size
        batches = self.order.permutation(len(self.labels))[:n]
        carry = (self.state, self.velocity)
        carry = self.compiled(carry, batches.reshape(-1, self.recipe.batch_size))
        self.state, self.velocity = self.jax.block_until_ready(carry)

    def parameters(self) -> Vector:
        """Return the weights as NumPy's network keeps them."""
        return flatten([W for W, _ in self.state], [b for _, b in self.state])


class Sklearn:
    """scikit-learn's ``MLPClassifier``: ``partial_fit`` is one epoch and keeps the velocity."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        from sklearn.neural_network import MLPClassifier

        if recipe.alpha > 0 or recipe.input_dropout > 0:
            raise ValueError("MLPClassifier has neither LReLU nor dropout")
        self.split = split
        self.model = MLPClassifier(
            recipe.hidden,
            solver="sgd",
            batch_size=recipe.batch_size,
            learning_rate_init=recipe.lr,
            momentum=recipe.momentum,
            nesterovs_momentum=False,
            alpha=recipe.weight_decay * recipe.batch_size,  # it divides alpha by the batch size
            random_state=seed,
        )
        n = recipe.batch_size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one minibatch may lack a class
            self.model.partial_fit(split.images[:n], split.labels[:n], classes=np.arange(10))
        # It can't be told where to start: put everybody's initial weights in, at rest.
        for (W, b), coefs, intercepts in zip(
            initial_parameters(recipe, seed),
            self.model.coefs_,
            self.model.intercepts_,
            strict=True,
        ):
            coefs[:], intercepts[:] = W, b
        for velocity in self.model._optimizer.velocities:
            velocity[:] = 0

    def epoch(self) -> None:
        """Train one epoch."""
        self.model.partial_fit(self.split.images, self.split.labels)

    def parameters(self) -> Vector:
        """Return a copy of the weights."""
        return flatten(self.model.coefs_, self.model.intercepts_)
