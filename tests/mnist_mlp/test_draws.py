"""Every random draw: its distribution, and what shares it."""

import math
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mnist_mlp.draws import dropout_mask, initial_parameters, minibatches, random_stream
from mnist_mlp.recipe import Recipe

RECIPES = [Recipe(), Recipe(alpha=0.3), Recipe("sigmoid"), Recipe("tanh"), Recipe(init_gain=2)]


def variance(recipe: Recipe, fan_in: int, fan_out: int) -> float:
    """Of He et al. 2015 for rectifiers, of Glorot and Bengio 2010 for the others."""
    if recipe.activation == "relu":
        return recipe.init_gain**2 * 2 / ((1 + recipe.alpha**2) * fan_in)
    return recipe.init_gain**2 * 2 / (fan_in + fan_out)


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_initial_weights_have_the_variance_of_he_or_xavier(recipe: Recipe) -> None:
    for W, b in initial_parameters(recipe, seed=0):
        expected = variance(recipe, *W.shape)
        # The variance of n normal draws has a relative sd of sqrt(2 / n); 4 sigma.
        assert W.var() == pytest.approx(expected, rel=4 * math.sqrt(2 / W.size))
        assert abs(W.mean()) < 4 * math.sqrt(expected / W.size)
        assert not b.any()


def test_all_activations_start_from_one_pattern_of_standard_normal_draws() -> None:
    patterns = [
        [W / math.sqrt(variance(recipe, *W.shape)) for W, _ in initial_parameters(recipe, seed=4)]
        for recipe in RECIPES
    ]
    for pattern in patterns[1:]:
        for W, of_relu in zip(pattern, patterns[0], strict=True):
            assert_allclose(W, of_relu, rtol=1e-14)  # a few roundings of 1e-16
    other_seed, _ = initial_parameters(Recipe(), seed=5)[0]
    assert not np.isin(other_seed, initial_parameters(Recipe(), seed=4)[0][0]).any()


def test_streams_are_repeatable_and_independent_of_one_another() -> None:
    n = 100_000
    draws = {
        (seed, purpose): random_stream(seed, purpose).random(n)
        for seed in (0, 1, 2)
        for purpose in ("init", "order", "dropout")
    }
    assert_array_equal(random_stream(1, "order").random(n), draws[1, "order"])
    for one, other in combinations(draws.values(), 2):
        # sd of a correlation of n independent pairs is 1 / sqrt(n); 5 sigma for 36 pairs.
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(n)


@pytest.mark.parametrize(("n", "batch_size"), [(10, 1), (10, 3), (10, 10), (10, 11), (1, 5)])
def test_minibatches_cover_every_index_once(n: int, batch_size: int) -> None:
    batches = list(minibatches(np.random.default_rng(0), n, batch_size))
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 0 < len(batches[-1]) <= batch_size


@pytest.mark.parametrize("p", [0.05, 0.1, 1 / 3, 0.5, 0.9])
def test_the_mask_drops_a_fraction_p_and_has_expectation_one(p: float) -> None:
    n = 400_000
    mask = dropout_mask(np.random.default_rng(1), p, (n // 100, 100), np.float64)
    dropped = round(p * 2**16) / 2**16  # one bit pattern in 2^16 decides, so p is rounded
    # 5 sigma of a binomial fraction.
    assert abs(float(np.mean(mask == 0)) - dropped) < 5 * math.sqrt(p * (1 - p) / n)
    assert_allclose(np.unique(mask), [0, 1 / (1 - dropped)], rtol=1e-15)  # hence mean 1, exactly
    assert abs(dropped - p) <= 2**-17


def test_the_mask_decides_about_units_and_minibatches_independently() -> None:
    rng = np.random.default_rng(2)
    kept = np.hstack([dropout_mask(rng, 0.5, (2000, 16), np.float32) > 0 for _ in range(2)])
    correlation = np.corrcoef(kept, rowvar=False) - np.eye(32)
    # sd of a correlation of n independent pairs is 1 / sqrt(n); 5 sigma for 496 pairs.
    assert np.abs(correlation).max() < 5 / math.sqrt(2000)
