"""Measures on results: NumPy arrays in, plain results out. Nothing here trains or draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from sklearn.metrics import confusion_matrix

from mnist_mlp.data import Dataset
from mnist_mlp.recipe import N_CLASSES
from mnist_mlp.run import Run


def log_probabilities(logits: ArrayLike) -> NDArray[np.float64]:
    """Return log softmax (N, K) without losing the images that are almost certain.

    ``log p_c = -log1p(sum_{j != c} exp(z_j - z_c))``. The usual ``z_c - logsumexp(z)`` rounds to 0
    once p is within 1e-16 of 1; here the small sum itself is kept, so that such images still have
    an order. In float64 from the float32 logits.
    """
    z = np.asarray(logits, dtype=np.float64)
    diagonal = np.arange(z.shape[1])
    with np.errstate(over="ignore"):
        odds_against = np.exp(z[:, None, :] - z[:, :, None])  # [n, c, j] = exp(z_j - z_c)
        odds_against[:, diagonal, diagonal] = 0.0
        log_p = -np.log1p(odds_against.sum(axis=2))
    # The odds overflow where a logit is 709 below another; there the usual form loses nothing.
    return np.where(np.isneginf(log_p), special.log_softmax(z, axis=1), log_p)


@dataclass(frozen=True)
class ScoredImage:
    """A test image with the score that the network gives it for one class."""

    index: int
    label: int
    log_probability: float

    @property
    def probability(self) -> float:
        """The softmax probability of the class."""
        return math.exp(self.log_probability)

    @property
    def shortfall(self) -> float:
        """``1 - p``, exact also where p rounds to 1."""
        return -math.expm1(self.log_probability)


def top_k_per_class(
    logits: NDArray[Any], labels: NDArray[np.int64], k: int = 3
) -> list[list[ScoredImage]]:
    """Return, for every class, the k images with the highest score for it, best first.

    All images compete, whatever their true class. The rank is by log-probability, not by the
    float32 probability, which is exactly 1 for thousands of images; should two still be equal, the
    earlier image comes first.
    """
    log_p = log_probabilities(logits)
    best = np.argsort(-log_p, axis=0, kind="stable")[:k].T
    return [
        [ScoredImage(int(i), int(labels[i]), float(log_p[i, c])) for i in indices]
        for c, indices in enumerate(best)
    ]


@dataclass(frozen=True)
class Result:
    """Everything that the report says about one finished run."""

    run: Run
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confusion: NDArray[np.int64]
    """(10, 10) counts: true classes in rows, predicted ones in columns."""
    top3: list[list[ScoredImage]]
    test_loss: float

    @property
    def label(self) -> str:
        """The activation, as figures and tables name it: "ReLU", "LReLU(0.1)"."""
        return self.run.recipe.label

    @property
    def correct(self) -> NDArray[np.bool_]:
        """For every test image whether it is classified correctly."""
        return self.predicted == self.labels

    @property
    def test_accuracy(self) -> float:
        """Fraction of the test images that are classified correctly."""
        return float(np.mean(self.correct))

    @property
    def errors(self) -> NDArray[np.int64]:
        """(10,) counts of the misread images of each class."""
        return self.confusion.sum(axis=1) - np.diag(self.confusion)


def evaluate_run(run: Run, dataset: Dataset) -> Result:
    """Measure a finished run on the test images."""
    labels = dataset.test.labels
    predicted = run.logits.argmax(axis=1)
    return Result(
        run=run,
        labels=labels,
        predicted=predicted,
        confusion=confusion_matrix(labels, predicted, labels=range(N_CLASSES)),
        top3=top_k_per_class(run.logits, labels),
        test_loss=float(-log_probabilities(run.logits)[np.arange(len(labels)), labels].mean()),
    )


def expected_calibration_error(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Return by how much confidence and accuracy differ on average (Guo et al. 2017, eq. 3).

    An image's confidence is the probability of the predicted class. The images are grouped by it
    in 15 bins of equal width, (0, 1/15], ..., and the bins' gaps between accuracy and mean
    confidence weighted with their counts. A fraction; 0 is perfect. arXiv:1706.04599.
    """
    predicted = logits.argmax(axis=1)
    confidence = np.exp(log_probabilities(logits)[np.arange(len(labels)), predicted])
    which = np.ceil(confidence * 15).astype(int) - 1
    gaps = np.bincount(which, weights=(predicted == labels) - confidence)  # count * gap, by bin
    return float(np.abs(gaps).sum() / len(labels))


@dataclass(frozen=True)
class Bin:
    """Images of like confidence: what the network says and what happens, all fractions."""

    images: int
    said: float
    """Mean probability, in the network's own words, that its answer is wrong."""
    wrong: float
    """Fraction misread, with its 95 % interval (exact, Clopper and Pearson 1934)."""
    low: float
    high: float


def reliability(logits: NDArray[Any], labels: NDArray[np.int64]) -> list[Bin]:
    """Sort the least sure fifth of the images into 8 bins of equally many; the surest come last."""
    predicted = logits.argmax(axis=1)
    log_p = log_probabilities(logits)[np.arange(len(labels)), predicted]
    doubt, wrong = -np.expm1(log_p), predicted != labels
    least_sure = np.argsort(log_p, kind="stable")[: math.ceil(0.2 * len(labels))]
    found = []
    for group in np.array_split(least_sure, min(8, len(least_sure))):
        errors = int(wrong[group].sum())
        ends = stats.binomtest(errors, len(group)).proportion_ci()  # exact
        said = float(doubt[group].mean())
        found.append(Bin(len(group), said, errors / len(group), float(ends.low), float(ends.high)))
    return found


@dataclass(frozen=True)
class OneReads:
    """A test image that just one of two networks reads, and what both answer."""

    index: int
    label: int
    reader: str
    """Label of the network that is right."""
    answers: tuple[int, int]
    probabilities: tuple[float, float]
    """Of the answers, ReLU's first."""


def one_reads(relu: Result, lrelu: Result) -> list[OneReads]:
    """Return the images that one network alone reads; the other's surest errors first."""
    both = (relu, lrelu)
    indices = np.flatnonzero(relu.correct != lrelu.correct)
    log_p = [log_probabilities(result.run.logits[indices]).max(axis=1) for result in both]
    cases = []
    for place, index in enumerate(map(int, indices)):
        reader = relu.label if relu.correct[index] else lrelu.label
        answers = int(relu.predicted[index]), int(lrelu.predicted[index])
        p = math.exp(log_p[0][place]), math.exp(log_p[1][place])
        cases.append(OneReads(index, int(relu.labels[index]), reader, answers, p))
    return sorted(cases, key=lambda c: -c.probabilities[c.reader == relu.label])


@dataclass(frozen=True)
class Interval:
    """A mean with its standard deviation over n runs and a confidence interval."""

    mean: float
    sd: float
    n: int
    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """The interval alone."""
        return self.low, self.high

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero: a difference has been shown."""
        return self.low > 0 or self.high < 0


def mean_interval(values: Sequence[float] | NDArray[np.float64], level: float = 0.95) -> Interval:
    """Return mean, SD and the Student t interval of independent values (at least two).

    For a paired comparison pass the differences, one for each seed.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        raise ValueError("an interval needs at least two runs")
    mean, sd = float(x.mean()), float(x.std(ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, len(x) - 1)) * sd / math.sqrt(len(x))
    return Interval(mean, sd, len(x), mean - half, mean + half)


def bootstrap_interval(
    differences: NDArray[np.float64], images: int, level: float = 0.95, draws: int = 20_000
) -> tuple[float, float]:
    """Return the interval of a mean difference over other seeds *and* other test images.

    ``differences`` (seeds, M) has +1 where one network alone is right, -1 where the other is, and
    0 elsewhere; of the ``images`` those in which all is 0 may be left out. Seeds and images are
    drawn anew independently of each other (Owen 2007, the pigeonhole bootstrap), always with the
    same draws. A fraction of the images.
    """
    seeds, kept = differences.shape
    rng, means = np.random.default_rng(0), []
    rest = 1 - kept / images
    for start in range(0, draws, 4000):  # a part at a time: few megabytes
        n = min(4000, draws - start)
        which_seeds = rng.multinomial(seeds, [1 / seeds] * seeds, size=n)
        which_images = rng.multinomial(images, [*[1 / images] * kept, rest], size=n)[:, :kept]
        means.append(((which_seeds @ differences) * which_images).sum(axis=1) / (seeds * images))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class McNemar:
    """Images that only one of two networks classifies correctly, and the exact test of them."""

    only_relu: int
    only_lrelu: int
    p_value: float


def mcnemar(relu_correct: NDArray[np.bool_], lrelu_correct: NDArray[np.bool_]) -> McNemar:
    """Test whether two networks have the same error rate on the same images (McNemar 1947, exact).

    Under that hypothesis each image on which just one of them is right is a fair coin.
    """
    only_relu = int(np.sum(relu_correct & ~lrelu_correct))
    only_lrelu = int(np.sum(~relu_correct & lrelu_correct))
    n = only_relu + only_lrelu
    p_value = float(stats.binomtest(only_relu, n).pvalue) if n else 1.0
    return McNemar(only_relu, only_lrelu, p_value)
