"""No fault of a mirror, a disk or a process leaves a wrong file, a long wait or silence."""

import errno
import json
import os
import pwd
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from tiny_mnist import (
    CLOSED,
    NAMES,
    Mirror,
    check_splits,
    fill,
    four_arrays,
    head,
    make_canonical,
    mirror,
)

from mnist_mlp import data, download

pytestmark = pytest.mark.usefixtures("isolated")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_banner_says_why_and_what_to_do_and_is_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MNIST_MIRRORS", f"{CLOSED} http://mirror.invalid/mnist")
    start = time.monotonic()
    assert data.load().name == "sklearn-digits"
    banner, errors = capsys.readouterr()
    assert time.monotonic() - start < 5  # offline must not cost a wait for each file
    assert errors == ""
    for words in ("MNIST를 찾거나", "1,797", "MNIST 결과가 아닙니다", "data/", "MNIST_DIR", *NAMES):
        assert words in banner
    assert "  - data/ 폴더와 현재 폴더: 파일이 없음\n" in banner
    for url in (CLOSED, "http://mirror.invalid/mnist/"):
        assert f"  - {url}{NAMES[0]}.gz: 연결되지 않거나" in banner
    data.load()
    assert capsys.readouterr().out == banner


WAIT = 9.0
DROP: list[bytes | float] = [0.05, b"x"]
TRICKLE = 60 * DROP
LONG = "Content-Length: 9999"
NO_ANSWER, NOT_MNIST = "연결되지 않거나 응답이 끊김", "MNIST 파일이 아닌 내용"
FAULTS: dict[str, tuple[list[bytes | float], str, int]] = {
    # what is sent (and seconds waited), what the banner says, requests for four files
    "403": ([head(403)], "받을 수 없음 (403)", 4),
    "404": ([head(404)], "받을 수 없음 (404)", 4),
    "500": ([head(500)], "받을 수 없음 (500)", 4),
    "html": ([head(200), b"<!DOCTYPE html>Log in to this network"], NOT_MNIST, 4),
    "cut": ([head(200, LONG), b"\x1f\x8b\x08"], "받을 수 없음 (ChunkedEncodingError)", 4),
    "cut without length": ([head(200), b"\x1f\x8b\x08"], NOT_MNIST, 4),
    "stall": ([WAIT], NO_ANSWER, 1),
    "stall in the middle": ([head(200, LONG), b"\x1f", WAIT], NO_ANSWER, 1),
    "trickle": ([head(200, LONG), *TRICKLE], NO_ANSWER, 1),
    "trickle of headers": ([b"HTTP/1.1 200 x\r\nX: ", *TRICKLE], NO_ANSWER, 1),
    "redirect for ever": (
        [head(302, "Location: again", "Content-Length: 0")],
        "받을 수 없음 (302)",
        124,
    ),
    "damaged redirect": (
        [head(302, "Location: http://[", "Content-Encoding: gzip", "Content-Length: 5"), b"Z\0"],
        "받을 수 없음 (RequestException)",
        4,
    ),
    "too much": ([head(200), bytes(3 << 20), WAIT], NOT_MNIST, 4),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_mirror_is_reported_and_the_next_one_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    reply, reason, requests = FAULTS[fault]
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    monkeypatch.setattr(download, "TIMEOUT", 0.4 if "stall" in fault else 5)
    monkeypatch.setattr(download, "DEADLINE", 0.7 if "trickle" in fault else 5)
    monkeypatch.setattr(download, "MAX_SIZE", 1 << 21)
    start, before = time.monotonic(), set(threading.enumerate())
    with mirror(files, lambda _: reply) as bad, mirror(files) as second:
        monkeypatch.setenv("MNIST_MIRRORS", bad.url)
        assert data.load().name == "sklearn-digits"
        assert f"{bad.url}{NAMES[0]}.gz: {reason}" in capsys.readouterr().out
        assert contents(tmp_path / "cache") == {}  # not even a temporary file
        bad.requested.clear()
        monkeypatch.setenv("MNIST_MIRRORS", f"{bad.url} {second.url}")
        check_splits(data.load(), arrays)
        assert capsys.readouterr().out == ""
        assert len(bad.requested) == requests
        waiting = set(threading.enumerate()) - before
        assert all(thread.daemon for thread in waiting)  # none can keep the process from ending
    assert time.monotonic() - start < 6


def test_mirrors_complete_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    names = list(files)
    first, second = ({name: files[name] for name in names if name != lost} for lost in names[::3])
    with mirror(first) as one, mirror(second) as two:
        monkeypatch.setenv("MNIST_MIRRORS", f"{CLOSED} {one.url.rstrip('/')} {two.url}")
        check_splits(data.load(), arrays)
        assert two.requested == [names[0]]
        assert two.encodings == {"identity"}  # else some servers send what is inside the .gz


STATUSES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 206 x", b"HTTP/1.0 302 x", b"HTTP/1.1 100 x", b"x", b""]
HEADERS = [
    *(b"Content-Length: " + value for value in (b"5", b"99999999", b"-1", b"x")),
    *(
        b"Location: " + url
        for url in (b"http://[", b"//", b"http://.invalid/", b"file:///dev/zero")
    ),
    b"Location: http://127.0.0.1:99999/",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Set-Cookie: \xff=\xfe",
    b"\xff",
    b"x" * 70_000,
]


def answer(start: bytes, noise: bytes | None, body: bytes) -> list[bytes | float]:
    return [start, body if noise is None else noise]


@pytest.mark.parametrize("n", [30, pytest.param(2000, marks=pytest.mark.slow)])
def test_no_random_reply_of_a_mirror_raises_or_stays_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    files = make_canonical(monkeypatch, four_arrays())
    digits = data.load("sklearn-digits")
    monkeypatch.setattr(data, "_digits", lambda _: digits)  # saves 0.1 s for each reply
    with mirror(files) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        for seed in range(n):
            rng = random.Random(seed)
            lines = [rng.choice(STATUSES), *rng.choices(HEADERS, k=rng.randrange(4))]
            start = b"\r\n".join([*lines, b"", b""])
            noise = rng.choice([None, rng.randbytes(rng.randrange(50))])
            server.reply = partial(answer, start, noise)
            dataset = data.load()
            kept = contents(tmp_path / "cache")
            assert kept == (files if dataset.name == "mnist" else {}), seed
            assert dataset.name == "mnist" or dataset is digits
            for name in kept:
                (tmp_path / "cache" / name).unlink()


def test_a_damaged_file_in_the_cache_is_downloaded_again_and_leftovers_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    paths = fill(tmp_path / "cache", files | {"tmp0left0over": b"x"})
    paths[0].write_bytes(files[paths[0].name][:500])
    assert data.load().name == "sklearn-digits"  # offline: a half file is worth nothing
    with mirror(files) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        check_splits(data.load(), arrays)
        assert server.requested == [paths[0].name]


DISK_FAULTS = [
    (Path, "write_bytes", OSError(errno.ENOSPC, "No space left"), "No space left"),
    (Path, "write_bytes", OSError(), "OSError"),
    (tempfile, "NamedTemporaryFile", OSError(errno.EROFS, "Read-only"), "Read-only"),
]


def test_a_cache_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = make_canonical(monkeypatch, four_arrays())
    with mirror(files) as server:
        monkeypatch.setenv("MNIST_MIRRORS", f"{server.url} {server.url}")
        for owner, function, error, reason in DISK_FAULTS:
            server.requested.clear()
            with monkeypatch.context() as patch:
                patch.setattr(owner, function, Mock(side_effect=error))
                assert data.load().name == "sklearn-digits"
            assert f"다운로드 캐시를 쓸 수 없음 ({reason})" in capsys.readouterr().out
            assert contents(tmp_path / "cache") == {}
            assert len(server.requested) <= 1  # another mirror would not make room
        (tmp_path / "file").touch()
        monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "file"))
        assert data.load().name == "sklearn-digits"
        assert "다운로드 캐시를 쓸 수 없음 (Not a directory)" in capsys.readouterr().out
    fill(tmp_path / "cache", files)
    monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", Mock(side_effect=OSError))
    assert data.load().name == "mnist"  # a full cache needs no writing


def test_without_settings_the_cache_is_the_users_or_without_a_home_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_canonical(monkeypatch, four_arrays())
    for name in ("HOME", "MNIST_CACHE", "MNIST_MIRRORS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with mirror(files) as server:
        monkeypatch.setattr(download, "MIRRORS", f"{CLOSED} {server.url}")
        with monkeypatch.context() as patch:
            patch.setenv("HOME", str(tmp_path / "home"))
            assert data.load().name == "mnist"
        assert {path.name for path in (tmp_path / "home").rglob("*.gz")} == set(files)
        monkeypatch.setattr(pwd, "getpwuid", Mock(side_effect=KeyError))
        assert data.load().name == "mnist"
    assert contents(tmp_path / "mnist-mlp") == files
    assert list(Path().iterdir()) == []  # in particular no folder called "~"


CHILD = """
import json, sys
import pooch, requests  # here, so that the clock below runs on the download alone
from mnist_mlp import data, download
data.__file__ = "/nowhere/src/mnist_mlp/data.py"
download.GZ_SHA256, data.ARRAY_SHA256 = json.loads(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(data.load().name)
"""


def start_children(server: Mirror, caches: list[Path]) -> list[subprocess.Popen[str]]:
    """Start processes that load the canonical files, into a cache each, once they get a line."""
    hashes = json.dumps([download.GZ_SHA256, data.ARRAY_SHA256])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, hashes],
            env=os.environ | {"MNIST_MIRRORS": server.url, "MNIST_CACHE": str(cache)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for cache in caches
    ]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    return children


def let_go(child: subprocess.Popen[str]) -> None:
    assert child.stdin
    child.stdin.write("go\n")
    child.stdin.flush()


def slow(body: bytes) -> Iterator[bytes | float]:
    yield head(200, f"Content-Length: {len(body)}")
    for start in range(0, len(body), 1 << 16):
        yield from (body[start : start + (1 << 16)], 0.02)


def test_two_processes_may_download_into_one_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_canonical(monkeypatch, four_arrays(n_train=1000))
    with mirror(files, slow) as server:
        children = start_children(server, 2 * [tmp_path / "cache"])
        for child in children:
            let_go(child)
        outputs = [child.communicate() for child in children]
        assert outputs == 2 * [("mnist\n", "")]  # a download leaves no trace in the output
        assert len(server.requested) > 4  # they did overlap
    assert contents(tmp_path / "cache") == files


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    arrays = four_arrays(n_train=2000, n_test=500)
    files = make_canonical(monkeypatch, arrays)
    rng = random.Random(kills)
    with mirror(files, slow) as server:
        monkeypatch.setenv("MNIST_MIRRORS", server.url)
        for kill in range(kills):
            cache = tmp_path / str(kill)
            (child,) = start_children(server, [cache])
            let_go(child)
            with pytest.raises(subprocess.TimeoutExpired):  # a whole download waits 30 times 0.02 s
                child.wait(rng.uniform(0.0, 0.5))
            child.kill()
            child.communicate()
            kept = {path.name: path.read_bytes() for path in cache.glob("*.gz")}
            assert kept == {name: files[name] for name in kept}
            monkeypatch.setenv("MNIST_CACHE", str(cache))
            check_splits(data.load(), arrays)
