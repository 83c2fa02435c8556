"""What notebook cells rely on: training side by side, files, published results."""

import base64
import errno
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from made_up import dataset, result
from matplotlib.figure import Figure

from mnist_mlp import notebook, scratch
from mnist_mlp.evaluation import Result
from mnist_mlp.notebook import (
    OUTPUT_VARIABLE,
    Stopped,
    publish,
    save,
    side_by_side,
    train_side_by_side,
)
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import DivergedError, History, OnEpoch, Run

RECIPES = {"ReLU": Recipe(epochs=4), "LReLU": Recipe(alpha=0.1, epochs=4)}
WAIT = 10  # seconds; only a test that fails waits so long
Before = Callable[[Recipe, int], None]


def train(before: Before = lambda recipe, epoch: None) -> dict[str, Run]:
    """Train side by side what learns nothing; ``before`` is called before each epoch's report."""

    def fit(dataset: Any, recipe: Recipe, seed: int, on_epoch: OnEpoch) -> Run:
        history = History()
        for epoch in range(recipe.epochs + 1):
            before(recipe, epoch)
            value = epoch + recipe.alpha
            history.train_loss.append(value)
            history.validation_loss.append(value)
            history.train_accuracy.append(1.0)
            history.validation_accuracy.append(1.0)
            on_epoch(epoch, history)
        return Run(recipe, seed, history, None, None)  # type: ignore[arg-type]

    return train_side_by_side(fit, None, RECIPES, 3)  # type: ignore[arg-type]


def epochs(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines()]


def test_the_cell_prints_one_line_an_epoch_and_can_be_run_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(2):
        runs = train()
        text = capsys.readouterr().out
        assert epochs(text) == [0, 1, 2, 3, 4]
        assert "ReLU 2.0000/2.0000 100.00%/100.00%" in text
        assert "LReLU 2.1000/2.1000 100.00%/100.00%" in text
        assert {name: (run.recipe, run.seed) for name, run in runs.items()} == {
            name: (recipe, 3) for name, recipe in RECIPES.items()
        }
        columns = [sum(1 + (east_asian_width(c) == "W") for c in s) for s in text.splitlines()]
        assert max(columns) <= 88  # Hangul takes two


def test_the_output_does_not_depend_on_which_is_faster(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for slow in (0.0, 0.1):
        first = threading.Event()

        def wait(recipe: Recipe, epoch: int, slow: float = slow, first: Any = first) -> None:
            if recipe.alpha == slow and epoch == 2:
                assert first.wait(WAIT)  # the other one has finished epoch 1 long ago
            elif recipe.alpha != slow and epoch == 2:
                first.set()

        train(wait)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("failing", [0.0, 0.1])
def test_an_error_in_one_training_reaches_the_reader_and_ends_the_other(
    failing: float, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = []

    def fail(recipe: Recipe, epoch: int) -> None:
        if recipe.alpha == failing and epoch == 2:
            raise DivergedError(History())
        if recipe.alpha != failing:
            reached.append(epoch)

    with pytest.raises(DivergedError):
        train(fail)
    assert epochs(capsys.readouterr().out) == [0, 1]
    assert max(reached) <= 2  # it was at work on the same epoch
    assert set(train()) == set(RECIPES)


def test_an_interrupt_by_the_reader_ends_all_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, Jupyter's stop button: ``KeyboardInterrupt`` in the main thread, which waits."""
    at_work, go_on, reached = threading.Barrier(3), threading.Event(), []

    def hold(recipe: Recipe, epoch: int) -> None:
        reached.append(epoch)
        if epoch == 1:
            at_work.wait(WAIT)
            assert go_on.wait(WAIT)

    def interrupted(*_: Any, **__: Any) -> None:
        at_work.wait(WAIT)
        threading.Timer(0.1, go_on.set).start()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(notebook, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(hold)
    assert max(reached) == 1
    assert set(train()) == set(RECIPES)


def test_cases_side_by_side_keep_their_order_and_an_error_ends_the_others() -> None:
    assert side_by_side(lambda case, on_step: case * 2, range(5)) == [0, 2, 4, 6, 8]
    steps: list[int] = []

    def fail(case: int, on_step: Callable[[], None]) -> None:
        if case == 1:
            raise ZeroDivisionError
        while True:
            on_step()
            steps.append(case)

    with pytest.raises(ZeroDivisionError):
        side_by_side(fail, range(3))
    assert set(steps) <= {0}  # the third never began


LONG_CELL = """\
import time
from mnist_mlp.notebook import side_by_side
def work(case, on_step):
    if case == 1:
        print("at work", flush=True)
    while True:
        on_step()
        time.sleep(0.01)
side_by_side(work, range(4))"""


def test_the_stop_button_ends_a_comparison_at_once_with_one_korean_sentence() -> None:
    manager, client = start_new_kernel(extra_arguments=["--log-level=ERROR"])
    try:
        messages: list[dict[str, Any]] = []

        def hear(message: dict[str, Any]) -> None:
            messages.append(message)
            if message["msg_type"] == "stream":
                manager.interrupt_kernel()
                messages.append({"msg_type": "interrupt", "time": time.monotonic()})

        client.execute_interactive(LONG_CELL, timeout=WAIT, output_hook=hear)
        ended = time.monotonic()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    (interrupt,) = [m for m in messages if m["msg_type"] == "interrupt"]
    (error,) = [m["content"] for m in messages if m["msg_type"] == "error"]
    assert error["traceback"] == [str(Stopped())]
    assert re.fullmatch("알림: 중단했습니다.*[가-힣]다[.]", error["traceback"][0])
    assert ended - interrupt["time"] < 1  # second


# ---- what a reader sees


def test_a_figure_has_its_caption_as_alternative_text_and_under_it_for_every_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[Any, Any]] = []
    monkeypatch.setattr(notebook, "put", lambda bundle, **about: shown.append((bundle, about)))
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path))
    notebook.show(Figure(figsize=(3, 2)), "empty", "빈 그림이다.")
    (picture, about), (caption, mark) = shown
    assert base64.b64decode(picture["image/png"]) == (tmp_path / "empty.png").read_bytes()
    assert about == {"image/png": {"alt": "빈 그림이다.", "width": 300}}
    assert (caption["text/markdown"], mark) == ("**그림.** 빈 그림이다.", {"caption": True})


def test_outside_a_notebook_the_text_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path))
    notebook.say("첫 문단", "", "둘째 문단")
    notebook.show(Figure(), "empty", "빈 그림이다.")
    said = capsys.readouterr().out
    assert said == "첫 문단\n\n둘째 문단\nempty.png\n**그림.** 빈 그림이다.\n"


# ---- files


def test_a_file_is_written_whole_or_not_at_all_and_the_reader_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(OUTPUT_VARIABLE, "~/new/folder")
    save("figure.png", b"old")
    assert (tmp_path / "new" / "folder" / "figure.png").read_bytes() == b"old"

    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    save("figure.png", b"new")
    figure = tmp_path / "new" / "folder" / "figure.png"
    assert figure.read_bytes() == b"old"
    assert list(figure.parent.iterdir()) == [figure]  # nothing half-written stays
    monkeypatch.setenv(OUTPUT_VARIABLE, str(figure))
    save("other.png", b"content")
    notices = capsys.readouterr().out.splitlines()
    assert notices[0].startswith(f"알림: {figure} 파일을 저장하지 못했습니다(No space left")
    assert notices[1].startswith(f"알림: {figure / 'other.png'} 파일을 저장하지 못했습니다(")


def with_weights(made: Result) -> Result:
    """Return a made-up result whose run has the weights of an untrained network."""
    parameters = scratch.Trainer(made.run.recipe, 5).parameters
    return replace(made, run=replace(made.run, parameters=parameters))


def test_published_networks_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "display", lambda data, raw: None)
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path))
    relu, lrelu = with_weights(result({})), with_weights(result({}, alpha=0.1))
    publish("torch", dataset(), relu, lrelu, "results_framework")
    for name, made in {"ReLU": relu, "LReLU": lrelu}.items():
        model = scratch.load(tmp_path / "weights_framework.npz", name)
        np.testing.assert_array_equal(model.affine[1].W, made.run.parameters["W2"])
    assert {path.name for path in tmp_path.iterdir()} == {
        *("results_framework.json", "weights_framework.npz")
    }


def test_published_results_are_those_of_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(notebook, "put", shown.append)
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path))
    relu, lrelu = with_weights(result({})), with_weights(result({0: 6}, alpha=0.1))
    publish("numpy", dataset(), relu, lrelu, "results_scratch")
    content = shown[0]["application/json"]
    assert json.loads((tmp_path / "results_scratch.json").read_text()) == json.loads(
        json.dumps(content)
    )
    runs = content.pop("runs")
    assert content == {
        "framework": "numpy",
        "dataset": "mnist",
        "n_train": 200,
        "n_validation": 200,
        "n_test": 200,
        "recipe": asdict(replace(relu.run.recipe, alpha=0.1)),
        "seed": 0,
    }
    assert list(runs) == ["ReLU", "LReLU"]
    names = ("index", "probability", "log_probability")
    assert runs["LReLU"] == {
        "train_accuracy": 0.99,
        "validation_accuracy": 0.965,
        "test_accuracy": 0.995,
        "train_loss": 0.05,
        "validation_loss": 0.12,
        "test_loss": lrelu.test_loss,
        "history": asdict(lrelu.run.history),
        "confusion_matrix": lrelu.confusion.tolist(),
        "top3": {
            str(digit): [{name: getattr(image, name) for name in names} for image in best]
            for digit, best in enumerate(lrelu.top3)
        },
    }
