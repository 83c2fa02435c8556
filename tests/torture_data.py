"""Fuzzing, hostile servers and kill -9 for `mnist_mlp.data`; also run, in small, by test_data.py.

`TORTURE=1 pytest tests/torture_data.py` tries more than 20,000 random inputs and 20 kills.
"""

import functools
import gzip
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from mnist_mlp import data

TORTURE = bool(os.environ.get("TORTURE"))
Array = npt.NDArray[Any]
Reply = Callable[["Request", bytes], None]
NAMES = list(data.GZ_SHA256)
CASES: Counter[str] = Counter()
"""What a test that tries several cases has tried, by the test's name."""
CLOSED = "http://127.0.0.1:9/"  # nothing listens on "discard": refused at once
settings.register_profile("quick", max_examples=300, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "torture",
    max_examples=20_000,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def fuzz(strategy: st.SearchStrategy[Any], share: float) -> Callable[..., Callable[..., None]]:
    """Return a decorator: hypothesis with `share` of the profile's examples."""
    profile = settings.get_profile("torture" if TORTURE else "quick")
    limited = settings(profile, max_examples=max(1, int(share * profile.max_examples)))

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            CASES[test.__name__] += 1
            test(*args, **kwargs)

        return limited(hypothesis_given(strategy)(counted))

    return decorate


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own files, cache, proxies or network."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(data, "__file__", str(tmp_path / "repo" / "src" / "mnist_mlp" / "data.py"))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MNIST_MIRRORS", CLOSED)
    monkeypatch.setenv("NO_PROXY", "*")


# Files


def idx(array: Array) -> bytes:
    """Return `array` as a plain IDX file, written independently of the module under test."""
    shape = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def four_arrays(seed: int = 0, n_train: int = 100, n_test: int = 20) -> list[Array]:
    """Return a tiny MNIST: unique random images, labels in balanced but random order."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = []
    for n in (n_train, n_test):
        arrays.append(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        arrays.append(rng.permutation(np.arange(n) % 10).astype(np.uint8))
    return arrays


def four_files(arrays: list[Array]) -> dict[str, bytes]:
    pairs = zip(NAMES, arrays, strict=True)
    return {f"{name}.gz": gzip.compress(idx(array), mtime=0) for name, array in pairs}


def fill(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def sha256s(contents: list[bytes]) -> dict[str, str]:
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    return dict(zip(NAMES, digests, strict=True))


def make_canonical(monkeypatch: pytest.MonkeyPatch, arrays: list[Array]) -> dict[str, bytes]:
    """Let the module take `arrays` for MNIST; return the four .gz files."""
    files = four_files(arrays)
    monkeypatch.setattr(data, "GZ_SHA256", sha256s(list(files.values())))
    monkeypatch.setattr(data, "ARRAY_SHA256", sha256s([array.tobytes() for array in arrays]))
    return files


# Servers


class Request(BaseHTTPRequestHandler):
    server: "Mirror"

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.requested.append(name)
        self.server.reply(self, self.server.files.get(name, b""))

    def log_message(self, *_: object) -> None:
        pass

    def head(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def wait(self, seconds: float) -> bool:
        """Sleep; return False once the test is over."""
        return not self.server.over.wait(seconds)


class Mirror(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, files: dict[str, bytes], reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files, self.reply = files, reply
        self.requested: list[str] = []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, *_: object) -> None:
        pass  # a client that hangs up is what these tests are about


@contextmanager
def mirror(files: dict[str, bytes], reply: Reply) -> Iterator[Mirror]:
    server = Mirror(files, reply)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


def good(request: Request, body: bytes) -> None:
    request.head(200 if body else 404, Content_Length=len(body))
    request.wfile.write(body)


# Properties


def reference(blob: bytes) -> Array | None:
    """Decode the obvious way, the whole file at once; None where it must be refused."""
    if blob[:2] == b"\x1f\x8b":
        try:
            blob = gzip.decompress(blob)
        except (OSError, EOFError, zlib.error):
            return None
    if len(blob) < 4 or blob[:3] != b"\0\0\x08" or blob[3] not in (1, 3):
        return None
    start = 4 + 4 * blob[3]
    shape = [int.from_bytes(blob[i : i + 4], "big") for i in range(4, start, 4)]
    if not 1 <= shape[0] <= 100_000 or shape[1:] not in ([], [28, 28]):
        return None
    if len(blob) != start + math.prod(shape):
        return None
    return np.array(list(blob[start:]), np.uint8).reshape(shape)


COUNTS = [0, 1, 2, 3, 4, 27, 28, 29, 100_000, 100_001, 2**31 - 1, 2**31, 2**32 - 1]


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """Draw a small IDX file, plain or gzipped, with at most one fault inside and one outside."""
    n = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(n,), (n, 28, 28)]))
    raw = bytearray(idx(rng.integers(0, draw(st.sampled_from([1, 10, 256])), shape)))
    inside = draw(st.sampled_from(["", "", "", "magic", "field", "cut", "more", "html"]))
    if inside == "magic":
        raw[draw(st.integers(0, 3))] = draw(st.integers(0, 255))
    elif inside == "field":
        at = 4 + 4 * draw(st.integers(0, len(shape) - 1))
        raw[at : at + 4] = draw(st.sampled_from(COUNTS)).to_bytes(4, "big")
    elif inside == "cut":
        del raw[draw(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, len(raw) - 1])) :]
    elif inside == "more":
        raw += draw(st.binary(min_size=1, max_size=3))
    elif inside == "html":
        raw = bytearray(b"<!DOCTYPE html><html><body>404 Not Found</body></html>")
    blob = bytearray(raw)
    outside = draw(st.sampled_from(["plain", "gzip", "members", "padded", "twice", "noise"]))
    if outside == "noise":
        return draw(st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0"])) + draw(st.binary())
    if outside != "plain":
        at = draw(st.integers(0, len(raw))) if outside == "members" else len(raw)
        level = draw(st.integers(0, 9))
        members = (gzip.compress(part, level, mtime=0) for part in (raw[:at], raw[at:]))
        blob = bytearray(b"".join(members))
        blob += bytes(8) if outside == "padded" else b""
        blob = bytearray(gzip.compress(blob, mtime=0)) if outside == "twice" else blob
    fault = draw(st.sampled_from(["", "", "cut", "flip", "trailer", "more"]))
    if fault == "cut":
        del blob[draw(st.integers(0, len(blob))) :]
    elif fault == "flip" and blob:
        blob[draw(st.integers(0, len(blob) - 1))] ^= 1 << draw(st.integers(0, 7))
    elif fault == "trailer" and blob:  # CRC-32 and length, where the file is a gzip file
        blob[-draw(st.integers(1, min(8, len(blob))))] ^= 1 << draw(st.integers(0, 7))
    elif fault == "more":
        blob += draw(st.binary(min_size=1, max_size=20))
    return bytes(blob)


@fuzz(damaged_files(), 1.0)
def test_a_file_is_decoded_exactly_or_refused(
    tmp_path_factory: pytest.TempPathFactory, blob: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(blob)
    expected = reference(blob)
    if expected is None:
        with pytest.raises(data.DatasetError, match="fuzzed"):
            data.read_idx(path)
    else:
        array = data.read_idx(path)
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, expected)


@st.composite
def quartets(draw: st.DrawFn) -> tuple[list[Array], int]:
    """Draw four arrays that may not belong together, and a seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    top = draw(st.sampled_from([1, 2, 9, 9, 9, 10, 11, 255]))
    sizes = [draw(st.integers(1, 30) | st.integers(60, 120)), draw(st.integers(1, 60))]
    arrays: list[Array] = []
    for n in sizes:
        off = draw(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1]))
        arrays.append(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        arrays.append(rng.integers(0, top + 1, n + off, dtype=np.uint8))
    order = list(draw(st.sampled_from([[0, 1, 2, 3]] * 6 + [[2, 3, 0, 1], [1, 0, 3, 2]])))
    if draw(st.integers(0, 9)) == 0:
        order = [draw(st.integers(0, 3)) for _ in order]
    return [arrays[i] for i in order], draw(st.integers(0, 2**32 - 1))


def belongs_together(arrays: list[Array]) -> bool:
    images, labels, test_images, test_labels = arrays
    if [array.ndim for array in arrays] != [3, 1, 3, 1]:
        return False
    if len(images) != len(labels) or len(test_images) != len(test_labels):
        return False
    if max(labels.max(), test_labels.max()) > 9 or len(images) < len(test_images):
        return False
    classes, n = Counter(labels.tolist()), len(labels)
    held_out = math.ceil(0.2 * n)
    enough = min(classes.values()) >= 2 and min(held_out, n - held_out) >= len(classes)
    return enough and not np.array_equal(images, test_images)


@fuzz(quartets(), 0.15)
def test_four_files_are_split_exactly_or_refused(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[list[Array], int]
) -> None:
    arrays, seed = drawn
    folder = tmp_path_factory.getbasetemp() / "fuzzed-four"
    paths = fill(folder, {name: idx(a) for name, a in zip(NAMES, arrays, strict=True)})
    if not belongs_together(arrays):
        with pytest.raises(data.DatasetError, match="fuzzed-four"):
            data.load(file_path=paths, seed=seed)
        return
    dataset = data.load(file_path=paths, seed=seed)
    assert dataset.name == "idx-files"
    check_splits(dataset, arrays)


def check_splits(dataset: data.Dataset, arrays: list[Array]) -> None:
    """Check that every image is where it must be: once, in order, with its label and its pixels."""
    images, labels, test_images, test_labels = arrays
    where = {image.tobytes(): i for i, image in enumerate(images)}
    used: list[int] = []
    for split in (dataset.train, dataset.validation):
        pixels = np.rint(split.images * 255).astype(np.uint8)
        indices = [where[row.tobytes()] for row in pixels]
        assert indices == sorted(indices)
        np.testing.assert_array_equal(split.labels, labels[indices])
        expected = images[indices].reshape(-1, 784).astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(split.images, expected)
        used += indices
    assert sorted(used) == list(range(len(images)))
    assert len(dataset.validation.labels) == math.ceil(0.2 * len(images))
    ours, whole = Counter(dataset.validation.labels.tolist()), Counter(labels.tolist())
    share = len(dataset.validation.labels) / len(images)
    assert all(abs(ours[c] - share * whole[c]) < 1 for c in whole)  # one image cannot be cut
    expected = test_images.reshape(-1, 784).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(dataset.test.images, expected)
    np.testing.assert_array_equal(dataset.test.labels, test_labels)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.images.dtype.name == "float32"
        assert split.labels.dtype.name == "int64"
        assert split.images.flags.c_contiguous


STATUSES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 206 x", b"HTTP/1.0 302 x", b"HTTP/1.1 100 x", b"x", b""]
HEADERS = [
    b"Content-Length: 5",
    b"Content-Length: 99999999",
    b"Content-Length: -1",
    b"Content-Length: x",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Location: http://[",
    b"Location: //",
    b"Location: http://.invalid/",
    b"Location: file:///dev/zero",
    b"Location: http://127.0.0.1:99999/",
    b"Set-Cookie: \xff=\xfe",
    b"\xff",
    b"x" * 70_000,
]
heads = st.builds(
    lambda status, headers: b"\r\n".join([status, *headers, b"", b""]),
    st.sampled_from(STATUSES),
    st.lists(st.sampled_from(HEADERS), max_size=3),
)


@fuzz(st.tuples(heads, st.booleans(), st.binary()), 0.1)
def test_no_reply_of_a_mirror_raises_or_stays_in_the_cache(
    tmp_path_factory: pytest.TempPathFactory, reply: tuple[bytes, bool, bytes]
) -> None:
    head, whole, noise = reply

    def answer(request: Request, body: bytes) -> None:
        request.wfile.write(head + (body if whole else noise))

    cache = tmp_path_factory.getbasetemp() / "fuzzed-cache"
    with pytest.MonkeyPatch.context() as patch:
        files = make_canonical(patch, four_arrays())
        digits = data.load("sklearn-digits")
        patch.setattr(data, "_digits", lambda _: digits)  # saves 0.1 s for each example
        patch.setenv("MNIST_CACHE", str(cache))
        with mirror(files, answer) as server:
            patch.setenv("MNIST_MIRRORS", server.url)
            dataset = data.load()
    kept = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert kept == (files if dataset.name == "mnist" else {})
    assert dataset.name == "mnist" or dataset is digits
    for name in kept:
        (cache / name).unlink()


CHILD = """
import json, sys
import pooch, requests  # here, so that the clock below runs on the download alone
from mnist_mlp import data
data.__file__ = "/nowhere/src/mnist_mlp/data.py"
data.GZ_SHA256, data.ARRAY_SHA256 = json.loads(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(data.load().name)
"""


def start_child(cwd: Path, server: Mirror, cache: Path) -> subprocess.Popen[str]:
    """Start a process that loads the canonical files, downloading them, once it is sent a line."""
    hashes = json.dumps([data.GZ_SHA256, data.ARRAY_SHA256])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, hashes],
        env=os.environ | {"MNIST_MIRRORS": server.url, "MNIST_CACHE": str(cache)},
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def let_go(children: list[subprocess.Popen[str]]) -> None:
    """Let the children start together, as soon as all of them are ready."""
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()


def slow(request: Request, body: bytes) -> None:
    request.head(Content_Length=len(body))
    for start in range(0, len(body), 1 << 16):
        request.wfile.write(body[start : start + (1 << 16)])
        request.wait(0.02)


@pytest.mark.parametrize("first", range(10 if TORTURE else 1))
def test_kill_9_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    arrays = four_arrays(n_train=2000, n_test=500)
    files = make_canonical(monkeypatch, arrays)
    rng = random.Random(first)  # noqa: S311
    with mirror(files, slow) as server:
        caches = [tmp_path / "a", tmp_path / "b"]
        children = [start_child(tmp_path, server, cache) for cache in caches]
        for child, cache in zip(children, caches, strict=True):
            let_go([child])
            with pytest.raises(subprocess.TimeoutExpired):  # a whole download waits 30 times 0.02 s
                child.wait(rng.uniform(0.0, 0.5))
            child.kill()
            child.communicate()
            CASES["test_kill_9_leaves_no_half_file"] += 1
            kept = {p.name: p.read_bytes() for p in cache.glob("*.gz")}
            assert kept == {name: files[name] for name in kept}
            monkeypatch.setenv("MNIST_CACHE", str(cache))
            monkeypatch.setenv("MNIST_MIRRORS", server.url)
            check_splits(data.load(), arrays)
