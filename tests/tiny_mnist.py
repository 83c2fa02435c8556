"""A tiny MNIST, the files it is stored in, and servers that offer them, well or badly."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mnist_mlp import data, download

Array = npt.NDArray[Any]
Reply = Callable[[bytes], Iterable[bytes | float]]
NAMES = list(download.GZ_SHA256)
CLOSED = "http://127.0.0.1:9/"  # nothing listens on "discard": refused at once


def idx(array: Array) -> bytes:
    """Return `array` as a plain IDX file, written independently of the module under test."""
    shape = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def four_arrays(seed: int = 0, n_train: int = 100, n_test: int = 20) -> list[Array]:
    """Return unique random images and labels in balanced but random order, train and t10k."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = []
    for n in (n_train, n_test):
        arrays.append(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        arrays.append(rng.permutation(np.arange(n) % 10).astype(np.uint8))
    return arrays


def four_files(arrays: list[Array]) -> dict[str, bytes]:
    return {f"{name}.gz": zipped(idx(array)) for name, array in zip(NAMES, arrays, strict=True)}


def fill(folder: Path, files: dict[str, bytes]) -> list[Path]:
    """Write files, whose names may lead through folders; return their paths."""
    paths = [folder / name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return paths


def sha256s(contents: list[bytes]) -> dict[str, str]:
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    return dict(zip(NAMES, digests, strict=True))


def make_canonical(monkeypatch: pytest.MonkeyPatch, arrays: list[Array]) -> dict[str, bytes]:
    """Let the package take `arrays` for MNIST; return the four .gz files."""
    files = four_files(arrays)
    monkeypatch.setattr(download, "GZ_SHA256", sha256s(list(files.values())))
    monkeypatch.setattr(data, "ARRAY_SHA256", sha256s([array.tobytes() for array in arrays]))
    return files


def check_splits(dataset: data.Dataset, arrays: list[Array]) -> None:
    """Check that every image is where it must be: once, in order, with its label and its pixels."""
    images, labels, *_ = arrays
    where = {image.tobytes(): i for i, image in enumerate(images)}
    held_out = [
        where[(row * 255).round().astype(np.uint8).tobytes()] for row in dataset.validation.images
    ]
    assert held_out == sorted(set(held_out))
    kept = np.setdiff1d(np.arange(len(images)), held_out)
    share = len(held_out) / len(images)
    assert 0.2 <= share < 0.2 + 1 / len(images)
    for c in range(10):  # stratified: one image cannot be cut
        assert abs(np.sum(labels[held_out] == c) - share * np.sum(labels == c)) < 1
    expected = [(images[kept], labels[kept]), (images[held_out], labels[held_out]), arrays[2:]]
    for split, (pixels, truth) in zip(
        (dataset.train, dataset.validation, dataset.test), expected, strict=True
    ):
        np.testing.assert_array_equal(split.labels, truth)
        scaled = pixels.reshape(-1, 784).astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(split.images, scaled)
        assert (split.images.dtype.name, split.labels.dtype.name) == ("float32", "int64")
        assert split.images.flags.c_contiguous


def head(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.0 {status} x", *headers, "", ""]).encode()


def good(body: bytes) -> list[bytes | float]:
    return [head(200 if body else 404, f"Content-Length: {len(body)}"), body]


class Request(BaseHTTPRequestHandler):
    server: "Mirror"

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.requested.append(name)
        self.server.encodings.add(self.headers["Accept-Encoding"])
        for part in self.server.reply(self.server.files.get(name, b"")):
            if isinstance(part, bytes):
                self.wfile.write(part)
            elif self.server.over.wait(part):
                return

    def log_message(self, *_: object) -> None:
        pass


class Mirror(ThreadingHTTPServer):
    """Answers a request for a file with what ``reply`` makes of it: bytes, and seconds to wait."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files, self.reply = files, reply
        self.requested: list[str] = []
        self.encodings: set[str] = set()
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, *_: object) -> None:
        pass  # a client that hangs up is what these tests are about


@contextmanager
def mirror(files: dict[str, bytes], reply: Reply = good) -> Iterator[Mirror]:
    server = Mirror(files, reply)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
