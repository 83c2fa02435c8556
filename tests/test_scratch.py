"""The network from scratch: its gradient, its optimiser, its training loop and its recipe."""

import inspect
import math
import textwrap
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from torch.nn import functional

from mnist_mlp import layers, scratch
from mnist_mlp.checks import gradient_check
from mnist_mlp.data import Dataset, load
from mnist_mlp.layers import Affine, Dropout, LeakyReLU, ReLU, SoftmaxCrossEntropy
from mnist_mlp.recipe import DivergedError, History, Recipe, initial_parameters, minibatches
from mnist_mlp.scratch import MLP, SGD, Trainer, fit

# Every value is given, so that the tests do not change with the chosen recipe.
SMALL = Recipe(
    hidden=(12, 8), epochs=2, batch_size=50, lr=0.1, decay="linear", momentum=0.9,
    weight_decay=5e-5, input_dropout=0.1, hidden_dropout=0.1,
)  # fmt: skip
# L2 and dropout strong enough that a gradient without them is far from the right one.
CHECKED = replace(SMALL, weight_decay=0.1, input_dropout=0.2, hidden_dropout=0.2)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("sklearn-digits")


def largest_gradient_error(alpha: float, digits: Dataset) -> float:
    images, labels = digits.train.images[:8], digits.train.labels[:8]
    errors = gradient_check(replace(CHECKED, alpha=alpha), images, labels, entries=10)
    assert [e.tensor for e in errors] == ["W1", "W2", "W3", "b1", "b2", "b3", "x"]
    assert all(e.checked >= 5 for e in errors)  # else nothing was compared
    return max(e.relative_error for e in errors)


# ---- the gradient


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.1, 0.3])
def test_backward_is_the_derivative_of_the_training_objective(
    alpha: float, digits: Dataset
) -> None:
    # A central difference with H = 1e-5 is itself exact to about 1e-9 here; a wrong sign or
    # factor gives 1e-1 or more.
    assert largest_gradient_error(alpha, digits) < 1e-7


MUTATIONS: list[tuple[type, str, str, str]] = [
    (Affine, "backward", "np.matmul(grad_output,", "np.matmul(-grad_output,"),
    (Affine, "backward", "np.matmul(grad_output,", "np.matmul(2 * grad_output,"),
    (Affine, "backward", "np.matmul(grad_output,", "np.matmul(grad_output / len(grad_output),"),
    (Affine, "parameter_gradients", "np.matmul(self.x.T,", "np.matmul(-self.x.T,"),
    (Affine, "parameter_gradients", "np.matmul(self.x.T,", "np.matmul(2 * self.x.T,"),
    (Affine, "parameter_gradients", "np.matmul(self.x.T,", "np.matmul(np.abs(self.x.T),"),
    (Affine, "parameter_gradients", "np.sum(grad_output", "np.sum(-grad_output"),
    (Affine, "parameter_gradients", "np.sum(grad_output", "np.mean(grad_output"),
    (Affine, "parameter_gradients", "np.sum(grad_output", "np.sum(0 * grad_output"),
    (ReLU, "backward", "np.multiply(grad_output", "np.multiply(-grad_output"),
    (ReLU, "backward", "np.multiply(grad_output", "np.multiply(2 * grad_output"),
    (ReLU, "backward", "self.active", "~self.active"),
    (ReLU, "backward", "self.active", "1"),
    (LeakyReLU, "backward", "np.multiply(grad_output", "np.multiply(-grad_output"),
    (LeakyReLU, "backward", "self.slope", "self.active"),
    (LeakyReLU, "backward", "self.slope", "np.where(self.active, 1, -self.alpha)"),
    (LeakyReLU, "backward", "self.slope", "self.slope**2"),
    (LeakyReLU, "backward", "self.slope", "1"),
    (Dropout, "backward", "np.multiply(grad_output", "np.multiply(-grad_output"),
    (Dropout, "backward", "self.mask", "(self.mask > 0)"),
    (Dropout, "backward", "self.mask", "1"),
    (Dropout, "backward", "self.mask", "self.mask**2"),
    (Dropout, "backward", "self.mask", "self.mask[::-1]"),
    (SoftmaxCrossEntropy, "backward", "-= 1", "+= 1"),
    (SoftmaxCrossEntropy, "backward", "-= 1", "-= 0"),
    (SoftmaxCrossEntropy, "backward", "self.probs.copy()", "-self.probs"),
    (SoftmaxCrossEntropy, "backward", "grad /= len(self.labels)", "pass"),
    (SoftmaxCrossEntropy, "backward", "grad /= len(self.labels)", "grad /= len(grad) ** 2"),
    (SoftmaxCrossEntropy, "backward", "return grad", "return -grad"),
    (MLP, "backward", "grad = layer.backward(grad)", "grad = -layer.backward(grad)"),
    (SGD, "step", "(w, decay,", "(w, -decay,"),
    (SGD, "step", "(w, decay,", "(w, 2 * decay,"),
    (SGD, "step", "(w, decay,", "(w, 0 * decay,"),
    (SGD, "step", "update += g", "update -= g"),
    (SGD, "step", "update += g", "pass"),
    (SGD, "step", "v += update", "v -= update"),
]


@pytest.mark.parametrize(("owner", "method", "old", "new"), MUTATIONS)
def test_the_gradient_check_reports_every_mutation_of_a_backward_pass(
    owner: type, method: str, old: str, new: str, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = textwrap.dedent(inspect.getsource(getattr(owner, method)))
    assert source.count(old) == 1, "the mutation no longer fits the code"
    namespace = dict(vars(inspect.getmodule(owner)))
    exec(source.replace(old, new), namespace)  # noqa: S102  our own source, changed in one place
    monkeypatch.setattr(owner, method, namespace[method])
    # 1e-3: ten thousand times what the right code shows, a hundredth of what a wrong factor does.
    assert max(largest_gradient_error(alpha, digits) for alpha in (0.0, 0.3)) > 1e-3


def test_no_backward_pass_is_without_a_mutation() -> None:
    methods = {
        (owner, name)
        for module in (layers, scratch)
        for owner in vars(module).values()
        if inspect.isclass(owner)
        for name in ("backward", "parameter_gradients", "step")
        if hasattr(owner, name) and owner is not Trainer
    }
    assert methods == {(owner, method) for owner, method, _, _ in MUTATIONS}


def test_the_gradient_check_leaves_out_and_counts_the_kink(digits: Dataset) -> None:
    """With black images every first-layer unit stands at 0: b1 +- H lie on two sides of it."""
    errors = gradient_check(CHECKED, np.zeros((8, 784)), digits.train.labels[:8], entries=10)
    b1 = next(e for e in errors if e.tensor == "b1")
    assert (b1.checked, b1.at_kink) == (0, 10)
    assert b1.relative_error == math.inf  # what was not checked is no success


def test_the_gradient_that_training_uses_is_the_one_that_is_checked(digits: Dataset) -> None:
    """Training skips the gradient of the images; every other gradient is the same."""
    model = MLP(CHECKED, 0, np.float64)
    model.loss.forward(model.forward(digits.train.images[:8].astype(float), training=True),
                       digits.train.labels[:8])  # fmt: skip
    model.backward(to_input=True)
    checked = model.gradients.copy()
    model.gradients[:] = np.nan
    model.backward()
    assert_array_equal(model.gradients, checked)


# ---- the optimiser


@pytest.mark.parametrize("decay", ["linear", "constant"])
def test_momentum_l2_and_schedule_are_those_of_torch_optim_sgd(decay: Any, digits: Dataset) -> None:
    recipe = replace(SMALL, alpha=0.1, decay=decay, epochs=4, weight_decay=0.01,
                     input_dropout=0.0, hidden_dropout=0.0)  # fmt: skip
    trainer = Trainer(recipe, 0, np.float64)
    start = initial_parameters(recipe, 0)
    W, b = ([torch.tensor(pair[i], requires_grad=True) for pair in start] for i in (0, 1))
    groups: list[dict[str, Any]] = [{"params": W, "weight_decay": 0.01}, {"params": b}]
    optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
    factor = (lambda epoch: 1 - epoch / 4) if decay == "linear" else (lambda epoch: 1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    for epoch in range(4):
        for batch in (slice(0, 50), slice(50, 100)):
            x, labels = digits.train.images[batch].astype(float), digits.train.labels[batch]
            loss = trainer.step(x, labels, recipe.lr_at(epoch))
            h = torch.tensor(x)
            for W_i, b_i in zip(W[:-1], b[:-1], strict=True):
                h = functional.leaky_relu(h @ W_i + b_i, 0.1)
            t_loss = functional.cross_entropy(h @ W[-1] + b[-1], torch.tensor(labels))
            optimiser.zero_grad()
            t_loss.backward()
            optimiser.step()
            assert loss == pytest.approx(t_loss.item(), abs=1e-12)  # rounding over eight steps
        schedule.step()
    expected = np.concatenate([p.detach().numpy().ravel() for p in W + b])
    assert_allclose(trainer.parameters, expected, atol=1e-12)


def test_l2_pulls_at_weights_and_not_at_biases() -> None:
    """At any size: one block, several, and a last one that is not full."""
    for recipe in (replace(CHECKED, weight_decay=0.5), Recipe(weight_decay=0.5)):
        model = MLP(recipe, 0, np.float64)
        model.parameters[model.n_weights :] = 1  # biases that L2 could pull at
        expected = model.parameters.copy()
        expected[: model.n_weights] *= 1 - 0.1 * 0.5
        SGD(model, recipe).step(lr=0.1)  # the gradients are still 0
        assert_allclose(model.parameters, expected, rtol=1e-15)


# ---- the training loop


def recorded_batches(
    digits: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> list[NDArray[np.float32]]:
    """Return the minibatches' images in the order in which ``fit`` trains on them."""
    batches: list[NDArray[np.float32]] = []
    step = Trainer.step

    def recorder(self: Trainer, images: Any, labels: Any, lr: float) -> float:
        batches.append(images.copy())
        return step(self, images, labels, lr)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", recorder)
        fit(digits, recipe, seed=5)
    return batches


def mean_cross_entropy(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    return float(functional.cross_entropy(torch.tensor(logits).double(), torch.tensor(labels)))


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_the_history_has_an_entry_before_the_first_epoch_and_after_each(
    epochs: int, digits: Dataset
) -> None:
    seen: list[int] = []
    run = fit(digits, replace(SMALL, epochs=epochs), 0, lambda epoch, _: seen.append(epoch))
    assert {len(curve) for curve in vars(run.history).values()} == {epochs + 1}
    assert seen == list(range(epochs + 1))
    assert run.logits.shape == (len(digits.test.labels), 10)


def test_zero_epochs_leave_the_initial_network(digits: Dataset) -> None:
    run = fit(digits, replace(SMALL, epochs=0), seed=3)
    assert_array_equal(run.model.parameters, MLP(SMALL, 3).parameters)


def test_curves_and_logits_are_measured_without_dropout(digits: Dataset) -> None:
    run = fit(digits, replace(SMALL, input_dropout=0.5, hidden_dropout=0.5))
    plain = [layer for layer in run.model.layers if not isinstance(layer, Dropout)]
    for split, loss, accuracy in (
        (digits.train, run.history.train_loss, run.history.train_accuracy),
        (digits.validation, run.history.validation_loss, run.history.validation_accuracy),
    ):
        logits = split.images
        for layer in plain:
            logits = layer.forward(logits)
        # 1e-5: float32 logits of size 10, summed in float64.
        assert loss[-1] == pytest.approx(mean_cross_entropy(logits, split.labels), abs=1e-5)
        assert accuracy[-1] == np.mean(logits.argmax(axis=1) == split.labels)
    # Another number of rows at once lets BLAS sum in another order: float32 rounding.
    assert_allclose(run.model.logits(digits.test.images, chunk=77), run.logits, atol=1e-5)


def test_dead_units_are_those_that_no_validation_image_activates(digits: Dataset) -> None:
    model = MLP(SMALL, 0)
    model.affine[0].b[:5] = -1e3  # no image can lift these five of twelve above 0
    first = digits.validation.images @ model.affine[0].W + model.affine[0].b
    second = np.maximum(first, 0) @ model.affine[1].W + model.affine[1].b
    expected = [float(np.mean((z <= 0).all(axis=0))) for z in (first, second)]
    assert 5 / 12 <= expected[0] < 1
    # Chunks: a unit that is active in one chunk alone is not dead.
    for chunk in (1, 100, 1000):
        assert model.evaluate(digits.validation, chunk).dead_units == expected


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_one_seed_gives_one_run(alpha: float, digits: Dataset) -> None:
    recipe = replace(SMALL, alpha=alpha)
    first, again, other = (fit(digits, recipe, seed) for seed in (1, 1, 2))
    assert first.history == again.history
    assert_array_equal(first.logits, again.logits)
    assert_array_equal(first.model.parameters, again.model.parameters)
    assert first.history != other.history


def test_training_learns(digits: Dataset) -> None:
    history = fit(digits, replace(SMALL, epochs=5, hidden=(64, 32))).history
    assert history.validation_accuracy[0] < 0.3  # ten classes, untrained
    assert history.validation_accuracy[-1] > 0.9  # what a linear classifier reaches on digits
    assert history.train_loss[-1] < history.train_loss[0] / 4


@pytest.mark.parametrize("batch_size", [1, 50, 100, 1149, 5000])
def test_an_epoch_trains_on_every_image_once(
    batch_size: int, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, epochs=1, batch_size=batch_size, lr=0.001)
    batches = recorded_batches(digits, recipe, monkeypatch)
    n = len(digits.train.labels)
    assert len(batches) == math.ceil(n / batch_size)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    seen = sorted(image.tobytes() for batch in batches for image in batch)
    assert seen == sorted(image.tobytes() for image in digits.train.images)


def test_epochs_have_different_orders(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = recorded_batches(digits, replace(SMALL, epochs=2, batch_size=1149), monkeypatch)
    assert not np.array_equal(batches[0], batches[1])


def test_relu_and_lrelu_share_the_minibatches(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    relu, leaky = (
        recorded_batches(digits, replace(SMALL, alpha=alpha), monkeypatch) for alpha in (0.0, 0.3)
    )
    assert all(map(np.array_equal, relu, leaky))
    without_dropout = replace(SMALL, input_dropout=0.0, hidden_dropout=0.0)
    assert all(map(np.array_equal, relu, recorded_batches(digits, without_dropout, monkeypatch)))


@pytest.mark.parametrize(("n", "batch_size"), [(10, 1), (10, 3), (10, 10), (10, 11), (1, 5)])
def test_minibatches_cover_every_index_once(n: int, batch_size: int) -> None:
    batches = list(minibatches(np.random.default_rng(0), n, batch_size))
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 0 < len(batches[-1]) <= batch_size


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("change", [{"lr": 1e6}, {"lr": 1e30}, {"init_gain": 1e30}])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_divergence_is_one_error_with_the_history_and_no_warning(
    change: dict[str, float], alpha: float, digits: Dataset
) -> None:
    recipe = replace(SMALL, alpha=alpha, epochs=5, **change)  # type: ignore[arg-type]
    seen: list[int] = []

    def on_epoch(epoch: int, _: History) -> None:
        seen.append(epoch)

    with pytest.raises(DivergedError, match="lower Recipe") as caught:
        fit(digits, recipe, 0, on_epoch)
    curves = list(vars(caught.value.history).values())
    assert {len(curve) for curve in curves} == {len(seen)}
    assert np.isfinite(np.concatenate([np.ravel(curve) for curve in curves])).all()
    assert f"after epoch {len(seen)}" in str(caught.value)


# ---- the recipe


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("alpha", v) for v in (-0.1, 1.0, 2.0, math.nan, math.inf)],
        *[("epochs", -1), ("batch_size", 0), ("batch_size", -5)],
        *[("epochs", 2.5), ("batch_size", 1.5), ("hidden", (1.5,)), ("hidden", 5), ("alpha", None)],
        *[("hidden", ()), ("hidden", (512, 0)), ("hidden", (-1,))],
        *[("lr", v) for v in (0.0, -0.1, math.nan, math.inf)],
        *[("decay", "cosine"), ("momentum", 1.0), ("momentum", -0.1), ("momentum", math.nan)],
        *[("weight_decay", v) for v in (-1e-5, math.nan, math.inf)],
        *[("input_dropout", v) for v in (-0.1, 1.0, math.nan)],
        *[("hidden_dropout", v) for v in (-0.1, 1.0, math.nan)],
        *[("init_gain", v) for v in (0.0, -1.0, math.nan, math.inf)],
    ],
)
def test_a_recipe_without_meaning_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^Recipe\.{name} is .*; it must be "):
        Recipe(**{name: value})


def test_the_digest_changes_with_every_field() -> None:
    other: dict[str, Any] = {
        "alpha": 0.1, "epochs": 3, "batch_size": 51, "hidden": (12, 9), "lr": 0.11,
        "decay": "constant", "momentum": 0.91, "weight_decay": 5.1e-5, "input_dropout": 0.11,
        "hidden_dropout": 0.11, "init_gain": 1.1,
    }  # fmt: skip
    assert set(other) == {f.name for f in fields(Recipe)}
    digests = {replace(SMALL, **{name: value}).digest() for name, value in other.items()}
    assert len(digests | {SMALL.digest()}) == len(other) + 1


def test_equal_recipes_have_one_digest() -> None:
    assert Recipe(alpha=0.3).digest() == replace(Recipe(), alpha=0.3).digest()
    same = Recipe(alpha=0, epochs=np.int64(20), lr=np.float64(0.05), hidden=[512, 256])  # type: ignore[arg-type]
    assert (same, same.digest()) == (Recipe(), Recipe().digest())
    hash(same)


def test_the_linear_schedule_falls_from_lr_to_lr_over_epochs() -> None:
    recipe = Recipe(lr=0.2, epochs=4)
    assert [recipe.lr_at(e) for e in range(4)] == pytest.approx([0.2, 0.15, 0.1, 0.05], abs=1e-15)
    constant = replace(recipe, decay="constant")
    assert [constant.lr_at(e) for e in range(4)] == [0.2] * 4


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_initial_weights_have_the_variance_of_he_and_biases_are_zero(
    alpha: float, gain: float
) -> None:
    for W, b in initial_parameters(Recipe(alpha=alpha, init_gain=gain), seed=0):
        expected = gain**2 * 2 / ((1 + alpha**2) * W.shape[0])
        # The variance of n normal draws has a relative sd of sqrt(2 / n); 4 sigma.
        assert W.var() == pytest.approx(expected, rel=4 * math.sqrt(2 / W.size))
        assert abs(W.mean()) < 4 * math.sqrt(expected / W.size)
        assert not b.any()


def test_relu_and_lrelu_start_from_one_pattern_of_weights() -> None:
    pairs = zip(
        initial_parameters(Recipe(), 4), initial_parameters(Recipe(alpha=0.3), 4), strict=True
    )
    for (relu, _), (leaky, _) in pairs:
        assert_allclose(leaky * math.sqrt(1 + 0.3**2), relu, rtol=1e-15)  # a few roundings


def test_a_float64_model_computes_in_float64_whatever_the_images_are() -> None:
    images = np.random.default_rng(0).random((4, 784), np.float32)
    model = MLP(Recipe(), 0, np.float64)
    assert model.forward(images).dtype == np.float64
    assert_array_equal(model.forward(images), model.forward(images.astype(np.float64)))
