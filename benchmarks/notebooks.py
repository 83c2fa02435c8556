"""What training costs in the notebooks: side by side, beside a busy process, and in memory."""

import contextlib
import io
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.contestants import FULL, BareProducts
from mnist_mlp import scratch
from mnist_mlp.data import Dataset, Split
from mnist_mlp.files import NOTEBOOKS
from mnist_mlp.notebook import OUTPUT_VARIABLE, SideBySide
from mnist_mlp.recipe import Recipe
from mnist_mlp.report import execute

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def busy_core() -> Iterator[subprocess.Popen[bytes]]:
    """Keep one core busy with another process."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(0.5)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def at_once(*jobs: Callable[[], object]) -> float:
    """Run all jobs at once, a thread each; return the seconds until the last has finished."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()
    return time.perf_counter() - started


def forward_products(split: Split, recipe: Recipe, chunk: int = 1000) -> Callable[[], None]:
    """Return a function that does the matrix products of evaluating a split."""
    rows = BareProducts(split, replace(recipe, batch_size=min(chunk, len(split.labels))), 0)

    def run() -> None:
        for _ in range(rows.steps):
            for x, W, y in zip(rows.x[:-1], rows.W, rows.x[1:], strict=True):
                np.matmul(x, W, out=y)

    return run


def side_by_side(dataset: Dataset, epochs: int) -> dict[str, float]:
    """Time what notebook 01 does for both activations, and its bare matrix products, both at once.

    ``products`` are those of the training steps; ``all_products`` also those of evaluating the
    training and the validation set before the first epoch and after each one.
    """
    recipes = {
        "ReLU": replace(FULL, epochs=epochs),
        "LReLU": replace(FULL, epochs=epochs, alpha=0.1),
    }

    def train() -> float:
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            SideBySide(scratch.fit, dataset, recipes, 0).finish()
        return time.perf_counter() - started

    def products(evaluate: bool) -> Callable[[], None]:
        steps = BareProducts(dataset.train, FULL, 0)
        forward = [forward_products(s, FULL) for s in (dataset.train, dataset.validation)]

        def run() -> None:
            for epoch in range(epochs + 1):
                if epoch > 0:
                    steps.epoch()
                if evaluate:
                    for evaluation in forward:
                        evaluation()

        return run

    seconds: dict[str, list[float]] = {"fit": [], "products": [], "all_products": []}
    for _ in range(3):
        seconds["fit"].append(train())
        seconds["products"].append(at_once(products(False), products(False)))
        seconds["all_products"].append(at_once(products(True), products(True)))
    return {name: sorted(values)[1] for name, values in seconds.items()}


def policies_under_load(split: Split, steps: int) -> dict[str, dict[str, float]]:
    """Time two runs with an idle and with a busy core, under two thread policies.

    ``one_thread_each``: both runs at once, one BLAS thread each. ``two_threads``: one run after
    the other, two BLAS threads each.
    """
    n = min(steps * FULL.batch_size, len(split.labels))

    def run() -> None:
        trainer = scratch.Trainer(FULL, seed=0)
        for start in range(0, n, FULL.batch_size):
            rows = slice(start, start + FULL.batch_size)
            trainer.step(split.images[rows], split.labels[rows], FULL.lr)

    def one_after_another() -> float:
        with threadpool_limits(2, user_api="blas"):
            return at_once(run) + at_once(run)

    policies: dict[str, Callable[[], float]] = {
        "one_thread_each": lambda: at_once(run, run),
        "two_threads": one_after_another,
    }
    found: dict[str, dict[str, float]] = {}
    for name, policy in policies.items():
        idle = sorted(policy() for _ in range(3))[1]
        with busy_core():
            busy = sorted(policy() for _ in range(3))[1]
        found[name] = {"idle": idle, "busy": busy}
    return found


def execute_and_measure(path: Path, parameters: dict[str, Any]) -> dict[str, float]:
    """Execute a notebook; return its seconds and the peak memory of its kernel in GB.

    Call it in a fresh process: the peak is that of the largest child that the process ever had.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ[OUTPUT_VARIABLE] = folder
        started = time.perf_counter()
        execute(path, parameters=parameters)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"seconds": seconds, "peak_gb": peak * (1 if sys.platform == "darwin" else 1024) / 1e9}


def cost(path: Path, parameters: dict[str, Any]) -> dict[str, float]:
    """Execute a notebook in a process of its own and measure it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(execute_and_measure, path, parameters).result()


def costs(dataset: str, epochs_under_load: int = 4) -> dict[str, dict[str, float]]:
    """Return seconds and peak memory of each notebook, and its slowdown beside a busy process.

    The slowdown is measured on ``epochs_under_load`` epochs, to save time.
    """
    found = {}
    for name in NOTEBOOKS.values():
        path = ROOT / "notebooks" / f"{name}.ipynb"
        whole = cost(path, {"DATASET": dataset})
        short = {"DATASET": dataset, "EPOCHS": epochs_under_load}
        idle = cost(path, short)
        with busy_core():
            busy = cost(path, short)
        found[name] = whole | {"slowdown": busy["seconds"] / idle["seconds"]}
    return found
