"""No fault of a mirror, a disk or a process leaves a wrong file, a long wait or silence."""

import errno
import pwd
import tempfile
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from tiny_mnist import CLOSED, NAMES, check_splits, fill, four_arrays, head, make_canonical, mirror

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
LONG = "Content-Length: 9999"
NO_ANSWER, NOT_MNIST = "연결되지 않거나 응답이 끊김", "MNIST 파일이 아닌 내용"
FAULTS: dict[str, tuple[list[bytes | float], str, int]] = {
    # what is sent (and seconds waited), what the banner says, requests for four files
    "404": ([head(404)], "받을 수 없음 (404)", 4),
    "html": ([head(200), b"<!DOCTYPE html>Log in to this network"], NOT_MNIST, 4),
    "cut": ([head(200, LONG), b"\x1f\x8b\x08"], "받을 수 없음 (ChunkedEncodingError)", 4),
    "stall in the middle": ([head(200, LONG), b"\x1f", WAIT], NO_ANSWER, 1),
    "trickle": ([b"HTTP/1.1 200 x\r\nX: ", *(60 * DROP)], NO_ANSWER, 1),
    "damaged redirect": (
        [head(302, "Location: http://[", "Content-Encoding: gzip", "Content-Length: 5"), b"Z\0"],
        "받을 수 없음 (",
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


def test_a_cache_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = make_canonical(monkeypatch, four_arrays())
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left"))
    with mirror(files) as server:
        monkeypatch.setenv("MNIST_MIRRORS", f"{server.url} {server.url}")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            assert data.load().name == "sklearn-digits"
        assert "다운로드 캐시를 쓸 수 없음 (No space left)" in capsys.readouterr().out
        assert contents(tmp_path / "cache") == {}
        assert len(server.requested) == 1  # another mirror would not make room
        (tmp_path / "file").touch()
        with monkeypatch.context() as patch:
            patch.setenv("MNIST_CACHE", str(tmp_path / "file"))
            assert data.load().name == "sklearn-digits"
        assert "다운로드 캐시를 쓸 수 없음 (Not a directory)" in capsys.readouterr().out
    fill(tmp_path / "cache", files)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
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
