"""What a notebook cell needs: show source, figures and text, train, publish results."""

import base64
import inspect
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from matplotlib.figure import Figure

from mnist_mlp import weights
from mnist_mlp.data import Dataset
from mnist_mlp.evaluation import Result
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History, Run

Case = TypeVar("Case")
Outcome = TypeVar("Outcome")

OUTPUT_VARIABLE = "MNIST_MLP_OUTPUT"
"""Environment variable: where figures and results go instead of the repository's ``figures/``."""


def show_source(*objects: Any, fold: str = "") -> None:
    """Show the real source of classes or functions; ``fold`` puts it behind this summary."""
    sources = [f"```python\n{inspect.getsource(item).rstrip()}\n```" for item in objects]
    say(*([folded(fold, *sources)] if fold else sources))


def folded(summary: str, *paragraphs: str) -> str:
    """Return Markdown that a reader opens by a click on its summary, in any viewer."""
    body = "\n\n".join(paragraphs)
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def say(*paragraphs: str) -> None:
    """Show computed text as Markdown, one paragraph an argument."""
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    put({"text/markdown": text, "text/plain": text})


def put(bundle: dict[str, Any], **metadata: Any) -> None:
    """Display an output in several forms; outside a notebook, in a script, print the plain one."""
    if InteractiveShell.initialized():
        display(bundle, raw=True, metadata=metadata)
    else:
        print(bundle["text/plain"])


def show(figure: Figure, name: str, caption: str) -> None:
    """Show a figure, sharp on any screen, with its Korean caption, and save it as ``name``.png.

    Rendered at twice its size on the page; the metadata keeps the size and, as the picture's
    alternative text, the caption, which also stands under the figure: exporters drop metadata.
    """
    png = io.BytesIO()
    figure.savefig(png, dpi=200, metadata={"Software": None})
    save(f"{name}.png", png.getvalue())
    about = {"alt": caption, "width": round(figure.get_figwidth() * 100)}
    encoded = base64.b64encode(png.getvalue()).decode()
    put({"image/png": encoded, "text/plain": f"{name}.png"}, **{"image/png": about})
    under = f"**그림.** {caption}"
    put({"text/markdown": under, "text/plain": under}, caption=True)


def save(name: str, content: bytes) -> None:
    """Write a file to the output folder, whole or not at all; if it can't be, say so and go on."""
    chosen = os.environ.get(OUTPUT_VARIABLE)
    folder = Path(os.path.expanduser(chosen) if chosen else Path(__file__).parents[2] / "figures")
    temporary = folder / f".{name}.{os.getpid()}.tmp"  # its own: two runs may save at once
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(folder / name)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()  # half a file would only fill the disk further
        path = folder / name
        print(f"알림: {path} 파일을 저장하지 못했습니다({error.strerror}). 보고서는 계속됩니다.")


def epoch_line(name: str, history: History) -> str:
    """Write losses (train/validation) and accuracies (train/validation) of the latest epoch."""
    return (
        f"{name} {history.train_loss[-1]:.4f}/{history.validation_loss[-1]:.4f} "
        f"{history.train_accuracy[-1]:.2%}/{history.validation_accuracy[-1]:.2%}"
    )


class Stopped(KeyboardInterrupt):
    """The reader's interrupt, which a notebook shows as one sentence instead of a traceback."""

    def __init__(self) -> None:
        super().__init__("알림: 중단했습니다. 이 셀을 다시 실행하면 처음부터 다시 계산합니다.")

    def _render_traceback_(self) -> list[str]:  # what IPython asks an exception for
        return [str(self)]


def side_by_side(
    work: Callable[[Case, Callable[[], None]], Outcome], cases: Iterable[Case]
) -> list[Outcome]:
    """Return ``work(case, on_step)`` of every case, in order; two are at work at once.

    Threads, as NumPy and PyTorch release Python's lock inside their kernels. ``work`` has to call
    ``on_step`` again and again: that is where an error in another case ends it, or the reader's
    interrupt, which is raised as :class:`Stopped`.
    """
    over = Event()

    def on_step() -> None:
        if over.is_set():
            raise Stopped

    with ThreadPoolExecutor(2) as pool:
        try:
            futures = [pool.submit(work, case, on_step) for case in cases]
            wait(futures, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            raise Stopped from None
        finally:
            over.set()
            pool.shutdown(cancel_futures=True)
    errors = [e for future in futures if not future.cancelled() and (e := future.exception())]
    if errors:  # the cause; the others were only told to stop
        raise min(errors, key=lambda error: isinstance(error, Stopped))
    return [future.result() for future in futures]


def train_side_by_side(
    fit: Callable[..., Run], dataset: Dataset, recipes: Mapping[str, Recipe], seed: int
) -> dict[str, Run]:
    """Train two recipes of equally many epochs at once and return the runs by name.

    A line is printed when both have finished an epoch, so that the output does not depend on which
    is faster. An error in one, ``DivergedError`` for one, or the reader's interrupt ends both
    within an epoch and is raised.
    """
    lines: dict[str, list[str]] = {name: [] for name in recipes}
    one_at_a_time = Lock()

    def train(name: str, on_step: Callable[[], None]) -> Run:
        def on_epoch(epoch: int, history: History) -> None:
            on_step()
            with one_at_a_time:
                lines[name].append(epoch_line(name, history))
                if all(len(known) > epoch for known in lines.values()):
                    both = " | ".join(known[epoch] for known in lines.values())
                    print(f"에폭 {epoch:2d} | {both}", flush=True)

        return fit(dataset, recipes[name], seed, on_epoch)

    return dict(zip(recipes, side_by_side(train, recipes), strict=True))


def publish(implementation: str, dataset: Dataset, relu: Result, lrelu: Result, name: str) -> None:
    """Show both results as an ``application/json`` output and write them to ``name``.json.

    ``recipe`` is that of LReLU: ReLU's differs in alpha = 0 alone. The networks themselves go to
    ``weights_scratch.npz`` beside ``results_scratch.json``: see ``scratch.load``.
    """
    content = {
        "framework": implementation,
        "dataset": dataset.name,
        "n_train": len(dataset.train.labels),
        "n_validation": len(dataset.validation.labels),
        "n_test": len(dataset.test.labels),
        "recipe": asdict(lrelu.run.recipe),
        "seed": lrelu.run.seed,
        "runs": {"ReLU": plain(relu), "LReLU": plain(lrelu)},
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
    save(f"{name}.json", text.encode() + b"\n")
    runs = {"ReLU": relu.run, "LReLU": lrelu.run}
    networks = weights.to_bytes(implementation, dataset.name, runs)
    save(f"{name.replace('results', 'weights')}.npz", networks)
    put({"application/json": content, "text/plain": f"{name}: ReLU, LReLU"})


def plain(result: Result) -> dict[str, Any]:
    """Return a result as plain data, ready for JSON."""
    history = asdict(result.run.history)
    return {
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
                {name: getattr(image, name) for name in ("index", "probability", "log_probability")}
                for image in best
            ]
            for digit, best in enumerate(result.top3)
        },
    }
