"""What the scaling benchmark found: a figure, and a computed Korean sentence for each question."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mnist_mlp.commentary import particle
from mnist_mlp.plots import BLUE, VERMILION, new_figure

FLAT = 0.15
"""Largest relative spread of a time that is called flat."""


def numbers(series: dict[str, float]) -> tuple[list[int], list[float]]:
    """Return the settings and their microseconds an image."""
    return [int(setting) for setting in series], list(series.values())


def figure(found: dict[str, Any]) -> Figure:
    """Draw time an image against each setting, and the notebooks' memory."""
    result, axes = new_figure(2, 2, (10, 7))
    panels = {
        "batch_size": "minibatch size",
        "width": "width of the first hidden layer (the second is half)",
        "training_size": "training images",
    }
    for ax, (name, label) in zip(axes.flat, panels.items(), strict=False):
        x, y = numbers(found[name])
        ax.plot(x, y, "o-", color=BLUE)
        ax.set(xscale="log", xlabel=label)
        if name == "width":
            ax.set_yscale("log")
        else:
            ax.set_ylim(0, 1.15 * max(y))
        mark(ax, x)
    ax = axes[1, 1]
    for (kind, series), colour, marker in zip(
        found["runs"].items(), (BLUE, VERMILION), "os", strict=True
    ):
        x, y = numbers(series)
        ax.plot(x, y, marker=marker, color=colour, label=f"in {kind}")
    ax.set(xlabel="runs at once, one BLAS thread each", xticks=x)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    for ax in axes.flat:
        ax.set_ylabel("µs an image")
    result.suptitle("Training time an image: NumPy network, 784-512-256-10, batch 100, dropout")
    return result


def mark(ax: Axes, settings: list[int]) -> None:
    """Label the settings that were measured, not powers of ten."""
    ax.set_xticks(settings, [f"{s:,}" for s in settings], rotation=45 if len(settings) > 6 else 0)
    ax.xaxis.set_minor_locator(NullLocator())


def sentences(found: dict[str, Any]) -> list[str]:
    """Return a Korean sentence for each question that was measured."""
    parts = [
        batch_size(found["batch_size"]),
        width(found["width"]),
        training_size(found["training_size"]),
        runs(found["runs"]),
        side_by_side(found["side_by_side"]),
        under_load(found["under_load"]),
    ]
    return parts + [notebook(name, entry) for name, entry in found.get("notebooks", {}).items()]


def section(found: dict[str, Any]) -> str:
    """Return the README's section about scaling: a list."""
    where = found["machine"]
    head = f"{where['processor']}, 코어 {where['cores']}개에서 NumPy 망을 잰 결과이다."
    return "\n".join([head, "", *(f"- {sentence}" for sentence in sentences(found))])


def batch_size(series: dict[str, float]) -> str:
    """Say how the time an image falls with the minibatch."""
    x, y = numbers(series)
    best = y.index(min(y))
    return (
        f"미니배치가 {x[0]:,}장이면 이미지 한 장을 학습하는 데 {y[0]:.0f} µs, {x[best]:,}장이면 "
        f"{y[best]:.0f} µs가 걸린다. 작은 미니배치에서는 걸음마다 모든 가중치를 갱신하는 시간을 "
        "적은 이미지가 나누어 낸다."
    )


def width(series: dict[str, float]) -> str:
    """Say how the time an image grows with the hidden layer."""
    x, y = numbers(series)
    weights = [784 * w + w * (w // 2) + (w // 2) * 10 for w in x]
    widest = particle(f"{x[-1]:,}", "으로/로")
    return (
        f"은닉층이 {x[0]:,}에서 {widest} 넓어지면 가중치는 {weights[-1] / weights[0]:.0f}배, "
        f"이미지 한 장의 학습 시간은 {y[-1] / y[0]:.0f}배가 된다({y[0]:.0f} µs에서 {y[-1]:.0f} µs)."
    )


def training_size(series: dict[str, float]) -> str:
    """Say whether the time an image depends on the size of the training set."""
    x, y = numbers(series)
    spread = max(y) / min(y) - 1
    verdict = "거의 같다" if spread <= FLAT else "달라진다"
    return (
        f"훈련 이미지가 {x[0]:,}장에서 {x[-1]:,}장으로 늘어도 한 장의 학습 시간은 {verdict}"
        f"(가장 빠른 경우와 느린 경우의 차이 {spread:.0%})."
    )


def runs(found: dict[str, dict[str, float]]) -> str:
    """Say what runs at once gain in throughput over one run."""
    gains = {}
    for kind, series in found.items():
        x, y = numbers(series)
        best = y.index(min(y))
        gains[kind] = f"{x[best]}개까지 {y[0] / y[best]:.2f}배"
    return (
        "BLAS 스레드를 하나씩 쓰는 학습 여럿을 동시에 돌리면 처리량은 "
        f"스레드로는 {gains['threads']}, 프로세스로는 {gains['processes']}로 늘어난다."
    )


def side_by_side(seconds: dict[str, float]) -> str:
    """Say what both activations at once cost above the matrix products."""
    return (
        "드롭아웃을 쓰는 ReLU와 LReLU를 동시에 학습하고 에폭마다 평가하는 시간은, 동시에 돌린 학습 "
        f"행렬곱만의 {seconds['fit'] / seconds['products']:.2f}배, 평가의 행렬곱까지 더한 것의 "
        f"{seconds['fit'] / seconds['all_products']:.2f}배이다."
    )


def under_load(found: dict[str, dict[str, float]]) -> str:
    """Say what a busy core does to the two thread policies."""
    slow = {name: entry["busy"] / entry["idle"] for name, entry in found.items()}
    return (
        "다른 프로세스가 코어 하나를 차지하면, 스레드 하나씩 동시에 학습할 때는 "
        f"{slow['one_thread_each']:.1f}배, 스레드 둘로 하나씩 차례로 학습할 때는 "
        f"{slow['two_threads']:.1f}배 느려진다."
    )


def notebook(name: str, entry: dict[str, float]) -> str:
    """Say what a notebook needs."""
    return (
        f"노트북 {name}는 {entry['seconds']:.0f}초가 걸리고 "
        f"메모리를 최대 {entry['peak_gb']:.2f} GB 쓰며, "
        f"코어 하나가 바쁘면 {entry['slowdown']:.1f}배 느려진다."
    )
