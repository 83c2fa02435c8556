"""A contestant in a process of its own, with a fixed number of threads and cores.

Thread pools are sized when a library is imported, so every contestant lives in a fresh process
whose environment, affinity and libraries all say the same number. Only one process works at a
time: the parent asks for one epoch, waits for the answer, and asks the next.
"""

import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.contestants import training_loss
from benchmarks.registry import registry
from mnist_mlp.data import Split

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Worker:
    """A process that holds one contestant; use it as a context manager."""

    def __init__(self, name: str, data: Path, threads: int = 1, pin: bool = True) -> None:
        """Start the process: ``data`` is a file of :func:`save_split`; ``pin`` takes cores away."""
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, name, data, threads, pin), daemon=True
        )
        with environment({variable: str(threads) for variable in VARIABLES}):
            self._process.start()
        theirs.close()

    def ask(self, question: str) -> Any:
        """Ask for "epoch" (train one, answer its seconds) or "loss" (None if nothing is learned).

        Raises
        ------
        RuntimeError
            If the contestant failed; its process has printed why.
        """
        try:
            self._connection.send(question)
            return self._connection.recv()
        except (EOFError, BrokenPipeError):
            raise RuntimeError(f"the contestant {self.name} failed; see above") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()  # serve ends when nobody can ask any more
        self._process.join()


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started inside."""
    before = os.environ.copy()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def limit_threads(threads: int, pin: bool) -> None:
    """Give this process so many threads, and no more cores, whatever ``mnist_mlp`` set."""
    if pin and hasattr(os, "sched_setaffinity"):  # Linux; XLA sizes its thread pool by this
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    threadpool_limits(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def save_split(split: Split, path: Path, batch_size: int) -> int:
    """Write the images of full minibatches for the workers; return how many those are."""
    n = len(split.labels) // batch_size * batch_size
    np.savez(path, images=split.images[:n], labels=split.labels[:n])
    return n


def serve(connection: Connection, name: str, data: Path, threads: int, pin: bool) -> None:
    """Answer questions about one contestant until nobody asks any more."""
    limit_threads(threads, pin)  # before a library is imported that counts the cores
    with np.load(data) as arrays:
        split = Split(arrays["images"], arrays["labels"])
    make, recipe = registry()[name]
    contestant = make(split, recipe, 0)
    limit_threads(threads, pin)  # framework.py has set one thread

    def epoch() -> float:
        started = time.perf_counter()
        contestant.epoch()
        return time.perf_counter() - started

    def loss() -> float | None:
        parameters = contestant.parameters()
        return None if parameters is None else training_loss(parameters, recipe, split)

    answers = {"epoch": epoch, "loss": loss}
    with suppress(EOFError):  # the parent has closed its end
        while True:
            connection.send(answers[connection.recv()]())


def machine() -> dict[str, Any]:
    """Describe what the times were measured on: seconds do not travel, ratios do."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),  # before the benchmark; should be near 0
        "system": platform.system(),
        "python": platform.python_version(),
    }
