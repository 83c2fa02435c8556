"""Measures on results against scikit-learn, scipy and hand-worked cases."""

import math

import numpy as np
import pytest
from made_up import result as made_up_result
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats
from sklearn import metrics

from mnist_mlp.data import Dataset, Split, load
from mnist_mlp.evaluation import (
    bootstrap_interval,
    evaluate_run,
    expected_calibration_error,
    log_probabilities,
    mcnemar,
    mean_interval,
    one_reads,
    reliability,
    top_k_per_class,
)
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History, Run
from mnist_mlp.scratch import fit

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 10, 500)


# ---- log-probabilities and the ranking by them


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


def test_top_k_is_strictly_ordered_where_float32_probabilities_are_all_one() -> None:
    logits = np.zeros((50, 10), np.float32)
    logits[:, 4] = RNG.permutation(np.linspace(30, 200, 50))
    assert (special.softmax(logits, axis=1)[:, 4] == 1).all()
    top = top_k_per_class(logits, np.full(50, 4))
    assert [image.index for image in top[4]] == list(np.argsort(-logits[:, 4])[:3])
    assert top[4][0].shortfall < top[4][1].shortfall < top[4][2].shortfall
    ties = top_k_per_class(np.zeros((8, 10)), np.zeros(8, np.int64))
    assert [image.index for image in ties[0]] == [0, 1, 2]  # in the order of the file


def test_top_k_lets_images_of_every_true_class_compete() -> None:
    logits, labels = RNG.standard_normal((300, 10)), RNG.integers(0, 10, 300)
    log_p = special.log_softmax(logits, axis=1)
    for c, images in enumerate(top_k_per_class(logits, labels)):
        best = np.argsort(-log_p[:, c])[:3]
        assert [(image.index, image.label) for image in images] == [(i, labels[i]) for i in best]
        assert [image.log_probability for image in images] == pytest.approx(log_p[best, c])
        assert [image.probability + image.shortfall for image in images] == pytest.approx([1] * 3)


def test_a_run_is_measured_on_its_test_images() -> None:
    digits = load("sklearn-digits")
    run = fit(digits, Recipe(hidden=(16,), epochs=2, batch_size=50))
    result, labels = evaluate_run(run, digits), digits.test.labels
    predicted = run.logits.argmax(axis=1)
    assert_array_equal(result.confusion, metrics.confusion_matrix(labels, predicted))
    assert result.test_accuracy == metrics.accuracy_score(labels, predicted)
    assert result.test_accuracy == np.trace(result.confusion) / len(labels) == result.correct.mean()
    expected = metrics.log_loss(labels, special.softmax(run.logits.astype(np.float64), axis=1))
    assert result.test_loss == pytest.approx(expected, rel=1e-12)  # rounding of a mean of 360
    assert_array_equal(result.errors, [np.sum((labels == c) & (predicted != c)) for c in range(10)])


def test_classes_that_never_occur_have_their_row_and_column() -> None:
    logits = 9 * np.eye(10, dtype=np.float32)[[1, 1, 1]]  # three images, all read as "1"
    split = Split(np.zeros((3, 784), np.float32), np.array([0, 0, 1]))
    run = Run(Recipe(), 0, History(), None, logits)
    result = evaluate_run(run, Dataset("three", split, split, split))
    assert result.confusion.shape == (10, 10)
    assert (result.confusion[0, 1], result.confusion[1, 1], result.confusion.sum()) == (2, 1, 3)


# ---- comparisons


@pytest.mark.parametrize(("n", "level"), [(2, 0.95), (10, 0.9)])
def test_the_interval_is_that_of_scipys_t_test(n: int, level: float) -> None:
    values = RNG.normal(0.985, 0.001, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    interval = mean_interval(values, level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert (interval.mean, interval.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert interval.n == n
    with pytest.raises(ValueError, match="at least two"):
        mean_interval(values[:1])
    # An interval leaves out zero exactly where the t test is significant, whatever the sign.
    for shift in (-1.2, -0.1, 0.1, 1.2):
        shifted = values - values.mean() + shift * (expected.high - expected.low) / 2
        significant = stats.ttest_1samp(shifted, 0).pvalue < 1 - level
        assert mean_interval(shifted, level).excludes_zero == significant


# 14 / 64 = 2 (C(6, 0) + C(6, 1)) / 2^6 and 2 / 32 = 2 C(5, 0) / 2^5
HAND_WORKED = [(1, 5, 14 / 64), (5, 1, 14 / 64), (0, 5, 2 / 32), (3, 3, 1.0), (0, 0, 1.0)]


@pytest.mark.parametrize(("only_relu", "only_lrelu", "p"), HAND_WORKED)
def test_mcnemar_is_the_hand_worked_case(only_relu: int, only_lrelu: int, p: float) -> None:
    both_right, both_wrong = 7, 4
    counts = [only_relu, only_lrelu, both_right, both_wrong]
    relu = np.repeat([True, False, True, False], counts)
    lrelu = np.repeat([False, True, True, False], counts)
    found = mcnemar(relu, lrelu)
    assert (found.only_relu, found.only_lrelu) == (only_relu, only_lrelu)
    assert found.p_value == pytest.approx(p, abs=1e-12)  # sums of a few terms


# ---- calibration


def test_calibration_error_of_a_hand_worked_case() -> None:
    # Confidence 0.55 twice, one of them right; 0.95 twice, both right: gaps 0.05 and 0.05.
    p = np.array([0.55, 0.55, 0.95, 0.95])
    logits = np.log(np.column_stack([p, 1 - p]))
    assert expected_calibration_error(logits, np.array([0, 1, 0, 0])) == pytest.approx(0.05)


def test_reliability_bins_hold_equally_many_images_and_the_least_sure_come_first() -> None:
    p = np.linspace(0.6, 0.995, 80)  # of the answers; the least sure of all is wrong
    order = RNG.permutation(80)
    logits = np.log(np.column_stack([p, 1 - p]))[order]
    bins = reliability(logits, (order == 0).astype(int))
    assert [b.images for b in bins] == [2] * 8  # a fifth of the images
    assert [b.said for b in bins] == pytest.approx(1 - p[:16].reshape(8, 2).mean(axis=1))
    assert [b.wrong for b in bins] == [0.5, *[0] * 7]
    exact = 1 - 0.975**0.5, 0.975**0.5  # one of two (Clopper and Pearson)
    assert (bins[0].low, bins[0].high) == pytest.approx(exact)
    assert len(reliability(logits[:2], np.zeros(2, int))) == 1


def test_images_that_one_network_reads_come_with_the_others_surest_errors_first() -> None:
    relu, lrelu = made_up_result({0: 6, 11: 2, 22: 3}), made_up_result({0: 6, 33: 4}, alpha=0.1)
    cases = {c.index: c for c in one_reads(relu, lrelu)}
    readers = {index: c.reader for index, c in cases.items()}
    assert readers == {11: "LReLU(0.1)", 22: "LReLU(0.1)", 33: "ReLU"}
    assert (cases[11].label, cases[11].answers, cases[33].answers) == (1, (2, 1), (3, 4))
    wrong = [c.probabilities[c.reader == "ReLU"] for c in cases.values()]
    assert wrong == sorted(wrong, reverse=True)
    softmax = special.softmax(relu.run.logits[11].astype(float))
    assert cases[11].probabilities[0] == pytest.approx(softmax[2])


# ---- other seeds and other images


def test_the_bootstrap_covers_both_seeds_and_images() -> None:
    """One seed repeated leaves the images' own variance: k of n images differ, each by +1."""
    gaps = np.tile(np.concatenate([np.ones(50), -np.ones(30)]), (5, 1))
    low, high = bootstrap_interval(gaps, 1000)
    half = 1.96 * math.sqrt((80 - 20**2 / 1000) / 1000**2)  # of a mean of +1, -1 and 0
    assert [low, high] == pytest.approx([0.02 - half, 0.02 + half], abs=0.1 * half)
    # Seeds that differ widen it: here one seed in two has +60 images, the others have none.
    varied = np.zeros((20, 60))
    varied[::2] = 1
    low, high = bootstrap_interval(varied, 10_000_000)
    sd = math.sqrt(60**2 / 4 + 60 / 2) / 1e7
    assert high - low > 2 * 1.5 * sd / math.sqrt(20)
    assert bootstrap_interval(varied, 1000) == bootstrap_interval(varied, 1000)
