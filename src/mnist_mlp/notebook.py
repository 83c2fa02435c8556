"""What a notebook cell needs: show source, figures and text, train, publish results."""

import base64
import inspect
import io
import json
import os
import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from IPython.display import Markdown, display
from matplotlib.figure import Figure

from mnist_mlp.data import Dataset
from mnist_mlp.evaluation import Result
from mnist_mlp.recipe import History, Recipe, Run

STOPPED = "the training was stopped: run the cell that starts it again"
OUTPUT_VARIABLE = "MNIST_MLP_OUTPUT"
"""Environment variable: where figures and results go instead of the repository's ``figures/``."""


def show_source(*objects: Any) -> None:
    """Show the real source of classes or functions as highlighted text."""
    for item in objects:
        display(Markdown(f"```python\n{inspect.getsource(item).rstrip()}\n```"))


def say(*paragraphs: str) -> None:
    """Show computed text as Markdown, one paragraph an argument."""
    display(Markdown("\n\n".join(paragraphs)))


def show(figure: Figure, name: str, alt: str) -> None:
    """Show a figure, sharp on any screen, with a Korean alternative text, and save it as PNG.

    Rendered at twice its size on the page; the metadata keeps the size and the text.
    """
    png = io.BytesIO()
    figure.savefig(png, dpi=200, metadata={"Software": None})
    save(f"{name}.png", png.getvalue())
    width = round(figure.get_figwidth() * 100)
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"alt": alt, "width": width}})


def save(name: str, content: bytes) -> None:
    """Write a file to the output folder; say so, and go on, where that is not allowed."""
    folder = Path(os.environ.get(OUTPUT_VARIABLE) or Path(__file__).parents[2] / "figures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    except OSError as error:
        print(f"알림: {name} 파일을 저장하지 못했습니다({error.strerror}). 보고서는 계속됩니다.")


class SideBySide:
    """Several recipes trained at once in the background, one thread each.

    NumPy and PyTorch release Python's lock inside their kernels, so threads are enough to use as
    many cores as there are recipes. A line is printed when all have finished the epoch: the output
    does not depend on which is faster. Several cells can follow one training, so that none takes
    long.
    """

    _latest: ClassVar["SideBySide | None"] = None

    def __init__(
        self, fit: Callable[..., Run], dataset: Dataset, recipes: Mapping[str, Recipe], seed: int
    ) -> None:
        if SideBySide._latest:
            SideBySide._latest.stop()  # the cell is run again: do not compete with its first run
        SideBySide._latest = self
        self._stopped = False
        self._printed = 0
        self._epochs = min(recipe.epochs for recipe in recipes.values())
        self._reports: dict[str, queue.Queue[History | None]] = {n: queue.Queue() for n in recipes}
        pool = ThreadPoolExecutor(len(recipes))
        self._futures = {
            name: pool.submit(fit, dataset, recipe, seed, partial(self._report, name))
            for name, recipe in recipes.items()
        }
        pool.shutdown(wait=False)
        for name, future in self._futures.items():
            future.add_done_callback(partial(self._ended, name))

    def _report(self, name: str, _: int, history: History) -> None:
        """Take what a training has reached; end it if it has been stopped."""
        if self._stopped:
            raise InterruptedError(STOPPED)
        self._reports[name].put(history)

    def _ended(self, name: str, _: Future[Run]) -> None:
        """Mark the end, also that by an error, so that nobody waits for another epoch."""
        self._reports[name].put(None)

    def stop(self) -> None:
        """End the trainings after the epoch that they are in."""
        self._stopped = True

    def follow(self, last: int) -> None:
        """Print one line an epoch up to epoch ``last``, from where the previous call ended.

        Raises
        ------
        InterruptedError
            If the training was stopped.
        Exception
            Whatever a training raised, ``DivergedError`` for one.
        """
        try:
            while self._printed <= min(last, self._epochs):
                epoch = self._printed
                parts = [f"{name}: {self._line(name, epoch)}" for name in self._reports]
                print(f"에폭 {epoch:2d} | " + " | ".join(parts), flush=True)
                self._printed += 1
        except BaseException:
            self.stop()  # of all: an error in one, or the reader's interrupt
            raise

    def _line(self, name: str, epoch: int) -> str:
        """Wait until a training has finished an epoch and say how it went."""
        history = self._reports[name].get()
        if history is None:
            self._reports[name].put(None)  # for a cell that is run again
            raise self._futures[name].exception() or InterruptedError(STOPPED)
        return (
            f"손실 {history.train_loss[epoch]:.4f} / {history.validation_loss[epoch]:.4f}, "
            f"정확도 {history.train_accuracy[epoch]:.2%} / "
            f"{history.validation_accuracy[epoch]:.2%}"
        )

    def finish(self) -> dict[str, Run]:
        """Follow the trainings to their end and return the finished runs."""
        self.follow(self._epochs)
        return {name: future.result() for name, future in self._futures.items()}


def results(framework: str, dataset: Dataset, pair: Mapping[str, Result]) -> dict[str, Any]:
    """Return the results of both activations as plain data, ready for JSON.

    ``recipe`` is that of LReLU: ReLU's differs in alpha = 0 alone.
    """
    runs = {}
    for name, result in pair.items():
        history = asdict(result.run.history)
        runs[name] = {
            "train_accuracy": history["train_accuracy"][-1],
            "validation_accuracy": history["validation_accuracy"][-1],
            "test_accuracy": result.test_accuracy,
            "train_loss": history["train_loss"][-1],
            "validation_loss": history["validation_loss"][-1],
            "test_loss": result.test_loss,
            "history": history,
            "confusion_matrix": result.confusion.tolist(),
            "top3": {
                str(digit): [
                    {
                        "index": scored.index,
                        "probability": scored.probability,
                        "log_probability": scored.log_probability,
                    }
                    for scored in best
                ]
                for digit, best in enumerate(result.top3)
            },
        }
    last = list(pair.values())[-1].run
    return {
        "framework": framework,
        "dataset": dataset.name,
        "n_train": len(dataset.train.labels),
        "n_validation": len(dataset.validation.labels),
        "n_test": len(dataset.test.labels),
        "recipe": asdict(last.recipe),
        "seed": last.seed,
        "runs": runs,
    }


def publish(content: dict[str, Any], name: str) -> None:
    """Show the results as an ``application/json`` output and write them to ``name``.json."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
    save(f"{name}.json", text.encode() + b"\n")
    summary = f"{name}: {', '.join(content['runs'])}"
    display({"application/json": content, "text/plain": summary}, raw=True)
