"""Time one epoch of the same training for every contestant: ``make bench``.

Contestants take turns (A B C A B C ...), so that a machine that slows down slows all of them. One
epoch each is the warm-up: JAX compiles in it, and the loss after it must be everybody's. Writes
results.json (median seconds by thread count), details.json (every round), training.png, README.md.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from benchmarks.contestants import CONTESTANTS, PLAIN, installed, loss_of
from mnist_mlp.data import Split, load
from mnist_tools.files import replace_section

FOLDER = Path(__file__).parent
TOLERANCE = 0.04
"""Largest relative difference to our NumPy network's loss after an epoch. LReLU(0.1) is another
function, and with dropout everybody draws other masks, but their losses are as near as this."""
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


def measure(threads: int, names: Sequence[str], rounds: int, dataset: str) -> dict[str, Any]:
    """Return ``{name: {"loss": float | None, "seconds": [one for each round]}}``.

    Thread pools are sized when a library is imported: each contestant has a process of its own.
    """
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(
                ProcessPoolExecutor(1, spawn, initializer=start, initargs=(name, dataset, threads))
            )
            for name in names
        }
        losses = {name: worker.submit(loss).result() for name, worker in workers.items()}
        found: dict[str, Any] = {name: {"loss": losses[name], "seconds": []} for name in names}
        for number in range(1, rounds + 1):
            for name, worker in workers.items():
                found[name]["seconds"].append(worker.submit(epoch).result())
            print(f"threads {threads}: round {number} of {rounds}", file=sys.stderr)
    return found


def check_losses(found: dict[str, Any]) -> None:
    """Raise RuntimeError if a loss after one epoch is not our NumPy network's, but for noise."""
    for name, entry in found.items():
        ours = "dropout_scratch_relu" if name.startswith("dropout_") else "scratch_relu"
        if (reached := entry["loss"]) is None:
            continue
        expected = found[ours]["loss"]
        if abs(reached / expected - 1) > TOLERANCE:
            raise RuntimeError(
                f"{name} reaches a loss of {reached:.4f} after one epoch, {ours} {expected:.4f}: "
                "they do not do the same work"
            )


def medians(details: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the median seconds of an epoch by thread count and name."""
    return {
        threads: {name: statistics.median(entry["seconds"]) for name, entry in found.items()}
        for threads, found in details["threads"].items()
    }


def section(details: dict[str, Any]) -> str:
    """Return the README's table and, in one Korean sentence, how it was measured."""
    seconds = medians(details)
    heads = [f"{n}스레드 (초) | 행렬곱의 몇 배" for n in seconds]
    lines = [f"| 한 에폭 학습 | {' | '.join(heads)} |", "|---|" + "---:|---:|" * len(seconds)]
    names = [name for name in CONTESTANTS if all(name in found for found in seconds.values())]
    for name in names:
        cells = [f"{s[name]:.2f} | {s[name] / s['bare_products']:.2f}" for s in seconds.values()]
        lines.append(f"| {CONTESTANTS[name][2]} | {' | '.join(cells)} |")
    note = (
        f"{details['processor']}, 코어 {details['cores']}개, 훈련 이미지 {details['n_train']:,}장. "
        f"참가자를 번갈아 {details['rounds']}번씩 잰 중앙값이다."
    )
    missing = [label for name, (_, _, label) in CONTESTANTS.items() if name not in names]
    note += f" 빠진 참가자: {', '.join(missing)}." if missing else ""
    return "\n".join([*lines, "", note])


def figure(details: dict[str, Any]) -> Figure:
    """Draw a bar for each contestant and the bare products as a line, a panel a thread count."""
    seconds = medians(details)
    result = Figure(figsize=(4.2 + 3.4 * len(seconds), 4.4), layout="constrained")
    axes = result.subplots(1, len(seconds), squeeze=False, sharey=True)[0]
    for ax, (threads, found) in zip(axes, seconds.items(), strict=True):
        names = [name for name in reversed(CONTESTANTS) if name in found]
        ours = {"scratch_relu": "#0072B2", "scratch_lrelu": "#D55E00"}  # the reports' colours
        colours = [ours.get(name.removeprefix("dropout_"), "0.6") for name in names]
        labels = [name.replace("_", " ") for name in names]
        bars = ax.barh(labels, [found[name] for name in names], color=colours)
        ax.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        ax.axvline(found["bare_products"], color="black", linestyle="--", linewidth=1)
        ax.set(title=f"threads: {threads}", xlabel="seconds an epoch (median)")
        ax.margins(x=0.14)
        ax.spines[["top", "right"]].set_visible(False)
    result.suptitle("One epoch of 784-512-256-10, batch 100 (dashed: matrix products only)")
    return result


def write(details: dict[str, Any], folder: Path) -> None:
    """Write all results into a folder whose README.md has a section between two markers."""
    contract = {  # the form of results.json: no dropout
        threads: {name: s for name, s in found.items() if not name.startswith("dropout_")}
        for threads, found in medians(details).items()
    }
    for name, content in (("results", contract), ("details", details)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    figure(details).savefig(folder / "training.png", dpi=150, metadata={"Software": None})
    replace_section(folder / "README.md", "speed", section(details))


def processor() -> str:
    """Return the name of the processor: seconds belong to it."""
    cpuinfo = Path("/proc/cpuinfo")  # Linux
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return found[1] if found else platform.machine()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="epochs timed (default: 5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--dataset", default="mnist", help="mnist, or sklearn-digits for a trial")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder with a README.md")
    options = parser.parse_args(arguments)
    if load(options.dataset).name != options.dataset:
        parser.exit(1, f"{options.dataset} was not found: set MNIST_DIR\n")
    details: dict[str, Any] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],  # before the benchmark; should be near 0
        "dataset": options.dataset,
        "rounds": options.rounds,
        "n_train": len(training_images(options.dataset).labels),
        "threads": {},
    }
    for threads in options.threads:
        details["threads"][str(threads)] = measure(
            threads, installed(), options.rounds, options.dataset
        )
        check_losses(details["threads"][str(threads)])
    write(details, options.output)
    print(section(details))


if __name__ == "__main__":
    main()
