"""The weights file: what comes back is what was trained, and what is no such file is named."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_mlp import framework, scratch, weights
from mnist_mlp.data import Dataset
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import Run
from mnist_mlp.weights import WeightsError


@pytest.fixture(scope="module")
def content(trained: dict[str, Run]) -> bytes:
    """The file of the two small networks."""
    return weights.to_bytes("numpy", "sklearn-digits", trained)


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
    with pytest.raises(WeightsError, match="but ReLU, LReLU"):
        scratch.load(path, "tanh")
    with pytest.raises(WeightsError, match=f"^{tmp_path} does not exist: run the notebook"):
        scratch.load(tmp_path)


def test_numpy_reads_what_pytorch_has_trained(
    tmp_path: Path, small: Recipe, digits: Dataset
) -> None:
    run = framework.fit(digits, small)
    path = tmp_path / "weights_framework.npz"
    path.write_bytes(weights.to_bytes("torch", "sklearn-digits", {"ReLU": run, "LReLU": run}))
    logits = scratch.load(path).logits(digits.test.images)
    np.testing.assert_allclose(logits, run.logits, rtol=1e-4, atol=1e-4)  # float32 rounding


NO_IMAGES = {
    "one image": np.zeros(784),
    "no image": np.zeros((0, 784)),
    "bytes": np.ones((2, 784), np.uint8),
    "bytes as floats": np.full((2, 784), 255.0),
    "undefined": np.full((2, 784), np.nan),
}


@pytest.mark.parametrize("images", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_the_network_was_not_trained_on_is_one_clear_sentence(
    images: Any, trained: dict[str, Run]
) -> None:
    with pytest.raises(ValueError, match=r"^images are .*; give \(N, 784\) floats in \[0, 1\]"):
        trained["ReLU"].model.predict(images)


class Stranger:
    """Runs code of his own where he is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a stranger's code ran",)


def arrays(**changes: Any) -> Callable[[bytes], bytes]:
    """Return a function that changes arrays of a file, or leaves out those that are None."""

    def change(content: bytes) -> bytes:
        with np.load(io.BytesIO(content)) as good:
            changed = {**good, **{name.replace("__", "/"): a for name, a in changes.items()}}
        file = io.BytesIO()
        np.savez(file, **{name: array for name, array in changed.items() if array is not None})
        return file.getvalue()

    return change


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "an empty archive": lambda content: b"PK\x05\x06" + bytes(18),
    "cut short": lambda content: content[:5000],
    "a flipped byte": lambda content: (
        content[:9999] + bytes([content[9999] ^ 255]) + content[10000:]
    ),
    "an array is missing": arrays(ReLU__W2=None),
    "another shape": arrays(LReLU__b1=np.zeros(7, np.float32)),
    "another type": arrays(LReLU__b1=np.zeros(32)),
    "pickled": arrays(ReLU__W1=np.array([Stranger()], dtype=object)),
    "no description": arrays(about=None),
    "another description": arrays(about=np.array('{"recipes": {}}')),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_or_foreign_file_is_one_sentence(
    damage: Callable[[bytes], bytes], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(damage(content))
    with pytest.raises(WeightsError, match="damaged or no weights file") as error:
        scratch.load(path)
    assert "\n" not in str(error.value)
