"""Where the data are found, what is refused, and that no fault of a file goes unnoticed."""

import errno
import math
import os
import shutil
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tiny_mnist import (
    CLOSED,
    NAMES,
    check_splits,
    fill,
    four_arrays,
    four_files,
    idx,
    make_canonical,
    mirror,
    zipped,
)

from mnist_mlp import data

pytestmark = pytest.mark.usefixtures("isolated")
REAL = os.environ.get("MNIST_DIR", "")  # read before the fixture hides it
LABELS = np.arange(10, dtype=np.uint8)
IMAGES = four_arrays(n_train=3)[0]


def refusal(*arguments: Any, of: Any = data.load, **keywords: Any) -> str:
    """Return what a DatasetError says; it must show no traceback but its own."""
    with pytest.raises(data.DatasetError) as caught:
        of(*arguments, **keywords)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def refused_file(path: Path) -> str:
    """Return what read_idx says about a file, which it must name."""
    message = refusal(path, of=data.read_idx)
    assert str(path) in message
    return message


@pytest.mark.parametrize("array", [LABELS, IMAGES, np.zeros(data.MAX_COUNT, np.uint8)])
def test_gzipped_and_plain_files_decode_alike_whatever_their_name(array: Any) -> None:
    plain = idx(array)
    for content in (plain, zipped(plain), zipped(plain[:9]) + zipped(b"") + zipped(plain[9:])):
        for path in fill(Path(), {"file.gz": content, "file": content}):
            decoded = data.read_idx(path)
            assert decoded.dtype == np.uint8
            np.testing.assert_array_equal(decoded, array)


def header(*shape: int, code: int = 8) -> bytes:
    return bytes([0, 0, code, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)


BAD_FILES = {  # random faults: test_data_fuzz.py
    "empty": (b"", "is empty"),
    "html": (b"<!DOCTYPE html>", r"begins with b'<!DO'"),
    "another type code": (header(10, code=13) + bytes(10), "begins with"),
    "two dimensions": (header(10, 10) + bytes(100), "begins with"),
    "four dimensions": (header(1, 28, 28, 1) + bytes(784), "begins with"),
    "only the magic number": (idx(LABELS)[:4], "incomplete"),
    "half a header": (idx(IMAGES)[:14], "incomplete"),
    "no items": (header(0), "claims the shape"),
    "too many items": (header(data.MAX_COUNT + 1) + bytes(data.MAX_COUNT + 1), "claims the shape"),
    "28x29": (header(1, 28, 29) + bytes(28 * 29), "claims the shape"),
    "truncated": (idx(LABELS)[:-1], "fewer"),
    "trailing byte": (idx(LABELS) + b"\0", "more"),
    "trailing member": (zipped(idx(LABELS)) + zipped(b"\0"), "more"),
    "trailing garbage": (zipped(idx(LABELS)) + b"garbage", "incomplete"),
    "bad checksum": (zipped(idx(LABELS))[:-8] + bytes(4) + zipped(idx(LABELS))[-4:], "incomplete"),
    "bad length": (zipped(idx(LABELS))[:-4] + bytes(4), "incomplete"),
    "bad deflate stream": (zipped(idx(LABELS))[:10] + b"\xff" * 20, "incomplete"),
    "truncated gzip": (zipped(idx(LABELS))[:-1], "incomplete"),
    "gzipped twice": (zipped(zipped(idx(LABELS))), "begins with"),
    "QMNIST's labels": (zipped(header(60_000, 8, code=12) + bytes(60_000 * 32)), "begins with"),
    "EMNIST's letters": (zipped(header(124_800, 28, 28) + bytes(99)), "claims the shape"),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_its_fault_and_a_way_out(fault: str) -> None:
    content, expected = BAD_FILES[fault]
    (path,) = fill(Path(), {"train-labels-idx1-ubyte.gz": content})
    message = refused_file(path)
    assert expected in message
    assert message.endswith("Delete it and download it again.")


def test_what_is_not_a_readable_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "fifo")
    assert "cannot be read: No such file or directory. Check" in refused_file(tmp_path / "missing")
    assert "not a regular file" in refused_file(tmp_path)
    assert "not a regular file" in refused_file(tmp_path / "fifo")  # opening it would never return
    assert "symbolic links" in refused_file(tmp_path / "loop")
    assert "null" in refused_file(tmp_path / "nul\0l")
    (path,) = fill(tmp_path, {"forbidden": idx(LABELS)})
    forbid = Mock(side_effect=PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(data, "open", forbid, raising=False)  # root may open what it likes
    assert "Permission denied" in refused_file(path)


def test_no_file_makes_the_decoder_allocate_more_than_the_largest_honest_file() -> None:
    deflate = zlib.compressobj(1, wbits=31)
    stream = [deflate.compress(idx(LABELS)), deflate.compress(bytes(64 << 20)), deflate.flush()]
    bombs = [  # file, bytes that reading it may take
        (b"".join(stream), 1 << 20),
        (zipped(idx(LABELS)) + 100 * zipped(bytes(10 << 20)), 1 << 20),
        (header(2**32 - 1) + bytes(99), 1 << 20),
        (header(2**32 - 1, 28, 28) + bytes(99), 1 << 20),
        (zipped(header(data.MAX_COUNT, 28, 28)), 80 << 20),
    ]
    for content, limit in bombs:
        (path,) = fill(Path(), {"bomb": content})
        tracemalloc.start()
        refused_file(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


def given(arrays: list[Any]) -> list[Path]:
    return fill(Path("given"), four_files(arrays))


@pytest.mark.parametrize("n_test", [20, 100])  # a test set may be as large as the training set
def test_other_well_formed_files_are_not_called_mnist(
    capsys: pytest.CaptureFixture[str], n_test: int
) -> None:
    arrays = four_arrays(n_test=n_test)
    dataset = data.load(file_path=[str(path) for path in given(arrays)])
    assert dataset.name == "idx-files"
    assert "MNIST가 아닌" in capsys.readouterr().out
    check_splits(dataset, arrays)


@pytest.mark.parametrize("changed", range(4))
def test_the_name_mnist_needs_all_four_contents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changed: int
) -> None:
    arrays = four_arrays()
    make_canonical(monkeypatch, arrays)
    plain = {name: idx(array) for name, array in zip(NAMES, arrays, strict=True)}
    assert data.load(file_path=fill(Path(), plain)).name == "mnist"
    assert capsys.readouterr().out == ""
    arrays[changed][:2] = arrays[changed][1::-1].copy()
    assert data.load(file_path=given(arrays)).name == "idx-files"


@pytest.mark.parametrize("seed", [-1, 2**32, 2**33 - 1, 1.0, math.nan, "1", None, [1]])
def test_a_seed_that_is_no_whole_number_in_range_is_refused(seed: Any) -> None:
    expected = f"The seed is {seed!r}. Use a whole number from 0 to 4,294,967,295."
    assert refusal("sklearn-digits", seed=seed) == expected
    assert refusal(file_path=given(four_arrays()), seed=seed) == expected


def test_the_seed_chooses_the_validation_images_and_nothing_else() -> None:
    arrays = four_arrays()
    paths = given(arrays)
    default = data.load(file_path=paths)
    same: Any  # NumPy's whole numbers too
    for same in (0, np.int64(0)):
        again = data.load(file_path=paths, seed=same)
        np.testing.assert_array_equal(again.validation.images, default.validation.images)
    for seed in (1, 2**32 - 1):
        other = data.load(file_path=paths, seed=seed)
        check_splits(other, arrays)
        assert not np.array_equal(other.validation.images, default.validation.images)


ORDERS = {  # which file is given in which place
    "images and labels swapped": [1, 0, 3, 2],
    "training and test swapped": [2, 3, 0, 1],
    "labels of the other set": [0, 3, 2, 1],
    "labels twice": [0, 1, 1, 1],
    "training images twice": [0, 1, 0, 1],
    "test images twice": [2, 3, 2, 3],
}


@pytest.mark.parametrize("case", ORDERS)
def test_files_in_the_wrong_places_are_refused(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    arrays = four_arrays(n_train=50)
    paths = [given(arrays)[i] for i in ORDERS[case]]
    message = refusal(file_path=paths)
    if case == "labels of the other set":  # unknown ones can only be told by their number
        assert f"{paths[0]} and {paths[1]} hold 50 images but 20 labels" in message
    else:
        assert "The files look swapped; their order is: train-images, train" in message
    if case == "training and test swapped":
        assert f"{paths[0]} (training) is smaller than {paths[2]} (test)" in message
    make_canonical(monkeypatch, arrays := four_arrays(n_train=50, n_test=50))
    paths = [given(arrays)[i] for i in ORDERS[case]]  # known ones by their content
    wrong = next(i for i in range(4) if ORDERS[case][i] != i)
    held = NAMES[ORDERS[case][wrong]]
    assert f"{paths[wrong]} holds {held}, not {NAMES[wrong]}. The files" in refusal(file_path=paths)


@pytest.mark.parametrize("place", [0, 2])
def test_black_images_are_refused(place: int) -> None:
    """Nothing could be learned from them, and the report would be nonsense in every figure."""
    arrays = four_arrays()
    arrays[place] *= 0
    assert f"{NAMES[place]}.gz holds only black images" in refusal(file_path=given(arrays))


def test_labels_that_do_not_fit_are_refused() -> None:
    for place, n in ((1, 10), (3, 120)):
        arrays = four_arrays()
        arrays[place][5] = 10
        assert f"{NAMES[place]}.gz holds the label 10" in refusal(file_path=given(arrays))
        arrays = four_arrays()
        arrays[place] = np.resize(arrays[place], n)
        assert f"images but {n} labels" in refusal(file_path=given(arrays))
    arrays = four_arrays()
    arrays[1][arrays[1] == 3] = 4
    arrays[1][0] = 3
    assert f"{NAMES[1]}.gz cannot be split 80/20 by class" in refusal(file_path=given(arrays))


def test_arguments_without_meaning_are_refused() -> None:
    paths = given(four_arrays())
    wrong = [[], paths[:3], [*paths, paths[0]], str(paths[0]), paths[0], "four", 4, [None] * 4]
    for value in wrong:
        assert "list of four paths: train-images" in refusal(file_path=value)
    assert "missing.gz cannot be read" in refusal(file_path=[*paths[:3], "missing.gz"])
    for name in ("fashion", "MNIST", None):
        expected = f"No dataset {name!r}. Use 'mnist' or 'sklearn-digits'."
        assert refusal(name) == refusal(name, file_path=paths) == expected
    message = refusal("sklearn-digits", file_path=paths)
    assert message == "'sklearn-digits' reads no files. Use 'mnist', or no file_path."


def test_the_first_place_in_the_documented_order_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "given", tmp_path / "named", tmp_path / "repo" / "data", Path("data")]
    folders += [Path(), tmp_path / "cache"]
    sets = [four_arrays(seed) for seed in range(len(folders))]
    make_canonical(monkeypatch, sets[-1])  # the cache and the mirror hold nothing else
    paths = [fill(folder, four_files(arrays)) for folder, arrays in zip(folders, sets, strict=True)]
    monkeypatch.setenv("MNIST_DIR", str(folders[1]))
    with mirror(four_files(sets[-1])) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        for place, arrays in enumerate(sets):
            check_splits(data.load(file_path=paths[0] if place == 0 else None), arrays)
            for path in paths[place]:
                path.unlink()
            if place == 1:
                monkeypatch.delenv("MNIST_DIR")
        assert server.requested == []
        check_splits(data.load(), sets[-1])  # from the mirror now
        assert server.requested == [f"{name}.gz" for name in NAMES]
    monkeypatch.setenv("MNIST_MIRRORS", CLOSED)
    assert data.load().name == "mnist"  # what was downloaded is there to stay


DOTTED = "{1}.idx{2}-ubyte"
LAYOUTS = {  # a file's path: {0} train-images-idx3-ubyte, {1} train-images, {2} 3
    "the assignment's": "{0}.gz",
    "unpacked": "{0}",
    "by the name that the .gz remembers": DOTTED,
    "that, gzipped": DOTTED + ".gz",
    "7-Zip, a folder for each file": "{0}/" + DOTTED,
    "a folder that keeps the suffix": "{0}.gz/{0}",
    "torchvision's root": "MNIST/raw/{0}.gz",
    "torchvision's MNIST": "raw/{0}",
    "Kaggle's archive": "archive/" + DOTTED,
    "a folder MNIST": "MNIST/{0}.gz",
    "a folder mnist": "mnist/" + DOTTED,
}
PLACES = ["named", "repo/data", "cwd/data", "cwd"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_are_found_as_the_usual_sources_lay_them_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, place: str
) -> None:
    if place == "named":
        monkeypatch.setenv("MNIST_DIR", str(tmp_path / place))
    arrays = four_arrays()
    for name, array in zip(NAMES, arrays, strict=True):
        spelled = LAYOUTS[layout].format(name, name[:-11], array.ndim)
        fill(tmp_path / place, {spelled: idx(array)})
    check_splits(data.load(), arrays)


def test_of_several_spellings_the_first_that_is_a_file_is_read() -> None:
    """Kaggle's archive has good files beside folders of the names that come first."""
    arrays = four_arrays()
    for name, array in zip(NAMES, arrays, strict=True):
        fill(Path(), {f"{name}/{name}": b"not read", name.replace("-idx", ".idx"): idx(array)})
    check_splits(data.load(), arrays)
    shutil.rmtree(NAMES[0])
    fill(Path(), {f"{NAMES[0]}.gz": idx(arrays[0]), NAMES[0]: b"not read: the .gz comes first"})
    check_splits(data.load(), arrays)


ODD_NAMES = ["{0} (1).gz", "{0}(1)", "{0}.gz.1", "{0}.gz의 사본", "Copy of {0}", "._{0}.GZ"]


@pytest.mark.parametrize("form", ODD_NAMES)
def test_a_file_under_an_odd_name_is_taken_if_it_is_mnists_and_named_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    arrays = four_arrays()
    odd = {form.format(name): idx(array) for name, array in zip(NAMES, arrays, strict=True)}
    paths = fill(Path("data"), odd)
    assert data.load().name == "sklearn-digits"  # not MNIST, so far
    assert ", ".join(sorted(map(str, paths))) in capsys.readouterr().out
    files = make_canonical(monkeypatch, arrays)
    check_splits(data.load(), arrays)
    paths[2].write_bytes(b"another file")
    expected = (
        f"has {paths[0].name} but lacks {NAMES[2]}.gz (similar names there: {paths[2].name}). Add"
    )
    assert expected in refusal()
    for path in (paths[0], paths[1], paths[3]):
        path.unlink()
    capsys.readouterr()
    with mirror(files) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        check_splits(data.load(), arrays)
    expected = f"쓰지 않은 것: {paths[2]}). 내려받은 MNIST를 사용합니다."
    assert expected in capsys.readouterr().out


def test_what_only_looks_like_mnist_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    near = ["MNIST_train.csv", "mnist.npz", "test-images-idx3-ubyte.gz", "train-labels.gz"]
    far = ["study.jsonl", "01_scratch_mlp.ipynb", "mnist_mlp.py", "training.png"]
    fill(Path(), dict.fromkeys([*near, *far, "MNIST/raw/mnist.pkl.gz"], b"x"))
    data.load()
    banner = capsys.readouterr().out
    assert f"쓰지 않은 것: {', '.join(near)}, raw/mnist.pkl.gz)\n" in banner
    monkeypatch.setenv("MNIST_DIR", ".")
    assert f" (similar names there: {', '.join(near)}, mnist.pkl.gz). Correct it" in refusal()


def test_a_tilde_is_the_home_folder_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "cwd"))
    arrays = four_arrays()
    for paths in ([f"~/{path}" for path in given(arrays)], [Path("~", p) for p in given(arrays)]):
        check_splits(data.load(file_path=paths), arrays)
    monkeypatch.setenv("MNIST_DIR", "~/given")
    check_splits(data.load(), arrays)
    monkeypatch.setenv("MNIST_DIR", "~nobody-of-this-name/given")
    assert "MNIST_DIR=~nobody-of-this-name/given" in refusal()
    assert "~nobody-of-this-name cannot be read" in refusal(file_path=["~nobody-of-this-name"] * 4)


@pytest.mark.parametrize("place", [*PLACES, "cwd/MNIST/raw"])
def test_what_the_user_supplied_is_never_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "named":
        monkeypatch.setenv("MNIST_DIR", str(tmp_path / place))
        assert "MNIST_DIR" in refusal()  # there is no such folder
    paths = fill(tmp_path / place, four_files(four_arrays()))
    paths[1].write_bytes(paths[1].read_bytes()[:-5])
    assert f"{NAMES[1]}.gz is damaged or incomplete. Delete it" in refusal()
    paths[1].unlink()
    paths[1].symlink_to(paths[1])
    assert f"{NAMES[1]}.gz cannot be read" in refusal()
    paths[1].unlink()
    paths[2].unlink()
    missing = (
        f"{place} has {NAMES[0]}.gz but lacks {NAMES[1]}.gz, {NAMES[2]}.gz. Add what is missing"
    )
    assert missing in refusal()
    paths[3].unlink()
    paths[0].unlink()
    if place == "named":
        assert "MNIST_DIR" in refusal()  # the folder is empty
    else:
        assert data.load().name == "sklearn-digits"


def test_the_embedded_digits_are_enlarged_exactly_and_their_test_set_is_fixed() -> None:
    bunch = load_digits()
    enlarged = {
        np.pad(np.kron(image / 16, np.ones((3, 3))), 2).astype(np.float32).tobytes(): label
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    first, other = (data.load("sklearn-digits", seed=seed) for seed in (0, 1))
    for dataset in (first, other):
        assert dataset.name == "sklearn-digits"
        splits = (dataset.train, dataset.validation, dataset.test)
        assert [len(split.labels) for split in splits] == [1149, 288, 360]
        rows = [row.tobytes() for split in splits for row in split.images]
        assert set(rows) == set(enlarged)
        labels = np.concatenate([split.labels for split in splits])
        assert labels.tolist() == [enlarged[row] for row in rows]
    np.testing.assert_array_equal(first.test.images, other.test.images)
    assert not np.array_equal(first.train.images, other.train.images)
    everything = np.arange(1797)
    held = train_test_split(everything, test_size=0.2, stratify=bunch.target, random_state=0)[1]
    assert first.test.labels.tolist() == bunch.target[np.sort(held)].tolist()


def test_facts_of_the_dataset_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST where MNIST_DIR names it, otherwise the embedded digits."""
    monkeypatch.setenv("MNIST_DIR", REAL)
    dataset = data.load("mnist" if REAL else "sklearn-digits", seed=3)
    splits = (dataset.train, dataset.validation, dataset.test)
    sizes = [48_000, 12_000, 10_000] if REAL else [1149, 288, 360]
    assert dataset.name == ("mnist" if REAL else "sklearn-digits")
    assert [split.images.shape for split in splits] == [(n, 784) for n in sizes]
    assert len({row.tobytes() for split in splits for row in split.images}) == sum(sizes)
    train, validation = (Counter(split.labels.tolist()) for split in splits[:2])
    assert set(train) == set(range(10))
    for c in range(10):  # within one image
        assert abs(validation[c] - (train[c] + validation[c]) / 5) <= 1
    assert all((split.images.min(), split.images.max()) == (0, 1) for split in splits)
