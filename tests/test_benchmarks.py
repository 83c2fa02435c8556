"""The benchmark on a few steps: everybody does the same work, and the results have their format."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is not part of the package

from benchmarks import notebooks, report, scaling, scaling_report, training
from benchmarks.contestants import PLAIN, BareProducts, training_loss
from benchmarks.registry import registry
from mnist_mlp.data import Dataset, Split, load

ENTRIES = registry()
LEARNERS = [name for name in ENTRIES if name != "bare_products"]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("sklearn-digits")


@pytest.fixture(scope="module")
def few(digits: Dataset) -> Split:
    return scaling.part(digits.train, 500)


def loss_after_an_epoch(name: str, few: Split) -> float:
    make, recipe = ENTRIES[name]
    contestant = make(few, recipe, 0)
    contestant.epoch()
    parameters = contestant.parameters()
    assert parameters is not None
    return training_loss(parameters, recipe, few)


@pytest.mark.parametrize("name", LEARNERS)
def test_every_contestant_does_the_same_work(name: str, few: Split) -> None:
    ours = "dropout_scratch_relu" if name.startswith("dropout_") else "scratch_relu"
    if name.endswith("scratch_lrelu"):
        ours = name  # another activation has another loss; it only has to learn
    # The same minibatches: rounding alone, where no L2 would be 6e-4. Own shuffling or own dropout
    # masks: up to 0.6 %, where no dropout is 3 %, one step less of five 7 %, no momentum 15 %.
    shuffles = name in {"torch_dataloader", "sklearn", "dropout_torch_eager"}
    expected = loss_after_an_epoch(ours, few)
    assert loss_after_an_epoch(name, few) == pytest.approx(
        expected, rel=0.015 if shuffles else 1e-4
    )
    make, recipe = ENTRIES[name]
    start = make(few, recipe, 0).parameters()
    assert start is not None
    assert expected < training_loss(start, recipe, few)


def test_the_floor_is_the_eight_products_of_a_step(
    few: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = BareProducts(few, PLAIN, 0)
    matmul, operations = np.matmul, []

    def counted(a: Any, b: Any, out: Any) -> Any:
        operations.append(2 * a.shape[0] * a.shape[1] * b.shape[1])
        return matmul(a, b, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    bare.step()
    forward = 2 * 100 * (784 * 512 + 512 * 256 + 256 * 10)
    to_input = 2 * 100 * (512 * 256 + 256 * 10)
    assert len(operations) == 8
    assert sum(operations) == 2 * forward + to_input
    assert bare.steps == 5


def test_the_command_writes_results_table_and_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["bare_products", "scratch_relu", "dropout_scratch_relu"]
    command = f"--rounds 1 --threads 1 --dataset sklearn-digits --output {tmp_path} --only"
    assert training.main([*command.split(), *names]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results) == ["1"]
    assert list(results["1"]) == ["bare_products", "scratch_relu"]
    assert all(seconds > 0 for seconds in results["1"].values())
    details = json.loads((tmp_path / "details.json").read_text())
    assert list(details["threads"]["1"]) == names
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert report.table(details) in printed
    assert "행렬곱만 하는 시간의" in printed


def details_of(seconds: dict[str, float], loss: float = 0.3) -> dict[str, Any]:
    found = {name: {"loss": loss, "seconds": [s, s, 10 * s]} for name, s in seconds.items()}
    machine = {"processor": "A processor", "cores": 2}
    return {
        "machine": machine, "dataset": "mnist", "rounds": 3, "n_train": 48_000,
        "not_installed": [], "threads": {"1": found, "2": found},
    }  # fmt: skip


def test_medians_have_the_format_of_the_results_file() -> None:
    details = details_of({"bare_products": 1.0, "scratch_relu": 1.1, "dropout_scratch_relu": 1.5})
    expected = {"bare_products": 1.0, "scratch_relu": 1.1}
    assert training.medians(details) == {"1": expected, "2": expected}


def test_the_table_has_a_row_for_each_contestant_and_names_who_is_missing() -> None:
    details = details_of({"bare_products": 1.0, "scratch_relu": 1.1})
    lines = report.table(details).splitlines()
    assert lines[3] == "| 이 저장소, NumPy, ReLU | 1.10 | 1.10 | 1.10 | 1.10 |"
    assert len(lines) == 6  # two of head, two contestants, an empty line, the note
    assert "48,000장" in lines[-1]
    assert "빠진" not in lines[-1]
    details["not_installed"] = ["jax"]
    assert "빠진 참가자: JAX" in report.table(details)


def test_a_contestant_that_learns_less_is_found_out() -> None:
    details = details_of({"bare_products": 1.0, "scratch_relu": 1.0, "torch_eager": 1.0})
    found = details["threads"]["1"]
    training.check_losses(found)
    found["torch_eager"]["loss"] = 0.33
    with pytest.raises(training.UnequalWorkError, match="torch_eager reaches a loss of"):
        training.check_losses(found)


def test_a_contestant_without_its_library_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "numpy" or None)
    assert set(report.LABELS) - set(registry()) == set(report.not_installed(list(registry())))
    assert "scratch_relu" in registry()
    assert "jax" not in registry()


def test_every_contestant_has_a_label() -> None:
    assert set(ENTRIES) <= set(report.LABELS)


def test_scaling_on_a_few_images(digits: Dataset) -> None:
    train = digits.train
    found: dict[str, Any] = {
        "batch_size": scaling.by_batch_size(train, [10, 100], 200, rounds=1),
        "width": scaling.by_width(train, [16, 32], 200, rounds=1),
        "training_size": scaling.by_training_size(train, [200, 400], 200, rounds=1),
        "runs": {"threads": {"1": 50.0, "2": 25.0}, "processes": {"1": 50.0, "2": 25.0}},
        "side_by_side": {"fit": 3.0, "products": 2.0, "all_products": 2.5},
        "under_load": {
            "one_thread_each": {"idle": 1.0, "busy": 2.0},
            "two_threads": {"idle": 1.0, "busy": 20.0},
        },
        "notebooks": {"01": {"seconds": 60.0, "peak_gb": 0.8, "slowdown": 1.6}},
    }
    assert list(found["batch_size"]) == ["10", "100"]
    assert all(us > 0 for name in ("batch_size", "width") for us in found[name].values())
    assert len(scaling_report.figure(found).axes) == 4
    text = " ".join(scaling_report.sentences(found))
    for claim in ("1.50배", "1.20배", "2.0배", "20.0배", "2개까지 2.00배", "0.80 GB"):
        assert claim in text


def test_flat_or_not_is_computed() -> None:
    assert "거의 같다" in scaling_report.training_size({"1000": 50.0, "60000": 55.0})
    assert "달라진다" in scaling_report.training_size({"1000": 50.0, "60000": 60.0})


def test_training_side_by_side_is_compared_with_its_products(digits: Dataset) -> None:
    splits = [scaling.part(s, 200) for s in (digits.train, digits.validation, digits.test)]
    seconds = notebooks.side_by_side(Dataset(digits.name, *splits), epochs=1)
    assert set(seconds) == {"fit", "products", "all_products"}
    assert seconds["fit"] > 0


def test_a_busy_process_lives_as_long_as_its_block() -> None:
    with notebooks.busy_core() as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_the_readme_quotes_the_stored_benchmark() -> None:
    folder = Path(report.__file__).parent
    details = json.loads((folder / "details.json").read_text(encoding="utf-8"))
    medians = training.medians(details)
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == medians
    readme = (folder.parent / "README.md").read_text(encoding="utf-8")
    assert report.section(details, medians) in readme
    training.check_losses(details["threads"]["1"])  # nobody skipped work
    scaling_found = json.loads((folder / "scaling.json").read_text(encoding="utf-8"))
    assert scaling_report.section(scaling_found) in readme
