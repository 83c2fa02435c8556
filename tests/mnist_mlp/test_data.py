"""Where the data are found, what is refused, and that no fault of a file goes unnoticed."""

import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
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
    assert message.startswith(str(path))
    return message


# ---- one file


@pytest.mark.parametrize("array", [LABELS, IMAGES, np.zeros(data.MAX_COUNT, np.uint8)])
def test_gzipped_and_plain_files_decode_alike_whatever_their_name(array: Any) -> None:
    plain = idx(array)
    for content in (plain, zipped(plain), zipped(plain[:9]) + zipped(b"") + zipped(plain[9:])):
        for path in fill(Path(), {"file.gz": content, "file": content}):
            decoded = data.read_idx(path)
            assert decoded.dtype == np.uint8
            np.testing.assert_array_equal(decoded, array)


def header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)


BAD_FILES = {
    "empty": (b"", "is empty"),
    "html": (b"<!DOCTYPE html>", r"begins with b'<!DO'"),
    "gzipped twice": (zipped(zipped(idx(LABELS))), "begins with"),
    "half a header": (idx(IMAGES)[:14], "incomplete"),
    "no items": (header(0), "claims the shape"),
    "too many items": (header(data.MAX_COUNT + 1) + bytes(data.MAX_COUNT + 1), "claims the shape"),
    "28x29": (header(1, 28, 29) + bytes(28 * 29), "claims the shape"),
    "truncated": (idx(LABELS)[:-1], "fewer"),
    "trailing byte": (idx(LABELS) + b"\0", "more"),
    "trailing garbage": (zipped(idx(LABELS)) + b"garbage", "incomplete"),
    "bad checksum": (zipped(idx(LABELS))[:-8] + bytes(4) + zipped(idx(LABELS))[-4:], "incomplete"),
    "bad deflate stream": (zipped(idx(LABELS))[:10] + b"\xff" * 20, "incomplete"),
    "half a gzip": (zipped(idx(LABELS))[:15], "incomplete"),
    "a bomb": (zipped(idx(LABELS)) + 100 * zipped(bytes(10 << 20)), "more"),
}


@pytest.mark.parametrize(("content", "fault"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_its_fault_and_a_way_out(
    content: bytes, fault: str
) -> None:
    (path,) = fill(Path(), {"train-labels-idx1-ubyte.gz": content})
    tracemalloc.start()
    message = refused_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fault in message
    assert message.endswith("Delete it and download it again.")
    assert peak < 80 << 20  # bytes: what the largest honest file takes


def test_what_is_not_a_readable_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "cannot be read: No such file or directory. Check" in refused_file(tmp_path / "missing")
    assert "not a regular file" in refused_file(tmp_path)
    assert "not a regular file" in refused_file(tmp_path / "fifo")  # opening it would never return


# ---- four files


def given(arrays: list[Any]) -> list[Path]:
    return fill(Path("given"), four_files(arrays))


@pytest.mark.parametrize("changed", range(4))
def test_the_name_mnist_needs_all_four_contents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changed: int
) -> None:
    arrays = four_arrays(n_test=100)  # a test set may be as large as the training set
    make_canonical(monkeypatch, arrays)
    assert data.load(file_path=given(arrays)).name == "mnist"
    assert capsys.readouterr().out == ""
    arrays[changed][:2] = arrays[changed][1::-1].copy()
    dataset = data.load(file_path=[str(path) for path in given(arrays)])
    check_splits(dataset, arrays)
    assert dataset.name == "idx-files"
    assert "MNIST가 아닌" in capsys.readouterr().out


def test_the_seed_chooses_the_validation_images_and_nothing_else() -> None:
    paths = given(arrays := four_arrays())
    seeds: list[Any] = [0, np.int64(0), 2**32 - 1]
    first, same, other = (data.load(file_path=paths, seed=seed) for seed in seeds)
    check_splits(other, arrays)
    np.testing.assert_array_equal(first.validation.images, same.validation.images)
    assert not np.array_equal(first.validation.images, other.validation.images)


WRONG_PLACES = {  # which file is given in which place
    "images and labels swapped": ([1, 0, 3, 2], f"holds labels, not {NAMES[0]}. The files look"),
    "training and test swapped": ([2, 3, 0, 1], "(training) is smaller than"),
    "labels of the other set": ([0, 3, 2, 1], "hold 50 images but 20 labels"),
    "training images twice": ([0, 1, 0, 1], "or the same. The files look swapped; their order is:"),
}


@pytest.mark.parametrize(("order", "fault"), WRONG_PLACES.values(), ids=WRONG_PLACES)
def test_files_in_the_wrong_places_are_refused(order: list[int], fault: str) -> None:
    paths = given(four_arrays(n_train=50))
    assert fault in refusal(file_path=[paths[i] for i in order])


def test_files_that_nothing_could_be_learned_from_are_refused() -> None:
    def changed(place: int, change: Any) -> str:
        arrays = four_arrays()
        arrays[place] = change(arrays[place])
        return refusal(file_path=given(arrays))

    for place in (0, 2):
        assert f"{NAMES[place]}.gz holds only black images" in changed(place, lambda a: 0 * a)
    for place, n in ((1, 10), (3, 120)):
        assert f"{NAMES[place]}.gz holds the label 10" in changed(place, lambda a: a + 1)
        assert f"images but {n} labels" in changed(place, lambda a, n=n: np.resize(a, n))
    assert f"{NAMES[1]}.gz cannot be split 80/20" in changed(1, lambda a: [8, *([7] * 99)] + 0 * a)


def test_arguments_without_meaning_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = given(four_arrays())
    for value in ([], paths[:3], [*paths, paths[0]], str(paths[0]), paths[0], "four"):
        assert "list of four paths: train-images" in refusal(file_path=value)
    assert "missing.gz cannot be read" in refusal(file_path=[*paths[:3], "missing.gz"])
    for name in ("fashion", None):
        expected = f"No dataset {name!r}. Use 'mnist' or 'sklearn-digits'."
        assert refusal(name) == refusal(name, file_path=paths) == expected
    nobody = "~nobody-of-this-name"
    assert f"{nobody} cannot be read" in refusal(file_path=[nobody] * 4)
    monkeypatch.setenv("HOME", str(Path().absolute()))
    assert data.load(file_path=[f"~/{path}" for path in paths]).name == "idx-files"
    message = refusal("sklearn-digits", file_path=paths)
    assert message == "'sklearn-digits' reads no files. Use 'mnist', or no file_path."
    for seed in (-1, 2**32, 1.0, "1", None):
        expected = f"The seed is {seed!r}. Use a whole number from 0 to 4,294,967,295."
        assert refusal("sklearn-digits", seed=seed) == expected


# ---- places


def test_the_first_place_in_the_documented_order_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "named", tmp_path / "repo" / "data", Path("data"), Path()]
    sets = [four_arrays(seed) for seed in range(5)]
    paths = [fill(f, four_files(arrays)) for f, arrays in zip(folders, sets[:4], strict=True)]
    monkeypatch.setenv("MNIST_DIR", str(folders[0]))
    check_splits(data.load(file_path=paths[1]), sets[1])
    for place in range(4):
        check_splits(data.load(), sets[place])
        monkeypatch.delenv("MNIST_DIR", raising=False)
        for path in paths[place]:
            path.unlink()
    with mirror(make_canonical(monkeypatch, sets[4])) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        check_splits(data.load(), sets[4])
    monkeypatch.setenv("MNIST_MIRRORS", CLOSED)
    check_splits(data.load(), sets[4])  # what was downloaded is there to stay


DOTTED = "{1}.idx{2}-ubyte"
LAYOUTS = [  # a file's path: {0} train-images-idx3-ubyte, {1} train-images, {2} 3
    "{0}.gz",  # the assignment's
    "{0}",
    DOTTED,  # the name that the .gz remembers
    DOTTED + ".gz",
    "{0}/" + DOTTED,  # 7-Zip's folder for each file
    "{0}.gz/{0}",
    "MNIST/raw/{0}.gz",  # torchvision's root
    "raw/{0}",
    "archive/" + DOTTED,  # Kaggle's
    "MNIST/{0}.gz",
    "mnist/" + DOTTED,
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_are_found_as_the_usual_sources_lay_them_out(
    monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setenv("HOME", str(Path().absolute()))
    monkeypatch.setenv("MNIST_DIR", "~/named")
    arrays = four_arrays()
    for name, array in zip(NAMES, arrays, strict=True):
        fill(Path("named"), {layout.format(name, name[:-11], array.ndim): idx(array)})
    check_splits(data.load(), arrays)


def test_of_several_spellings_the_first_that_is_a_file_is_read() -> None:
    """Kaggle's archive has good files beside folders of the names that come first."""
    arrays = four_arrays()
    for name, array in zip(NAMES, arrays, strict=True):
        fill(Path(), {f"{name}/{name}": b"not read", name.replace("-idx", ".idx"): idx(array)})
    fill(Path(), {f"{NAMES[0]}.gz": idx(arrays[0]), NAMES[0].replace("-idx", ".idx"): b"not read"})
    shutil.rmtree(NAMES[1])
    fill(Path(), {NAMES[1]: idx(arrays[1]), NAMES[1].replace("-idx", ".idx") + ".gz": b"not read"})
    check_splits(data.load(), arrays)


@pytest.mark.parametrize("form", ["{0} (1).gz", "{0}.gz의 사본", "Copy of {0}"])
def test_a_file_under_an_odd_name_is_taken_if_it_is_mnists(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    arrays = four_arrays()
    make_canonical(monkeypatch, arrays)
    odd = {form.format(name): idx(array) for name, array in zip(NAMES, arrays, strict=True)}
    paths = fill(Path("data"), odd)
    check_splits(data.load(), arrays)
    paths[2].write_bytes(b"another file")
    lacks = f"has {paths[0].name} but lacks {NAMES[2]}.gz (similar names there: {paths[2].name})."
    assert lacks in refusal()


def test_what_only_looks_like_mnist_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    near = ["test-images-idx3-ubyte.gz", f"{NAMES[1]} (1).gz", "MNIST_train.csv", "mnist.npz"]
    far = ["study.jsonl", "01_scratch_mlp.ipynb", "mnist_mlp.py", "training.png"]
    fill(Path(), dict.fromkeys([*near, *far, "MNIST/raw/mnist.pkl.gz"], b"x"))
    data.load()
    named = f"쓰지 않은 것: {', '.join(near)}, raw/mnist.pkl.gz)"
    assert f"{named}\n" in capsys.readouterr().out
    with monkeypatch.context() as patch, mirror(make_canonical(patch, four_arrays())) as server:
        patch.setenv("MNIST_MIRRORS", server.url)
        assert data.load().name == "mnist"
    assert f"{named}. 내려받은 MNIST를 사용합니다.\n" in capsys.readouterr().out
    monkeypatch.setenv("MNIST_DIR", ".")
    assert f" (similar names there: {', '.join(near)}, mnist.pkl.gz). Correct" in refusal()


@pytest.mark.parametrize("place", ["named", "repo/data", "cwd/data", "cwd", "cwd/MNIST/raw"])
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
    paths[1].symlink_to(paths[1])  # a broken link was put there on purpose
    assert f"{NAMES[1]}.gz cannot be read" in refusal()
    for path in paths[1:3]:
        path.unlink()
    missing = f"{place} has {NAMES[0]}.gz but lacks {NAMES[1]}.gz, {NAMES[2]}.gz. Add what is"
    assert missing in refusal()


# ---- what is used without files, and what it holds


def test_the_embedded_digits_are_enlarged_exactly_and_their_test_set_is_fixed() -> None:
    bunch = load_digits()
    enlarged = {
        np.pad(np.kron(image / 16, np.ones((3, 3))), 2).astype(np.float32).tobytes(): label
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    first, other = (data.load("sklearn-digits", seed=seed) for seed in (0, 1))
    for dataset in (first, other):
        splits = (dataset.train, dataset.validation, dataset.test)
        assert [len(split.labels) for split in splits] == [1149, 288, 360]
        pairs = [(x.tobytes(), y) for s in splits for x, y in zip(s.images, s.labels, strict=True)]
        assert dict(pairs) == enlarged
    np.testing.assert_array_equal(first.test.images, other.test.images)
    assert not np.array_equal(first.train.images, other.train.images)


def test_mnist_itself_or_the_digits_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DIR", REAL)
    dataset = data.load("mnist" if REAL else "sklearn-digits", seed=3)
    splits = (dataset.train, dataset.validation, dataset.test)
    sizes = [48_000, 12_000, 10_000] if REAL else [1149, 288, 360]
    assert dataset.name == ("mnist" if REAL else "sklearn-digits")
    assert [split.images.shape for split in splits] == [(n, 784) for n in sizes]
    train, validation = (np.bincount(split.labels) for split in splits[:2])
    assert np.abs(validation - (train + validation) / 5).max() <= 1  # within one image
    assert all((split.images.min(), split.images.max()) == (0, 1) for split in splits)
