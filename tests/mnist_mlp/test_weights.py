"""The weights file: what comes back is what was trained, and what is no such file is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_mlp import framework, scratch, weights
from mnist_mlp.data import Dataset
from mnist_mlp.run import Run
from mnist_mlp.weights import WeightsError


@pytest.fixture(scope="module")
def content(trained: dict[str, Run]) -> bytes:
    """The file of the two small networks."""
    return weights.to_bytes("numpy", "sklearn-digits", trained)


def with_arrays(content: bytes, folder: Path, changes: dict[str, Any]) -> Path:
    """Write the file with arrays changed, or left out where the change is None."""
    (folder / "good.npz").write_bytes(content)
    with np.load(folder / "good.npz") as good:
        arrays = {k: v for k, v in (dict(good) | changes).items() if v is not None}
    np.savez(folder / "weights.npz", **arrays)
    return folder / "weights.npz"


def test_the_loaded_networks_answer_as_the_trained_ones(
    tmp_path: Path, content: bytes, trained: dict[str, Run], digits: Dataset
) -> None:
    path = tmp_path / "weights_scratch.npz"
    path.write_bytes(content)
    for name, run in trained.items():
        model = scratch.load(str(path), name)
        np.testing.assert_array_equal(model.logits(digits.test.images), run.logits)
        np.testing.assert_array_equal(model.predict(digits.test.images), run.logits.argmax(axis=1))
    saved = weights.read(path)
    assert (saved.framework, saved.dataset, saved.seed) == ("numpy", "sklearn-digits", 3)
    assert saved.recipes == {name: run.recipe for name, run in trained.items()}
    assert weights.to_bytes("numpy", "sklearn-digits", trained) == content


def test_numpy_reads_what_pytorch_has_trained(
    tmp_path: Path, trained: dict[str, Run], digits: Dataset
) -> None:
    runs = {n: framework.fit(digits, run.recipe, seed=3) for n, run in trained.items()}
    path = tmp_path / "weights_framework.npz"
    path.write_bytes(weights.to_bytes("torch", "sklearn-digits", runs))
    for name, run in runs.items():
        logits = scratch.load(path, name).logits(digits.test.images)
        np.testing.assert_allclose(logits, run.logits, rtol=1e-4, atol=1e-4)  # float32 rounding


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(WeightsError, match=f"^{path} does not exist: run the notebook"):
            scratch.load(path)


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -1, -30])
def test_a_file_cut_short_is_one_sentence(kept: int, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(content[:kept])
    with pytest.raises(WeightsError, match="damaged or no weights file") as error:
        scratch.load(path)
    assert "\n" not in str(error.value)


def test_no_flipped_byte_gives_other_weights(tmp_path: Path, content: bytes) -> None:
    path, rng = tmp_path / "weights.npz", np.random.default_rng(0)
    path.write_bytes(content)
    good = weights.read(path)
    directory = range(len(content) - 1500, len(content), 7)  # names, sizes and checksums
    for position in [*directory, *rng.integers(0, len(content), 100)]:
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            read = weights.read(path)
        except WeightsError:
            continue
        # A byte that means nothing, such as a date of the archive.
        assert read.recipes == good.recipes
        for name, parameters in read.parameters.items():
            for key, values in parameters.items():
                np.testing.assert_array_equal(values, good.parameters[name][key])


ABOUT = {"format": weights.FORMAT, "recipes": {}}
FOREIGN = {
    "an array is missing": {"ReLU/W2": None},
    "another shape": {"LReLU/b1": np.zeros(7, np.float32)},
    "another type": {"LReLU/b1": np.zeros(32)},
    "not finite": {"ReLU/b3": np.full(10, np.nan, np.float32)},
    "pickled": {"ReLU/W1": np.array([{"a": 1}], dtype=object)},
    "no description": {"about": None},
    "a list": {"about": np.array("[]")},
    "no JSON": {"about": np.array("{")},
    "no recipe": {"about": np.array(json.dumps(ABOUT))},
    "another format": {"about": np.array(json.dumps(ABOUT | {"format": "x"}))},
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_foreign_arrays_are_one_sentence(
    changes: dict[str, Any], tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(WeightsError, match="damaged or no weights file") as error:
        scratch.load(with_arrays(content, tmp_path, changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("foreign", [b"text", b"\x89PNG\r\n", b"PK\x05\x06" + bytes(18)])
def test_another_kind_of_file_is_one_sentence(foreign: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(foreign)
    with pytest.raises(WeightsError, match="damaged or no weights file"):
        scratch.load(path)


def test_a_file_that_would_fill_the_memory_is_not_unpacked(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_arrays(content, tmp_path, {"more": np.zeros(10_000, np.float32)})
    scratch.load(path)
    monkeypatch.setattr(weights, "MAX_BYTES", len(content) + 1000)
    with pytest.raises(WeightsError, match="it claims more than"):
        scratch.load(path)
