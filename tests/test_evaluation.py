"""Measures on results against scikit-learn, scipy and hand-worked cases."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats
from sklearn import metrics

from mnist_mlp.data import load
from mnist_mlp.evaluation import (
    confusion_matrix,
    evaluate_run,
    log_probabilities,
    mcnemar,
    mean_interval,
    seeds_to_detect,
    top_k_per_class,
)
from mnist_mlp.recipe import Recipe
from mnist_mlp.scratch import fit

RNG = np.random.default_rng(0)
LABELS, PREDICTED = RNG.integers(0, 10, 500), RNG.integers(0, 10, 500)


# ---- confusion matrix


def test_confusion_matrix_is_sklearns() -> None:
    expected = metrics.confusion_matrix(LABELS, PREDICTED, labels=range(10))
    assert_array_equal(confusion_matrix(LABELS, PREDICTED), expected)


def test_rows_are_true_classes_and_columns_predictions() -> None:
    assert_array_equal(confusion_matrix([0, 0, 1], [1, 1, 1], 2), [[0, 2], [0, 1]])


def test_confusion_matrix_keeps_classes_that_never_occur() -> None:
    assert confusion_matrix([3], [3]).shape == (10, 10)
    assert confusion_matrix(np.array([], np.int64), np.array([], np.int64)).sum() == 0


# ---- log-probabilities and the ranking by them


def test_log_probabilities_are_scipys_where_nothing_saturates() -> None:
    logits = RNG.standard_normal((200, 10))
    # 1e-14: a few roundings of numbers of size 1 to 5.
    assert_allclose(log_probabilities(logits), special.log_softmax(logits, axis=1), rtol=1e-14)


def test_log_probabilities_of_almost_certain_images_are_right_and_ordered() -> None:
    """Two classes, the odds against the first are exp(-margin): log p = -log1p(exp(-margin))."""
    margins = np.array([20.0, 40.0, 41.0, 100.0, 700.0])
    logits = np.stack([margins, np.zeros(5)], axis=1)
    assert (special.softmax(logits.astype(np.float32), axis=1)[:, 0] == 1).all()
    log_p = log_probabilities(logits)[:, 0]
    assert_allclose(log_p, -np.exp(-margins), rtol=1e-8)  # -x + x^2/2 with x = 2e-9 at most
    assert (np.diff(log_p) > 0).all()


@pytest.mark.filterwarnings("error")
def test_log_probabilities_are_right_at_logits_of_plus_and_minus_1000() -> None:
    logits = [[1000.0, -1000.0, 0.0], [-1000.0, -1000.0, -1000.0], [1000.0, 1000.0, -1000.0]]
    two, three = math.log(2), math.log(3)
    expected = np.array([[0, -2000, -1000], [-three] * 3, [-two, -two, -2000 - two]])
    assert_allclose(log_probabilities(logits), expected, rtol=1e-15)


def test_log_probabilities_do_not_jump_where_exp_overflows() -> None:
    margins = np.array([700.0, 709.0, 709.5, 709.8, 710.0, 720.0])  # exp overflows at 709.78
    logits = np.stack([np.zeros(6), margins, margins - 1], axis=1)
    expected = special.log_softmax(logits, axis=1)
    assert_allclose(log_probabilities(logits)[:, 0], expected[:, 0], rtol=1e-14)


def test_top_k_is_strictly_ordered_where_float32_probabilities_are_all_one() -> None:
    logits = np.zeros((50, 10), np.float32)
    logits[:, 4] = RNG.permutation(np.linspace(30, 200, 50))
    assert (special.softmax(logits, axis=1)[:, 4] == 1).all()
    top = top_k_per_class(logits, np.full(50, 4))[4]
    assert [image.index for image in top] == list(np.argsort(-logits[:, 4])[:3])
    assert top[0].log_probability > top[1].log_probability > top[2].log_probability
    assert top[0].shortfall < top[1].shortfall < top[2].shortfall
    assert all(image.shortfall > 0 for image in top)


def test_top_k_takes_exact_ties_in_file_order() -> None:
    logits = np.zeros((8, 10))
    logits[[2, 5, 6, 7], 0] = 9.0
    assert [image.index for image in top_k_per_class(logits, np.zeros(8, np.int64))[0]] == [2, 5, 6]
    equal = top_k_per_class(np.zeros((8, 10)), np.zeros(8, np.int64), k=2)
    assert [[image.index for image in images] for images in equal] == [[0, 1]] * 10


def test_top_k_lets_images_of_every_true_class_compete() -> None:
    logits, labels = RNG.standard_normal((300, 10)), RNG.integers(0, 10, 300)
    log_p = special.log_softmax(logits, axis=1)
    for c, images in enumerate(top_k_per_class(logits, labels, k=5)):
        best = np.argsort(-log_p[:, c])[:5]
        assert [image.index for image in images] == list(best)
        assert [image.label for image in images] == list(labels[best])
        assert [i.log_probability for i in images] == pytest.approx(list(log_p[best, c]), rel=1e-13)
        assert [i.probability for i in images] == pytest.approx(list(np.exp(log_p[best, c])))
        assert [i.shortfall for i in images] == pytest.approx(list(-np.expm1(log_p[best, c])))


def test_a_run_is_measured_on_its_test_images() -> None:
    digits = load("sklearn-digits")
    run = fit(digits, Recipe(hidden=(16,), epochs=2, batch_size=50))
    result, labels = evaluate_run("ReLU", run, digits), digits.test.labels
    predicted = run.logits.argmax(axis=1)
    assert_array_equal(result.confusion, metrics.confusion_matrix(labels, predicted))
    assert result.test_accuracy == metrics.accuracy_score(labels, predicted)
    assert result.test_accuracy == np.trace(result.confusion) / len(labels) == result.correct.mean()
    expected = metrics.log_loss(labels, special.softmax(run.logits.astype(np.float64), axis=1))
    assert result.test_loss == pytest.approx(expected, rel=1e-12)  # rounding of a mean of 360


# ---- comparisons


@pytest.mark.parametrize("n", [2, 5, 10, 100])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_is_that_of_scipys_t_test(n: int, level: float) -> None:
    values = RNG.normal(0.985, 0.001, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    interval = mean_interval(values, level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert (interval.mean, interval.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert interval.n == n


def test_the_interval_of_the_hand_worked_case() -> None:
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.high - 2 == pytest.approx(4.302652730 / math.sqrt(3), rel=1e-9)  # t table, df 2
    assert interval.excludes_zero is False
    assert mean_interval([-1.0, -1.1, -0.9]).excludes_zero
    assert mean_interval([1.0, 1.1, 0.9]).excludes_zero


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_run_has_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two"):
        mean_interval(values)


def test_the_interval_excludes_zero_exactly_where_the_t_test_is_significant() -> None:
    for _ in range(50):
        values = RNG.normal(0.5, 1, 12)
        significant = bool(stats.ttest_1samp(values, 0).pvalue < 0.05)
        assert mean_interval(values).excludes_zero == significant


@pytest.mark.parametrize(("d", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_to_detect_has_the_textbook_values(d: float, n: int) -> None:
    """Cohen's small, medium and large effect: paired t test, two-sided 5 %, power 80 %."""
    assert seeds_to_detect(d, 1.0) == n
    assert seeds_to_detect(-d / 1000, 0.001) == n  # the sign and the unit do not matter


def test_seeds_to_detect_grows_with_power_level_and_noise_and_falls_with_the_difference() -> None:
    base = seeds_to_detect(0.5, 1.0)
    assert seeds_to_detect(0.5, 1.0, power=0.9) > base
    assert seeds_to_detect(0.5, 1.0, level=0.99) > base
    assert seeds_to_detect(0.5, 1.5) > base
    assert seeds_to_detect(0.6, 1.0) < base


def test_seeds_to_detect_gives_the_power_that_simulation_finds() -> None:
    n = seeds_to_detect(1.0, 1.0)
    draws = RNG.normal(1.0, 1.0, (20_000, n))
    power = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    below = np.mean(stats.ttest_1samp(draws[:, :-1], 0, axis=1).pvalue < 0.05)
    assert below < 0.8 < power + 0.01  # 0.01: 3.5 sigma of the simulated power


@pytest.mark.parametrize("sd", [0.0, 1.0])
def test_a_difference_of_nothing_is_refused_and_not_searched_for_ever(sd: float) -> None:
    with pytest.raises(ValueError, match="difference"):
        seeds_to_detect(0.0, sd)


def test_almost_without_noise_two_seeds_suffice() -> None:
    assert [seeds_to_detect(0.1, sd) for sd in (0.0, 1e-300, 1e-18, 1e-4, 0.1 / 30, 0.1 / 12)] == [
        2
    ] * 6


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (1, 5, 14 / 64),  # 2 (C(6,0) + C(6,1)) / 2^6
        (5, 1, 14 / 64),
        (0, 5, 2 / 32),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_is_the_hand_worked_case(only_first: int, only_second: int, p: float) -> None:
    both_right, both_wrong = 7, 4
    first = np.repeat([True, False, True, False], [only_first, only_second, both_right, both_wrong])
    second = np.repeat(
        [False, True, True, False], [only_first, only_second, both_right, both_wrong]
    )
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(p, abs=1e-12)  # sums of a few terms


def test_mcnemar_is_scipys_binomial_test() -> None:
    first, second = RNG.random(1000) < 0.9, RNG.random(1000) < 0.87
    found = mcnemar(first, second)
    n = int(np.sum(first != second))
    assert found.only_first + found.only_second == n
    assert found.p_value == stats.binomtest(found.only_second, n).pvalue
