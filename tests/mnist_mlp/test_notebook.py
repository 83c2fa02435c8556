"""What notebook cells rely on: training side by side, files, published results."""

import base64
import errno
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from made_up import dataset, result
from matplotlib.figure import Figure

from mnist_mlp import notebook, scratch
from mnist_mlp.notebook import OUTPUT_VARIABLE, Stopped, save, train_side_by_side
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import DivergedError, Evaluation, History, OnEpoch, Run

RECIPES = {"ReLU": Recipe(epochs=4), "LReLU": Recipe(alpha=0.1, epochs=4)}
WAIT = 10  # seconds; only a test that fails waits so long


def train(before: Callable[[Recipe, int], None]) -> dict[str, Run]:
    """Train side by side what learns nothing; ``before`` is called before each epoch's report."""

    def fit(dataset: Any, recipe: Recipe, seed: int, on_epoch: OnEpoch) -> Run:
        history = History()
        for epoch in range(recipe.epochs + 1):
            before(recipe, epoch)
            history.append(*[Evaluation(epoch + recipe.alpha, 1.0, [])] * 2)
            on_epoch(epoch, history)
        return Run(recipe, seed, history, None, None)  # type: ignore[arg-type]

    return train_side_by_side(fit, None, RECIPES, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("slow", [0.0, 0.1])
def test_the_cell_prints_one_line_an_epoch_whichever_is_faster(
    slow: float, capsys: pytest.CaptureFixture[str]
) -> None:
    ahead = threading.Event()

    def wait(recipe: Recipe, epoch: int) -> None:
        if epoch == 2 and recipe.alpha != slow:
            ahead.set()
        elif epoch == 2:
            assert ahead.wait(WAIT)  # the other one has finished epoch 1 long ago

    runs = train(wait)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:5] for line in lines] == [f"에폭  {epoch}" for epoch in range(5)]
    both = "ReLU 2.0000/2.0000 100.00%/100.00% | LReLU 2.1000/2.1000 100.00%/100.00%"
    assert lines[2] == f"에폭  2 | {both}"
    assert len(lines[2]) + 2 <= 88  # Hangul takes two columns
    assert {name: run.recipe for name, run in runs.items()} == RECIPES


@pytest.mark.parametrize("failing", [0.0, 0.1])
def test_an_error_in_one_training_reaches_the_reader_and_ends_the_other(failing: float) -> None:
    reached = []

    def fail(recipe: Recipe, epoch: int) -> None:
        if recipe.alpha == failing:
            raise DivergedError(History())
        reached.append(epoch)
        time.sleep(0.1)

    with pytest.raises(DivergedError):
        train(fail)
    assert 4 not in reached  # the other one did not go on to its end


LONG_CELL = """\
import time
from mnist_mlp.notebook import train_side_by_side
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History
def fit(dataset, recipe, seed, on_epoch):
    for epoch in range(1000):
        on_epoch(epoch, History([1], [1], [1], [1]))
        time.sleep(0.01)
train_side_by_side(fit, None, {"ReLU": Recipe(), "LReLU": Recipe(alpha=0.1)}, 0)"""


def test_the_stop_button_ends_all_trainings_at_once_with_one_korean_sentence() -> None:
    manager, client = start_new_kernel(extra_arguments=["--log-level=ERROR"])
    interrupted: list[float] = []
    tracebacks: list[list[str]] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and "에폭 10 " in message["content"]["text"]:
            manager.interrupt_kernel()
            interrupted.append(time.monotonic())
        elif message["msg_type"] == "error":
            tracebacks.append(message["content"]["traceback"])

    try:
        client.execute_interactive(LONG_CELL, timeout=WAIT, output_hook=hear)
        assert time.monotonic() - interrupted[0] < 1  # second
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert tracebacks == [[str(Stopped())]]
    assert re.fullmatch("알림: 중단했습니다.*[가-힣]다[.]", tracebacks[0][0])


# ---- what a reader sees


def test_a_figure_has_its_caption_as_alternative_text_and_under_it_for_every_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[tuple[Any, Any]] = []
    monkeypatch.setattr(notebook, "put", lambda bundle, **about: shown.append((bundle, about)))
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path))
    notebook.show(Figure(figsize=(3, 2)), "empty", "빈 그림이다.")
    (picture, about), (caption, mark) = shown
    assert base64.b64decode(picture["image/png"]) == (tmp_path / "empty.png").read_bytes()
    assert about == {"image/png": {"alt": "빈 그림이다.", "width": 300}}
    assert (caption["text/markdown"], mark) == ("**그림.** 빈 그림이다.", {"caption": True})
    monkeypatch.undo()
    notebook.say("첫 문단", "", "둘째 문단")  # outside a notebook
    assert capsys.readouterr().out == "첫 문단\n\n둘째 문단\n"


# ---- files


def test_a_file_is_written_whole_or_not_at_all_and_the_reader_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(OUTPUT_VARIABLE, "~/new/folder")
    save("figure.png", b"old")

    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    save("figure.png", b"new")
    figure = tmp_path / "new" / "folder" / "figure.png"
    assert figure.read_bytes() == b"old"
    assert list(figure.parent.iterdir()) == [figure]  # nothing half-written stays
    said = capsys.readouterr().out
    assert said.startswith(f"알림: {figure} 파일을 저장하지 못했습니다(No space left")
    monkeypatch.setenv(OUTPUT_VARIABLE, str(figure))  # no folder
    save("other.png", b"content")
    assert f"{figure / 'other.png'} 파일을 저장하지 못했습니다(" in capsys.readouterr().out


def test_published_results_are_those_of_the_contract_and_the_networks_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(notebook, "put", shown.append)
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path))
    relu, lrelu = result({}), result({0: 6}, alpha=0.1)
    for made in (relu, lrelu):
        made.run.parameters |= scratch.Trainer(made.run.recipe, 5).parameters
    notebook.publish("numpy", dataset(), relu, lrelu, "results_scratch")
    content = json.loads((tmp_path / "results_scratch.json").read_text())
    assert content == json.loads(json.dumps(shown[0]["application/json"]))
    runs = content.pop("runs")
    recipe = asdict(relu.run.recipe) | {"alpha": 0.1, "hidden": [512, 256]}
    counts = {"n_train": 200, "n_validation": 200, "n_test": 200}
    assert (
        content == {"framework": "numpy", "dataset": "mnist", "seed": 0, "recipe": recipe} | counts
    )
    assert list(runs) == ["ReLU", "LReLU"]
    best = lrelu.top3[9][0]
    found = {"index": best.index, "probability": best.probability}
    assert runs["LReLU"]["top3"]["9"][0] == found | {"log_probability": best.log_probability}
    del runs["LReLU"]["top3"]
    assert runs["LReLU"] == {
        **{"train_accuracy": 0.99, "validation_accuracy": 0.965, "test_accuracy": 0.995},
        **{"train_loss": 0.05, "validation_loss": 0.12, "test_loss": lrelu.test_loss},
        "history": asdict(lrelu.run.history),
        "confusion_matrix": lrelu.confusion.tolist(),
    }
    for name, made in {"ReLU": relu, "LReLU": lrelu}.items():
        model = scratch.load(tmp_path / "weights_scratch.npz", name)
        np.testing.assert_array_equal(model.affine[1].W, made.run.parameters["W2"])
    assert len(list(tmp_path.iterdir())) == 2  # nothing temporary stays
