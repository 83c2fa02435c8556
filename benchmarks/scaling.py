"""How the cost of training grows: ``python -m benchmarks.scaling`` (NumPy network, full recipe).

Time an image against batch size, hidden width, training-set size and the number of runs at once;
then what the notebooks cost (``notebooks.py``). Settings take turns, medians are reported.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import notebooks, scaling_report
from benchmarks.contestants import FULL, Scratch
from benchmarks.workers import Worker, machine, save_split
from mnist_mlp.data import Split, load
from mnist_mlp.files import replace_section
from mnist_mlp.recipe import Recipe, minibatches
from mnist_mlp.scratch import Trainer

FOLDER = Path(__file__).parent
BATCH_SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
WIDTHS = (64, 128, 256, 512, 1024, 2048)
TRAINING_SIZES = (1000, 3000, 10_000, 30_000, 60_000)
RUNS = (1, 2, 3, 4)

Series = dict[str, float]
"""Microseconds an image by setting; text, because JSON has no other keys."""


def per_image(recipe: Recipe, split: Split, images: int) -> Callable[[], float]:
    """Return a function that trains on about so many images and returns seconds an image."""
    trainer = Trainer(recipe, seed=0)
    rng = np.random.default_rng(0)
    n = len(split.labels)

    def run() -> float:
        done, started = 0, time.perf_counter()
        while done < images:  # a small training set is gone through several times
            steps = max(1, (images - done) // recipe.batch_size)
            for batch in islice(minibatches(rng, n, recipe.batch_size), steps):
                trainer.step(split.images[batch], split.labels[batch], recipe.lr)
                done += len(batch)
        return (time.perf_counter() - started) / done

    return run


def medians(settings: Mapping[int, Callable[[], float]], rounds: int) -> Series:
    """Time all settings in turn, after one untimed call each; microseconds an image."""
    for run in settings.values():
        run()
    seconds: dict[int, list[float]] = {setting: [] for setting in settings}
    for _ in range(rounds):
        for setting, run in settings.items():
            seconds[setting].append(run())
    return {str(s): 1e6 * statistics.median(values) for s, values in seconds.items()}


def part(split: Split, n: int) -> Split:
    """Return the first n images."""
    return Split(split.images[:n], split.labels[:n])


def by_batch_size(split: Split, sizes: Sequence[int], images: int, rounds: int) -> Series:
    """Time an image for each batch size; at least two steps are timed."""
    runs = {
        size: per_image(replace(FULL, batch_size=size), split, max(images, 2 * size))
        for size in sizes
    }
    return medians(runs, rounds)


def by_width(split: Split, widths: Sequence[int], images: int, rounds: int) -> Series:
    """Time an image for each width of the first hidden layer; the second is half as wide."""
    runs = {w: per_image(replace(FULL, hidden=(w, w // 2)), split, images) for w in widths}
    return medians(runs, rounds)


def by_training_size(split: Split, sizes: Sequence[int], images: int, rounds: int) -> Series:
    """Time an image of whole epochs for each size of the training set."""
    runs = {n: per_image(FULL, part(split, n), max(n, images)) for n in sizes}
    return medians(runs, rounds)


def by_runs(split: Split, counts: Sequence[int], images: int, rounds: int) -> dict[str, Series]:
    """Time an image, all runs' together, of runs in threads (notebook) and processes (study)."""
    split = part(split, images)

    def timed(epochs: Sequence[Callable[[], object]]) -> Callable[[], float]:
        def run() -> float:
            started = time.perf_counter()
            with ThreadPoolExecutor(len(epochs)) as pool:
                for future in [pool.submit(epoch) for epoch in epochs]:
                    future.result()
            return (time.perf_counter() - started) / (len(epochs) * len(split.labels))

        return run

    with ExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory()), "train.npz")
        save_split(split, data, FULL.batch_size)
        workers = [
            stack.enter_context(Worker("dropout_scratch_relu", data, pin=False))
            for _ in range(max(counts))
        ]
        asks = [lambda worker=worker: worker.ask("epoch") for worker in workers]
        for worker in workers:  # all have started before anything is timed
            worker.ask("epoch")
        epochs = [Scratch(split, FULL, seed).epoch for seed in range(max(counts))]
        return {
            "threads": medians({n: timed(epochs[:n]) for n in counts}, rounds),
            "processes": medians({n: timed(asks[:n]) for n in counts}, rounds),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timings of a setting (default: 5)")
    parser.add_argument("--images", type=int, default=6000, help="images a timing")
    parser.add_argument("--dataset", default="mnist", help="mnist, or sklearn-digits for a trial")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder for results")
    parser.add_argument("--no-notebooks", action="store_true", help="leave the notebooks out")
    options = parser.parse_args(arguments)

    dataset = load(options.dataset, seed=0)
    both = (dataset.train, dataset.validation)  # 60,000 images
    split = Split(
        np.concatenate([s.images for s in both]), np.concatenate([s.labels for s in both])
    )
    n, (images, rounds) = len(split.labels), (options.images, options.rounds)
    found: dict[str, Any] = {"machine": machine(), "dataset": options.dataset}
    found["batch_size"] = by_batch_size(split, [s for s in BATCH_SIZES if s <= n], images, rounds)
    found["width"] = by_width(split, WIDTHS, images, rounds)
    sizes = [s for s in TRAINING_SIZES if s <= n]
    found["training_size"] = by_training_size(split, sizes, images, rounds)
    found["runs"] = by_runs(split, RUNS, images, rounds)
    found["side_by_side"] = notebooks.side_by_side(dataset, epochs=3)
    found["under_load"] = notebooks.policies_under_load(dataset.train, steps=100)
    if not options.no_notebooks:
        found["notebooks"] = notebooks.costs(options.dataset)

    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, ensure_ascii=False, indent=1)
    (options.output / "scaling.json").write_text(text + "\n", encoding="utf-8")
    figure = scaling_report.figure(found)
    figure.savefig(options.output / "scaling.png", dpi=150, metadata={"Software": None})
    if options.output == FOLDER and not options.no_notebooks:
        replace_section(FOLDER.parent / "README.md", "scaling", scaling_report.section(found))
    print(scaling_report.section(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
