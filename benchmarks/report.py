"""What the training benchmark found: JSON files, a Markdown table, Korean sentences, a figure."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mnist_mlp.plots import BLUE, GREEN, GREY, VERMILION, new_figure

LABELS = {
    "bare_products": ("행렬곱 8개만", "matrix products only"),
    "scratch_relu": ("이 저장소, NumPy, ReLU", "ours, NumPy, ReLU"),
    "scratch_lrelu": ("이 저장소, NumPy, LReLU", "ours, NumPy, LReLU"),
    "torch_ours": ("이 저장소, PyTorch, ReLU", "ours, PyTorch, ReLU"),
    "torch_eager": ("PyTorch, 텐서 인덱싱", "PyTorch, indexing"),
    "torch_dataloader": ("PyTorch, DataLoader", "PyTorch, DataLoader"),
    "jax": ("JAX, `jit`와 `scan`", "JAX, jit + scan"),
    "sklearn": ("scikit-learn `MLPClassifier`", "scikit-learn"),
    "dropout_scratch_relu": ("드롭아웃: 이 저장소, NumPy, ReLU", "dropout: ours, NumPy, ReLU"),
    "dropout_scratch_lrelu": ("드롭아웃: 이 저장소, NumPy, LReLU", "dropout: ours, NumPy, LReLU"),
    "dropout_torch_ours": ("드롭아웃: 이 저장소, PyTorch", "dropout: ours, PyTorch"),
    "dropout_torch_eager": ("드롭아웃: PyTorch, `nn.Dropout`", "dropout: PyTorch, nn.Dropout"),
}


def not_installed(installed: Sequence[str]) -> list[str]:
    """Return the contestants whose library is missing."""
    return [name for name in LABELS if name not in installed]


def write(details: dict[str, Any], medians: dict[str, dict[str, float]], folder: Path) -> None:
    """Write ``results.json`` (medians alone), ``details.json`` (every round) and the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("results", medians), ("details", details)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    figure(details).savefig(folder / "training.png", dpi=150, metadata={"Software": None})


def median_of(details: dict[str, Any], threads: str, name: str) -> float | None:
    """Return the median seconds of a contestant, None if it did not take part."""
    entry = details["threads"][threads].get(name)
    return statistics.median(entry["seconds"]) if entry else None


def table(details: dict[str, Any]) -> str:
    """Return the README's table: seconds an epoch, and as a multiple of the bare products."""
    counts = list(details["threads"])
    heads = [f"{n}스레드 (초) | 행렬곱의 몇 배" for n in counts]
    lines = [f"| 한 에폭 학습 | {' | '.join(heads)} |", "|---|" + "---:|---:|" * len(counts)]
    for name, (label, _) in LABELS.items():
        cells = []
        for n in counts:
            seconds, floor = median_of(details, n, name), median_of(details, n, "bare_products")
            cells.append(f"{seconds:.2f}" if seconds else "–")
            cells.append(f"{seconds / floor:.2f}" if seconds and floor else "–")
        if any(name in found for found in details["threads"].values()):
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", note(details)])


def note(details: dict[str, Any]) -> str:
    """Return what stands below the table: where and how it was measured, and who is missing."""
    where, rounds = details["machine"], details["rounds"]
    text = (
        f"{where['processor']}, 코어 {where['cores']}개. 784-512-256-10, 배치 100, "
        f"{details['n_train']:,}장, 모멘텀과 L2. 참가자를 번갈아 {rounds}번씩 잰 중앙값이다."
    )
    if missing := details["not_installed"]:
        text += f" 설치되지 않아 빠진 참가자: {', '.join(LABELS[name][0] for name in missing)}."
    return text


def sentences(medians: dict[str, dict[str, float]]) -> list[str]:
    """Return one Korean sentence for each thread count: our network against every peer."""
    peers = {"torch_eager": "PyTorch", "sklearn": "scikit-learn", "jax": "JAX"}
    found = []
    for threads, seconds in medians.items():
        ours, floor = seconds.get("scratch_relu"), seconds.get("bare_products")
        if ours is None or floor is None:
            continue
        parts = [
            f"{label}의 {ours / seconds[p]:.2f}배" for p, label in peers.items() if p in seconds
        ]
        against = f", {', '.join(parts)}" if parts else ""
        found.append(
            f"BLAS 스레드 {threads}개에서 NumPy 망의 한 에폭은 "
            f"행렬곱만 하는 시간의 {ours / floor:.2f}배{against}이다."
        )
    return found


def section(details: dict[str, Any], medians: dict[str, dict[str, float]]) -> str:
    """Return the README's section about speed."""
    return "\n\n".join([table(details), *sentences(medians)])


def colour(name: str) -> str:
    """Return the colour of a bar: what is ours stands out."""
    if name == "bare_products":
        return GREY
    if "scratch" in name:
        return BLUE
    return GREEN if name.endswith("torch_ours") else VERMILION


def figure(details: dict[str, Any]) -> Figure:
    """Draw a bar for each contestant and the floor as a line, one panel a thread count."""
    counts = list(details["threads"])
    result, axes = new_figure(1, len(counts), (4.2 + 3.4 * len(counts), 4.6))
    for ax, n in zip(axes[0], counts, strict=True):
        names = [name for name in reversed(LABELS) if name in details["threads"][n]]
        seconds = [median_of(details, n, name) or 0.0 for name in names]
        bars = ax.barh(names, seconds, color=[colour(name) for name in names])
        ax.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        if floor := median_of(details, n, "bare_products"):
            ax.axvline(floor, color="black", linestyle="--", linewidth=1)
        ax.set_yticks(range(len(names)), [LABELS[name][1] for name in names])
        ax.set(title=f"{n} thread{'s' if n != '1' else ''}", xlabel="seconds an epoch (median)")
        ax.margins(x=0.14)
        if ax is not axes[0, 0]:
            ax.set_yticklabels([])
    groups = {"matrix products only (dashed line)": GREY, "ours, NumPy": BLUE}
    groups |= {"ours, PyTorch": GREEN, "others": VERMILION}
    handles = [Patch(color=c, label=label) for label, c in groups.items()]
    result.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    result.suptitle("One epoch of 784-512-256-10, batch 100, 48,000 MNIST images")
    return result
