"""Time one epoch of the same training for every contestant: ``make bench``.

Contestants take turns (A B C A B C ...), so that a machine that slows down slows all of them. One
epoch each is the warm-up: JAX compiles in it, and the loss after it must be everybody's. Writes
results.json (median seconds by thread count), training.png and the table in README.md.
"""

import json
import multiprocessing
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from benchmarks.contestants import CONTESTANTS, PLAIN, installed, loss_of
from mnist_mlp.data import Split, load
from mnist_tools.files import replace_section

FOLDER = Path(__file__).parent
TOLERANCE = 0.04
"""Largest relative difference to our NumPy network's loss, which LReLU and other masks keep to."""
running: Any = None
"""The contestant of this process, its recipe and images."""


def training_images(dataset: str) -> Split:
    """Return the training images of full minibatches: a compiled loop takes no shorter one."""
    train = load(dataset).train
    n = len(train.labels) // PLAIN.batch_size * PLAIN.batch_size
    return Split(train.images[:n], train.labels[:n])


def start(name: str, dataset: str, threads: int) -> None:
    """Make a process one contestant's, with so many threads and cores, and train one epoch."""
    global running
    if hasattr(os, "sched_setaffinity"):  # Linux; XLA counts the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    make, recipe, _ = CONTESTANTS[name]
    split = training_images(dataset)
    running = make(split, recipe, 0), recipe, split
    threadpool_limits(threads)  # mnist_mlp has set one thread, framework.py too
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    epoch()  # JAX compiles


def epoch() -> float:
    """Train one epoch; return its seconds."""
    started = time.perf_counter()
    running[0].epoch()
    return time.perf_counter() - started


def loss() -> float | None:
    """Return the loss that this process's contestant has reached; None if it learns nothing."""
    contestant, recipe, split = running
    return loss_of(contestant.parameters, recipe, split) if contestant.parameters else None


def measure(threads: int, names: Sequence[str], rounds: int, dataset: str) -> dict[str, float]:
    """Return each contestant's median seconds, after a check of the losses.

    Thread pools are sized when a library is imported: each contestant has a process of its own.
    """
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    spawn = multiprocessing.get_context("spawn")
    workers = {
        name: ProcessPoolExecutor(1, spawn, start, (name, dataset, threads)) for name in names
    }
    check_losses({name: worker.submit(loss).result() for name, worker in workers.items()})
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name, worker in workers.items():
            seconds[name].append(worker.submit(epoch).result())
        print(f"threads {threads}: round {number} of {rounds}", file=sys.stderr)
    for worker in workers.values():
        worker.shutdown()
    return {name: statistics.median(values) for name, values in seconds.items()}


def check_losses(losses: Mapping[str, float | None]) -> None:
    """Raise RuntimeError if a loss after one epoch is not our NumPy network's, but for noise."""
    for name, reached in losses.items():
        ours = "dropout_scratch_relu" if name.startswith("dropout_") else "scratch_relu"
        expected = losses[ours]
        if reached is None or expected is None:  # the bare products
            continue
        print(f"{name}: a loss of {reached:.4f} after one epoch", file=sys.stderr)
        if abs(reached / expected - 1) > TOLERANCE:
            raise RuntimeError(f"{ours} reaches {expected:.4f}: {name} does not do the same work")


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return the README's table of seconds and of multiples of the bare products."""
    heads = [f"{n}스레드 (초) | 행렬곱의 몇 배" for n in results]
    lines = [f"| 한 에폭 학습 | {' | '.join(heads)} |", "|---|" + "---:|---:|" * len(results)]
    for name in next(iter(results.values())):
        pairs = [(found[name], found["bare_products"]) for found in results.values()]
        cells = [f"{seconds:.2f} | {seconds / bare:.2f}" for seconds, bare in pairs]
        lines.append(f"| {CONTESTANTS[name][2]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(results: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a bar for each contestant and the bare products as a line, a panel a thread count."""
    result = Figure(figsize=(4.2 + 3.4 * len(results), 5.2), layout="constrained")
    axes = result.subplots(1, len(results), squeeze=False, sharey=True)[0]
    ours = {"scratch_relu": "#0072B2", "scratch_lrelu": "#D55E00"}  # the reports' colours
    for ax, (threads, seconds) in zip(axes, results.items(), strict=True):
        names = list(seconds)[::-1]
        colours = [ours.get(name.removeprefix("dropout_"), "0.6") for name in names]
        bars = ax.barh(names, [seconds[name] for name in names], color=colours)
        ax.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        ax.axvline(seconds["bare_products"], color="black", linestyle="--", linewidth=1)
        ax.set(title=f"threads: {threads}", xlabel="seconds an epoch (median)")
        ax.margins(x=0.14)
    result.suptitle("One epoch of 784-512-256-10, batch 100 (dashed: matrix products only)")
    return result


def processor() -> str:
    """Return the name of the processor: seconds belong to it."""
    cpuinfo = Path("/proc/cpuinfo")  # Linux
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return found[1] if found else platform.machine()


def main(
    dataset: str = "mnist", rounds: int = 5, threads: Sequence[int] = (1, 2), folder: Path = FOLDER
) -> None:
    """Measure, and write the results into a folder whose README.md has a place for them."""
    if load(dataset).name != dataset:
        sys.exit(f"{dataset} was not found: set MNIST_DIR")
    note = (  # the load before the benchmark should be near 0
        f"{processor()}, 코어 {os.cpu_count()}개(재기 전의 부하 {os.getloadavg()[0]:.1f}), 훈련 "
        f"이미지 {len(training_images(dataset).labels):,}장. 번갈아 {rounds}번씩 잰 중앙값이다."
    )
    results = {str(n): measure(n, installed(), rounds, dataset) for n in threads}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    figure(results).savefig(folder / "training.png", dpi=150, metadata={"Software": None})
    replace_section(folder / "README.md", "speed", f"{table(results)}\n\n{note}")


if __name__ == "__main__":
    main()
