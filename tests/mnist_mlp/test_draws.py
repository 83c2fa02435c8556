"""Every random draw: its distribution, and what shares it."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mnist_mlp.draws import dropout_mask, initial_parameters, random_stream
from mnist_mlp.recipe import Recipe


def test_all_activations_start_from_one_pattern_with_the_variance_of_he_or_xavier() -> None:
    """Divided by the sd of He et al. 2015 or Glorot and Bengio 2010: one standard normal draw."""
    he = {"relu": Recipe(), "lrelu": Recipe(alpha=0.3), "twice": Recipe(init_gain=2)}
    factors = {"relu": 2, "lrelu": 2 / 1.09, "twice": 8}
    patterns = [
        [W / math.sqrt(factors[name] / len(W)) for W, _ in initial_parameters(recipe, seed=4)]
        for name, recipe in he.items()
    ] + [
        [W / math.sqrt(2 / sum(W.shape)) for W, _ in initial_parameters(recipe, seed=4)]
        for recipe in (Recipe("sigmoid"), Recipe("tanh"))
    ]
    for layers in zip(*patterns, strict=True):
        for W in layers:
            assert_allclose(W, layers[0], rtol=1e-14)  # a few roundings of 1e-16
        # The variance of n normal draws has a relative sd of sqrt(2 / n); 4 sigma.
        assert layers[0].var() == pytest.approx(1, rel=4 * math.sqrt(2 / layers[0].size))
        assert abs(layers[0].mean()) < 4 / math.sqrt(layers[0].size)
    assert not any(b.any() for _, b in initial_parameters(Recipe(), seed=4))
    first, other = (initial_parameters(Recipe(), seed)[0][0] for seed in (4, 5))
    assert not np.isin(first, other).any()


def test_streams_are_repeatable_and_differ() -> None:
    names = [(seed, purpose) for seed in (0, 1) for purpose in ("init", "order", "dropout")]
    draws: set[float] = set()
    for _ in range(2):
        draws |= {random_stream(seed, purpose).random() for seed, purpose in names}  # type: ignore[arg-type]
    assert len(draws) == 6


@pytest.mark.parametrize("p", [0.05, 1 / 3, 0.9])
def test_the_mask_drops_a_fraction_p_and_has_expectation_one(p: float) -> None:
    n = 400_000
    mask = dropout_mask(np.random.default_rng(1), p, (n // 100, 100), np.float64)
    dropped = round(p * 2**16) / 2**16  # one bit pattern in 2^16 decides, so p is rounded
    # 5 sigma of a binomial fraction.
    assert abs(float(np.mean(mask == 0)) - dropped) < 5 * math.sqrt(p * (1 - p) / n)
    assert_allclose(np.unique(mask), [0, 1 / (1 - dropped)], rtol=1e-15)  # hence mean 1, exactly


def test_the_mask_decides_about_units_and_minibatches_independently() -> None:
    rng = np.random.default_rng(2)
    kept = np.hstack([dropout_mask(rng, 0.5, (2000, 16), np.float32) > 0 for _ in range(2)])
    correlation = np.corrcoef(kept, rowvar=False) - np.eye(32)
    # sd of a correlation of n independent pairs is 1 / sqrt(n); 5 sigma for 496 pairs.
    assert np.abs(correlation).max() < 5 / math.sqrt(2000)
