"""Whatever a reader sets or loads: no warning, no crash, and the text stays true."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import said
from tiny_mnist import fill, four_arrays, four_files

NAMES = ("01_scratch_mlp", "02_framework_mlp")
Arrays = list[np.ndarray[Any, Any]]


def separable(n_train: int = 400, n_test: int = 60) -> Arrays:
    """Return images that a network soon learns: class k lights row 2 k + 4, over some noise."""
    arrays = four_arrays(n_train=n_train, n_test=n_test)
    for images, labels in (arrays[:2], arrays[2:]):
        images //= 8
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 : 2 * label + 6] = 255
    return arrays


def without_seven() -> Arrays:
    train, train_labels, test, labels = separable()
    return [train, train_labels, test[labels != 7], labels[labels != 7]]


def two_images() -> Arrays:
    train, train_labels, test, labels = separable()
    return [train, train_labels, test[:2], labels[:2]]


DATA: dict[str, Callable[[], Arrays]] = {
    "other images": separable,
    "no 7": without_seven,
    "two test images": two_images,
    "noise": lambda: four_arrays(n_train=400, n_test=60),
}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("other images", {"EPOCHS": 1, "BATCH_SIZE": 50, "ALPHA": 0.05, "SEED": 7}),
    ("other images", {"EPOCHS": 0}),
    ("other images", {"EPOCHS": 3, "BATCH_SIZE": 5000, "ALPHA": 0.3}),
    ("other images", {"EPOCHS": 1, "BATCH_SIZE": 1000, "ALPHA": 0.01}),
    ("no 7", {"EPOCHS": 3, "BATCH_SIZE": 20}),
    ("two test images", {"EPOCHS": 3, "BATCH_SIZE": 20}),
    ("noise", {"EPOCHS": 1}),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("images", "parameters"),
    [CASES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:])],
)
def test_the_report_is_drawn_and_true_of_any_data_and_parameters(
    name: str,
    images: str,
    parameters: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = DATA[images]()
    paths = [str(path) for path in fill(tmp_path, four_files(arrays))]
    printed = said(name, tmp_path / "out", monkeypatch, file_path=paths, **parameters)
    text = re.sub(r"```.+?```", "", printed, flags=re.DOTALL)  # without the code that is shown
    assert not re.search(r"nan\b|\binf\b|None|\{\{", text)
    epochs, batch = parameters.get("EPOCHS", 20), parameters.get("BATCH_SIZE", 100)
    assert f"{epochs} 에폭, 미니배치 {batch}장" in text
    assert f"훈련 {len(arrays[0]) * 4 // 5}장" in text
    assert f"테스트 {len(arrays[2])}장" in text
    assert "다른 시드에서는.** 이 실행과 데이터와 레시피가 같은 학습이 저장된" in text
    default = {"01_scratch_mlp": 0.1, "02_framework_mlp": 0.3}[name]
    alpha = parameters.get("ALPHA", default)
    assert f"LReLU($\\alpha = {alpha}$)" in text
    own = [line for line in text.splitlines() if line.startswith("**이 실행의 α.**")]
    assert len(own) == (alpha != default)
    stored = {"01_scratch_mlp": (0.01, 0.1, 0.3), "02_framework_mlp": (0.1, 0.3)}[name]
    assert ("저장된 시드 반복 실험에 없으므로" in "".join(own)) == (alpha not in stored)
