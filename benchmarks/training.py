"""Time one epoch of the same training for every contestant: ``python -m benchmarks.training``.

Contestants take turns (A B C A B C ...), so that a machine that slows down slows all of them. One
epoch each is the warm-up: JAX compiles in it, and the loss after it must be everybody's.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import report
from benchmarks.contestants import PLAIN
from benchmarks.registry import registry
from benchmarks.workers import Worker, machine, save_split
from mnist_mlp.data import load
from mnist_mlp.files import replace_section

FOLDER = Path(__file__).parent
LOSS_TOLERANCE = 0.03
"""Largest relative difference to the loss of ``scratch_relu`` after an epoch. LReLU(0.1) is another
function, but its loss is as near as this."""
DROPOUT_TOLERANCE = 0.04
"""The same for the full recipe, where everybody draws different masks."""


class UnequalWorkError(RuntimeError):
    """A contestant reached another loss: the times can't be compared."""


def measure(threads: int, names: Sequence[str], rounds: int, data: Path) -> dict[str, Any]:
    """Return ``{name: {"seconds": [one for each round], "loss": float | None}}``."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, data, threads)) for name in names]
        for worker in workers:
            worker.ask("epoch")
        found = {w.name: {"loss": w.ask("loss"), "seconds": []} for w in workers}
        for number in range(1, rounds + 1):
            for worker in workers:
                found[worker.name]["seconds"].append(worker.ask("epoch"))
            took = ", ".join(f"{w.name} {found[w.name]['seconds'][-1]:.2f}" for w in workers)
            print(f"threads {threads}, round {number} of {rounds}: {took}", file=sys.stderr)
    return found


def check_losses(found: dict[str, Any]) -> None:
    """Compare the losses after one epoch with our own network's.

    Raises
    ------
    UnequalWorkError
        If one differs by more than the noise.
    """
    for prefix, tolerance in (("", LOSS_TOLERANCE), ("dropout_", DROPOUT_TOLERANCE)):
        reference = found.get(f"{prefix}scratch_relu", {}).get("loss")
        for name, entry in found.items():
            same_work = name.startswith("dropout_") == bool(prefix) and entry["loss"] is not None
            if reference and same_work and abs(entry["loss"] / reference - 1) > tolerance:
                raise UnequalWorkError(
                    f"{name} reaches a loss of {entry['loss']:.4f} after one epoch, "
                    f"{prefix}scratch_relu {reference:.4f}: they do not do the same work"
                )


def medians(details: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the content of ``results.json``: median seconds an epoch by thread count and name."""
    return {
        threads: {
            name: statistics.median(entry["seconds"])
            for name, entry in found.items()
            if not name.startswith("dropout_")
        }
        for threads, found in details["threads"].items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="epochs timed (default: 5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contestants alone")
    parser.add_argument("--dataset", default="mnist", help="mnist, or sklearn-digits for a trial")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder for results")
    options = parser.parse_args(arguments)

    installed = list(registry())
    details: dict[str, Any] = {
        "machine": machine(),
        "dataset": options.dataset,
        "rounds": options.rounds,
        "not_installed": report.not_installed(installed),
        "threads": {},
    }
    for name in details["not_installed"]:
        print(f"{name} is left out: its library is not installed", file=sys.stderr)
    names = [name for name in installed if not options.only or name in options.only]
    try:
        with TemporaryDirectory() as folder:
            data = Path(folder, "train.npz")
            dataset = load(options.dataset, seed=0)
            if dataset.name != options.dataset:
                raise RuntimeError(f"{options.dataset} was not found: set MNIST_DIR")
            details["n_train"] = save_split(dataset.train, data, PLAIN.batch_size)
            for threads in options.threads:
                found = measure(threads, names, options.rounds, data)
                check_losses(found)
                details["threads"][str(threads)] = found
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report.write(details, medians(details), options.output)
    if options.output == FOLDER and not options.only:
        section = report.section(details, medians(details))
        replace_section(FOLDER.parent / "README.md", "speed", section)
    print(report.table(details), *report.sentences(medians(details)), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
