"""Where the data come from, what is refused, and that no fault of a file, disk or network hides."""

import errno
import gzip
import math
import os
import pwd
import tempfile
import threading
import time
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torture_data import (  # noqa: F401  (the properties run here in small)
    CLOSED,
    NAMES,
    Reply,
    Request,
    check_splits,
    fill,
    four_arrays,
    four_files,
    good,
    idx,
    isolated,
    let_go,
    make_canonical,
    mirror,
    slow,
    start_child,
    test_a_file_is_decoded_exactly_or_refused,
    test_four_files_are_split_exactly_or_refused,
    test_kill_9_leaves_no_half_file,
    test_no_reply_of_a_mirror_raises_or_stays_in_the_cache,
)

from mnist_mlp import data

REAL = os.environ.get("MNIST_DIR", "")  # read before the fixture hides it
LABELS = np.arange(10, dtype=np.uint8)
IMAGES = four_arrays(n_train=3)[0]


def refusal(path: Path) -> str:
    """Return what read_idx says; it must name the file and show no traceback but its own."""
    with pytest.raises(data.DatasetError) as caught:
        data.read_idx(path)
    assert str(path) in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def member(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


# One file


@pytest.mark.parametrize("array", [LABELS, IMAGES, np.zeros(data.MAX_COUNT, np.uint8)])
def test_gzipped_and_plain_files_decode_alike_whatever_their_name(
    tmp_path: Path, array: Any
) -> None:
    plain = idx(array)
    contents = [plain, member(plain), member(plain[:9]) + member(b"") + member(plain[9:])]
    for content in contents:
        for name in ("file.gz", "file"):
            (tmp_path / name).write_bytes(content)
            decoded = data.read_idx(tmp_path / name)
            assert decoded.dtype == np.uint8
            np.testing.assert_array_equal(decoded, array)


def header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)


def flipped(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 0xFF
    return bytes(changed)


BAD_FILES = {
    "empty": (b"", "is empty"),
    "html": (b"<!DOCTYPE html>", r"begins with b'<!DO'"),
    "another type code": (b"\0\0\x0d\x01" + idx(LABELS)[4:], "begins with"),
    "two dimensions": (header(10, 10) + bytes(100), "begins with"),
    "four dimensions": (header(1, 28, 28, 1) + bytes(784), "begins with"),
    "not zero at first": (b"\1" + idx(LABELS)[1:], "begins with"),
    "not zero at second": (b"\0\1" + idx(LABELS)[2:], "begins with"),
    "only the magic number": (idx(LABELS)[:4], "incomplete"),
    "half a header": (idx(IMAGES)[:14], "incomplete"),
    "no items": (header(0), "claims the shape"),
    "no images": (header(0, 28, 28), "claims the shape"),
    "too many items": (header(data.MAX_COUNT + 1) + bytes(data.MAX_COUNT + 1), "claims the shape"),
    "28x29": (header(1, 28, 29) + bytes(28 * 29), "claims the shape"),
    "29x28": (header(1, 29, 28) + bytes(28 * 29), "claims the shape"),
    "only a header": (header(10), "fewer"),
    "truncated": (idx(LABELS)[:-1], "fewer"),
    "trailing byte": (idx(LABELS) + b"\0", "more"),
    "trailing byte, gzipped": (member(idx(LABELS) + b"\0"), "more"),
    "trailing member": (member(idx(LABELS)) + member(b"\0"), "more"),
    "trailing garbage": (member(idx(LABELS)) + b"garbage", "incomplete"),
    "bad checksum": (flipped(member(idx(LABELS)), -8), "incomplete"),
    "bad length": (flipped(member(idx(LABELS)), -1), "incomplete"),
    "bad deflate stream": (flipped(member(idx(LABELS)), 10), "incomplete"),
    "truncated gzip": (member(idx(LABELS))[:-1], "incomplete"),
    "only gzip's magic number": (b"\x1f\x8b", "incomplete"),
    "gzipped twice": (member(member(idx(LABELS))), "begins with"),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_its_fault_and_a_way_out(
    tmp_path: Path, fault: str
) -> None:
    content, expected = BAD_FILES[fault]
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(content)
    message = refusal(path)
    assert expected in message
    assert message.endswith("Delete it and download it again.")


# The headers of other data sets of this format: shape, type code, and what is said of the file.
RELATIVES = {
    "Fashion-MNIST, KMNIST: t10k-images": (0x08, (10_000, 28, 28), None),
    "Fashion-MNIST, KMNIST: t10k-labels": (0x08, (10_000,), None),
    "QMNIST: test images": (0x08, (60_000, 28, 28), None),
    "QMNIST: labels with 8 columns of int32": (0x0C, (60_000, 8), "begins with"),
    "EMNIST letters: train-images": (0x08, (124_800, 28, 28), "claims the shape"),
}


@pytest.mark.parametrize("relative", RELATIVES)
def test_a_file_of_another_data_set_is_decoded_or_refused(tmp_path: Path, relative: str) -> None:
    code, shape, expected = RELATIVES[relative]
    content = bytearray(header(*shape)) + bytes(math.prod(shape) * (4 if code == 0x0C else 1))
    content[2] = code
    path = tmp_path / "t10k-ubyte.gz"
    path.write_bytes(gzip.compress(content, 1))
    if expected:
        assert expected in refusal(path)
    else:
        assert data.read_idx(path).shape == shape


def test_what_is_not_a_readable_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    os.mkfifo(tmp_path / "fifo")
    fill(tmp_path, {"forbidden": idx(LABELS)})
    missing = refusal(tmp_path / "missing")
    assert "No such file" in missing
    assert "Errno" not in missing
    assert "not a regular file" in refusal(tmp_path)
    assert "not a regular file" in refusal(tmp_path / "fifo")  # opening it would never return
    assert "symbolic links" in refusal(loop)
    assert "null" in refusal(tmp_path / "nul\0l")

    def forbid(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(data, "open", forbid, raising=False)  # root may open what it likes
    assert "Permission denied" in refusal(tmp_path / "forbidden")


def test_no_file_makes_the_decoder_allocate_more_than_the_largest_honest_file(
    tmp_path: Path,
) -> None:
    deflate = zlib.compressobj(1, wbits=31)
    stream = [deflate.compress(idx(LABELS)), deflate.compress(bytes(64 << 20)), deflate.flush()]
    bombs = [  # file, bytes that reading it may take
        (b"".join(stream), 1 << 20),
        (member(idx(LABELS)) + 100 * member(bytes(10 << 20)), 1 << 20),
        (header(2**32 - 1) + bytes(99), 1 << 20),
        (header(2**32 - 1, 28, 28) + bytes(99), 1 << 20),
        (member(header(data.MAX_COUNT, 28, 28)), 80 << 20),
    ]
    for content, limit in bombs:
        (tmp_path / "bomb").write_bytes(content)
        tracemalloc.start()
        refusal(tmp_path / "bomb")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


# Four files


def files_of(tmp_path: Path, arrays: list[Any]) -> list[Path]:
    return fill(tmp_path / "given", four_files(arrays))


def load_refusal(paths: Any) -> str:
    with pytest.raises(data.DatasetError) as caught:
        data.load(file_path=paths)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize("n_test", [20, 100])  # a test set may be as large as the training set
def test_other_well_formed_files_are_not_called_mnist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n_test: int
) -> None:
    arrays = four_arrays(n_test=n_test)
    dataset = data.load(file_path=[str(path) for path in files_of(tmp_path, arrays)])
    assert dataset.name == "idx-files"
    assert "MNIST가 아닌" in capsys.readouterr().out
    check_splits(dataset, arrays)


@pytest.mark.parametrize("changed", range(4))
def test_the_name_mnist_needs_all_four_contents(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: int,
) -> None:
    arrays = four_arrays()
    make_canonical(monkeypatch, arrays)
    plain = {name: idx(array) for name, array in zip(NAMES, arrays, strict=True)}
    assert data.load(file_path=fill(tmp_path, plain)).name == "mnist"
    assert capsys.readouterr().out == ""
    arrays[changed][:2] = arrays[changed][1::-1].copy()
    assert data.load(file_path=files_of(tmp_path, arrays)).name == "idx-files"


@pytest.mark.parametrize("seed", [-1, 2**32, 3**32, 2**33 - 1])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(data.DatasetError, match=rf"The seed is {seed}\. Use a whole number"):
        data.load("sklearn-digits", seed=seed)


def test_the_seed_chooses_the_validation_images_and_nothing_else(tmp_path: Path) -> None:
    arrays = four_arrays()
    paths = files_of(tmp_path, arrays)
    first, same, other = (data.load(file_path=paths, seed=seed) for seed in (0, 0, 1))
    check_splits(other, arrays)
    np.testing.assert_array_equal(first.validation.images, same.validation.images)
    default = data.load(file_path=paths)
    np.testing.assert_array_equal(first.validation.images, default.validation.images)
    data.load(file_path=paths, seed=2**32 - 1)
    assert not np.array_equal(first.validation.images, other.validation.images)


ORDERS = {  # which file is given in which place
    "images and labels swapped": [1, 0, 3, 2],
    "training and test swapped": [2, 3, 0, 1],
    "labels of the other set": [0, 3, 2, 1],
    "labels twice": [0, 1, 1, 1],
    "training images twice": [0, 1, 0, 1],
    "test images twice": [2, 3, 2, 3],
}


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize("case", ORDERS)
def test_files_in_the_wrong_places_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, canonical: bool
) -> None:
    arrays = four_arrays()
    if canonical:
        make_canonical(monkeypatch, arrays)
    paths = files_of(tmp_path, arrays)
    message = load_refusal([paths[i] for i in ORDERS[case]])
    assert "given" in message
    # Unknown labels of the wrong set can only be told by their number.
    known = canonical or case != "labels of the other set"
    assert "swapped" in message if known else "100 images but 20 labels" in message
    if "smaller" in message:
        i, j = ORDERS[case][0], ORDERS[case][2]
        assert f"{paths[i]} (training) is smaller than {paths[j]} (test)" in message


def test_known_files_in_the_wrong_place_are_named_even_where_the_sizes_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = four_arrays(n_train=50, n_test=50)
    make_canonical(monkeypatch, arrays)
    paths = files_of(tmp_path, arrays)
    message = load_refusal([paths[2], paths[3], paths[0], paths[1]])
    assert f"{paths[2]} holds {NAMES[2]}, not {NAMES[0]}. The files look swapped" in message


def test_labels_above_9_and_counts_that_differ_are_refused(tmp_path: Path) -> None:
    for place in (1, 3):
        arrays = four_arrays()
        arrays[place][5] = 10
        assert f"{NAMES[place]}.gz holds the label 10" in load_refusal(files_of(tmp_path, arrays))
        arrays = four_arrays()
        arrays[place] = arrays[place][:-1]
        assert f"{len(arrays[place])} labels" in load_refusal(files_of(tmp_path, arrays))


def test_a_class_with_one_image_cannot_be_split(tmp_path: Path) -> None:
    arrays = four_arrays()
    arrays[1][arrays[1] == 3] = 4
    arrays[1][0] = 3
    message = load_refusal(files_of(tmp_path, arrays))
    assert f"{NAMES[1]}.gz cannot be split 80/20 by class" in message


def test_file_path_must_be_four_files_that_exist(tmp_path: Path) -> None:
    paths = files_of(tmp_path, four_arrays())
    for wrong in ([], paths[:3], [*paths, paths[0]], str(paths[0]), paths[0], "four"):
        assert "list of four paths: train-images" in load_refusal(wrong)
    assert "missing.gz cannot be read" in load_refusal([*paths[:3], tmp_path / "missing.gz"])


def test_an_unknown_name_is_refused_and_digits_take_no_files() -> None:
    for name, paths in (("fashion", None), ("fashion", ["a"] * 4), ("sklearn-digits", ["a"] * 4)):
        with pytest.raises(data.DatasetError, match=f"{name}.*Use 'mnist'"):
            data.load(name, file_path=paths)


# Where they are looked for


def test_the_first_place_in_the_documented_order_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "given", tmp_path / "named", tmp_path / "repo" / "data", Path("data")]
    folders += [Path(), tmp_path / "cache"]
    sets = [four_arrays(seed) for seed in range(len(folders))]
    make_canonical(monkeypatch, sets[-1])  # the cache and the mirror hold nothing else
    paths = [fill(folder, four_files(arrays)) for folder, arrays in zip(folders, sets, strict=True)]
    monkeypatch.setenv("MNIST_DIR", str(folders[1]))
    with mirror(four_files(sets[-1]), good) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        for place, arrays in enumerate(sets):
            dataset = data.load(file_path=paths[0] if place == 0 else None)
            check_splits(dataset, arrays)
            for path in paths[place]:
                path.unlink()
            if place == 1:
                monkeypatch.delenv("MNIST_DIR")
        assert server.requested == []
        check_splits(data.load(), sets[-1])  # from the mirror now
        assert server.requested == [f"{name}.gz" for name in NAMES]
    monkeypatch.setenv("MNIST_MIRRORS", CLOSED)
    assert data.load().name == "mnist"  # what was downloaded is there to stay


def test_unpacked_files_and_the_other_spelling_are_found() -> None:
    arrays = four_arrays()
    names = [NAMES[0] + ".gz", NAMES[1], NAMES[2].replace("-idx", ".idx"), NAMES[3]]
    fill(Path(), {name: idx(array) for name, array in zip(names, arrays, strict=True)})
    check_splits(data.load(), arrays)
    fill(Path(), {NAMES[0]: b"not read: the .gz comes first"})
    check_splits(data.load(), arrays)


@pytest.mark.parametrize("place", ["named", "repo/data", "cwd/data", "cwd"])
def test_what_the_user_supplied_is_never_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "named":
        monkeypatch.setenv("MNIST_DIR", str(tmp_path / place))
        assert "MNIST_DIR" in load_refusal(None)  # there is no such folder
    paths = fill(tmp_path / place, four_files(four_arrays()))
    paths[1].write_bytes(paths[1].read_bytes()[:-5])
    assert f"{NAMES[1]}.gz is damaged or incomplete. Delete it" in load_refusal(None)
    paths[1].unlink()
    paths[1].symlink_to(paths[1])
    assert f"{NAMES[1]}.gz cannot be read" in load_refusal(None)
    paths[1].unlink()
    paths[2].unlink()
    assert f"lacks {NAMES[1]}.gz, {NAMES[2]}.gz. Add what is missing" in load_refusal(None)
    paths[3].unlink()
    assert f"has {NAMES[0]}.gz but lacks {NAMES[1]}.gz" in load_refusal(None)
    paths[0].unlink()
    if place == "named":
        assert "MNIST_DIR" in load_refusal(None)  # the folder is empty
    else:
        assert data.load().name == "sklearn-digits"


# Digits


def test_the_embedded_digits_are_enlarged_exactly_and_their_test_set_is_fixed() -> None:
    bunch = load_digits()
    enlarged = {
        np.pad(np.kron(image / 16, np.ones((3, 3))), 2).astype(np.float32).tobytes(): label
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    datasets = [data.load("sklearn-digits", seed=seed) for seed in (0, 1)]
    for dataset in datasets:
        assert dataset.name == "sklearn-digits"
        splits = (dataset.train, dataset.validation, dataset.test)
        assert [len(split.labels) for split in splits] == [1149, 288, 360]
        rows = [row.tobytes() for split in splits for row in split.images]
        assert set(rows) == set(enlarged)
        labels = np.concatenate([split.labels for split in splits])
        assert labels.tolist() == [enlarged[row] for row in rows]
    np.testing.assert_array_equal(datasets[0].test.images, datasets[1].test.images)
    assert not np.array_equal(datasets[0].train.images, datasets[1].train.images)
    target = load_digits().target
    split = train_test_split(np.arange(1797), test_size=0.2, stratify=target, random_state=0)
    assert datasets[0].test.labels.tolist() == target[np.sort(split[1])].tolist()


def test_the_banner_says_why_and_what_to_do_and_is_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MNIST_MIRRORS", f"{CLOSED} http://mirror.invalid/mnist")
    start = time.monotonic()
    assert data.load().name == "sklearn-digits"
    banner, errors = capsys.readouterr()
    assert time.monotonic() - start < 5  # offline must not cost a wait for each file
    assert errors == ""
    assert len(banner.splitlines()) > 6
    for words in ("MNIST를 찾거나", "1,797", "MNIST 결과가 아닙니다", "data/", "MNIST_DIR", *NAMES):
        assert words in banner
    for url in (CLOSED, "http://mirror.invalid/mnist/"):
        assert f"{url}{NAMES[0]}.gz: 연결되지 않거나" in banner
    data.load()
    assert capsys.readouterr().out == banner


# Downloads


def status(code: int) -> Reply:
    return lambda request, body: request.head(code, Content_Length=0)


def html(request: Request, body: bytes) -> None:
    good(request, b"<!DOCTYPE html><html>Log in to this network</html>")


def cut(request: Request, body: bytes) -> None:
    request.head(Content_Length=len(body))
    request.wfile.write(body[: len(body) // 2])


def cut_without_length(request: Request, body: bytes) -> None:
    request.head()
    request.wfile.write(body[: len(body) // 2])


def stall(request: Request, body: bytes) -> None:
    request.wait(9)


def stall_in_the_middle(request: Request, body: bytes) -> None:
    cut(request, body)
    request.wait(9)


def redirect_for_ever(request: Request, body: bytes) -> None:
    request.head(302, Location=request.path, Content_Length=0)


def redirect_with_a_damaged_body(request: Request, body: bytes) -> None:
    request.head(302, Location="http://[", Content_Encoding="gzip", Content_Length=5)
    request.wfile.write(b"Z\0")


def trickle(request: Request, body: bytes) -> None:
    request.head(Content_Length=len(body))
    while request.wait(0.05):
        request.wfile.write(b"x")


def trickle_headers(request: Request, body: bytes) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while request.wait(0.05):
        request.wfile.write(b"X-Header: x\r\n")


def flood(request: Request, body: bytes) -> None:
    request.head()
    while request.wait(0):
        request.wfile.write(bytes(1 << 20))


FAULTS: dict[str, tuple[Reply, str, int]] = {  # reply, what the banner says, requests for 4 files
    "403": (status(403), "받을 수 없음 (403)", 4),
    "404": (status(404), "받을 수 없음 (404)", 4),
    "500": (status(500), "받을 수 없음 (500)", 4),
    "html": (html, "MNIST 파일이 아닌 내용", 4),
    "cut": (cut, "받을 수 없음 (ChunkedEncodingError)", 4),
    "cut without length": (cut_without_length, "MNIST 파일이 아닌 내용", 4),
    "stall": (stall, "연결되지 않거나 응답이 끊김", 1),
    "stall in the middle": (stall_in_the_middle, "연결되지 않거나 응답이 끊김", 1),
    "trickle": (trickle, "연결되지 않거나 응답이 끊김", 1),
    "trickle of headers": (trickle_headers, "연결되지 않거나 응답이 끊김", 1),
    "redirect for ever": (redirect_for_ever, "받을 수 없음 (302)", 4 * 31),
    "damaged redirect": (redirect_with_a_damaged_body, "받을 수 없음 (RequestException)", 4),
    "flood": (flood, "MNIST 파일이 아닌 내용", 4),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_mirror_is_reported_and_the_next_one_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    reply, reason, requests = FAULTS[fault]
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    monkeypatch.setattr(data, "TIMEOUT", 0.4 if "stall" in fault else 5)
    monkeypatch.setattr(data, "DEADLINE", 0.7 if "trickle" in fault else 5)
    monkeypatch.setattr(data, "MAX_DOWNLOAD", 1 << 21)
    start = time.monotonic()
    with mirror(files, reply) as bad, mirror(files, good) as second:
        monkeypatch.setenv("MNIST_MIRRORS", bad.url)
        assert data.load().name == "sklearn-digits"
        assert f"{bad.url}{NAMES[0]}.gz: {reason}" in capsys.readouterr().out
        assert list((tmp_path / "cache").iterdir()) == []  # not even a temporary file
        bad.requested.clear()
        monkeypatch.setenv("MNIST_MIRRORS", f"{bad.url} {second.url}")
        check_splits(data.load(), arrays)
        assert capsys.readouterr().out == ""
        assert len(bad.requested) == requests
        waiting = set(threading.enumerate()) - {threading.main_thread()}
        assert all(thread.daemon for thread in waiting)  # none can keep the process from ending
    assert time.monotonic() - start < 6


def unpacking(request: Request, body: bytes) -> None:
    """Call a .gz file "plain, but gzipped for the journey" wherever the client lets it."""
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        request.head(Content_Encoding="gzip", Content_Length=len(body))
        request.wfile.write(body)
    else:
        good(request, body)


def test_mirrors_complete_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    names = list(files)
    first, second = ({name: files[name] for name in names if name != lost} for lost in names[::3])
    with mirror(first, good) as one, mirror(second, unpacking) as two:
        monkeypatch.setenv("MNIST_MIRRORS", f"{CLOSED} {one.url.rstrip('/')} {two.url}")
        check_splits(data.load(), arrays)
        assert two.requested == [names[0]]


def test_a_damaged_file_in_the_cache_is_downloaded_again_and_leftovers_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    paths = fill(tmp_path / "cache", files | {"tmp0left0over": b"x"})
    paths[0].write_bytes(files[paths[0].name][:500])
    assert data.load().name == "sklearn-digits"  # offline: a half file is worth nothing
    with mirror(files, good) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        check_splits(data.load(), arrays)
        assert server.requested == [paths[0].name]


def disk_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def read_only(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def nameless(*_: object) -> None:
    raise OSError


def test_a_cache_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = make_canonical(monkeypatch, four_arrays())
    with mirror(files, good) as server:
        monkeypatch.setenv("MNIST_MIRRORS", f"{server.url} {server.url}")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", disk_full)
            assert data.load().name == "sklearn-digits"
        assert "다운로드 캐시를 쓸 수 없음 (No space left on device)" in capsys.readouterr().out
        assert list((tmp_path / "cache").iterdir()) == []
        assert len(server.requested) == 1  # another mirror would not make room
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "NamedTemporaryFile", read_only)
            assert data.load().name == "sklearn-digits"
        assert "다운로드 캐시를 쓸 수 없음 (Read-only file system)" in capsys.readouterr().out
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", nameless)
            assert data.load().name == "sklearn-digits"
        assert "다운로드 캐시를 쓸 수 없음 (OSError)" in capsys.readouterr().out
        (tmp_path / "file").touch()
        monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "file"))
        assert data.load().name == "sklearn-digits"
        assert "다운로드 캐시를 쓸 수 없음 (Not a directory)" in capsys.readouterr().out
    fill(tmp_path / "cache", files)
    monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", read_only)
    assert data.load().name == "mnist"  # a full cache needs no writing


def test_without_a_home_directory_the_cache_is_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    files = make_canonical(monkeypatch, four_arrays())
    for name in ("HOME", "XDG_CACHE_HOME", "MNIST_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with mirror(files, good) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        assert data.load().name == "mnist"
    assert {path.name for path in (tmp_path / "mnist-mlp").iterdir()} == set(files)
    assert list(Path().iterdir()) == []  # in particular no folder called "~"


def test_without_settings_the_public_mirrors_fill_the_cache_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_canonical(monkeypatch, four_arrays())
    for name in ("MNIST_CACHE", "MNIST_MIRRORS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    with mirror(files, good) as server:
        monkeypatch.setattr(data, "MIRRORS", f"{CLOSED} {server.url}")
        assert data.load().name == "mnist"
    assert {path.name for path in (tmp_path / "home").rglob("*.gz")} == set(files)


def test_two_processes_may_download_into_one_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_canonical(monkeypatch, four_arrays(n_train=1000))
    with mirror(files, slow) as server:
        children = [start_child(tmp_path, server, tmp_path / "cache") for _ in range(2)]
        let_go(children)
        outputs = [child.communicate() for child in children]
        assert outputs == 2 * [("mnist\n", "")]  # a download leaves no trace in the output
        assert len(server.requested) > 4  # they did overlap
    assert {p.name: p.read_bytes() for p in (tmp_path / "cache").iterdir()} == files


# The data themselves: MNIST where MNIST_DIR names it, otherwise the embedded digits


def test_facts_of_the_dataset_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DIR", REAL)
    start = time.monotonic()
    dataset = data.load("mnist" if REAL else "sklearn-digits", seed=3)
    assert time.monotonic() - start < 10  # about 1 s on an idle machine
    splits = (dataset.train, dataset.validation, dataset.test)
    sizes = {"mnist": [48_000, 12_000, 10_000], "sklearn-digits": [1149, 288, 360]}
    assert dataset.name == ("mnist" if REAL else "sklearn-digits")
    assert [len(split.labels) for split in splits] == sizes[dataset.name]
    rows = [{row.tobytes() for row in split.images} for split in splits]
    assert sum(map(len, rows)) == len(set.union(*rows)) == sum(sizes[dataset.name])  # all unique
    train, validation = (Counter(split.labels.tolist()) for split in splits[:2])
    assert set(train) == set(range(10))
    for c in range(10):  # within one image
        assert abs(validation[c] - (train[c] + validation[c]) / 5) <= 1
    for split in splits:
        assert split.images.shape == (len(split.labels), 784)
        assert (split.images.min(), split.images.max()) == (0, 1)
