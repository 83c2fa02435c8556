"""No fault of a mirror or a disk leaves a wrong file, a long wait or silence."""

import time
from pathlib import Path

import pytest
from tiny_mnist import CLOSED, NAMES, check_splits, fill, four_arrays, head, make_canonical, mirror

from mnist_mlp import data, download

pytestmark = pytest.mark.usefixtures("isolated")


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


LONG = "Content-Length: 9999"
FAULTS: dict[str, tuple[list[bytes | float], str, int]] = {
    # what is sent (and seconds waited), what the banner says, requests for four files
    "404": ([head(404)], "받을 수 없음 (404)", 4),
    "html": ([head(200), b"<!DOCTYPE html>Log in to this network"], "MNIST 파일이 아닌 내용", 4),
    "cut": ([head(200, LONG), b"\x1f\x8b\x08"], "받을 수 없음 (ChunkedEncodingError)", 4),
    "stall in the middle": ([head(200, LONG), b"\x1f", 2.0], "연결되지 않거나 응답이 끊김", 1),
    "damaged redirect": (
        [head(302, "Location: http://[", "Content-Encoding: gzip", "Content-Length: 5"), b"Z\0"],
        "받을 수 없음 (",
        4,
    ),
}


@pytest.mark.parametrize(("reply", "reason", "requests"), FAULTS.values(), ids=FAULTS)
def test_a_bad_mirror_is_reported_and_the_next_one_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reply: list[bytes | float],
    reason: str,
    requests: int,
) -> None:
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    monkeypatch.setattr(download, "TIMEOUT", 0.4)
    with mirror(files, reply) as bad, mirror(files) as second:
        monkeypatch.setenv("MNIST_MIRRORS", bad.url)
        assert data.load().name == "sklearn-digits"
        assert f"{bad.url}{NAMES[0]}.gz: {reason}" in capsys.readouterr().out
        assert list((tmp_path / "cache").iterdir()) == []  # not even a temporary file
        bad.requested.clear()
        monkeypatch.setenv("MNIST_MIRRORS", f"{bad.url} {second.url}")
        check_splits(data.load(), arrays)
        assert capsys.readouterr().out == ""
        assert len(bad.requested) == requests


def test_mirrors_complete_one_another_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = four_arrays()
    files = make_canonical(monkeypatch, arrays)
    names = list(files)
    first, second = ({name: files[name] for name in names if name != lost} for lost in names[::3])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("MNIST_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with mirror(first) as one, mirror(second) as two:
        monkeypatch.setenv("MNIST_MIRRORS", f"{CLOSED} {one.url.rstrip('/')} {two.url}")
        check_splits(data.load(), arrays)
        assert two.requested == [names[0]]
        assert two.encodings == {"identity"}  # else some servers send what is inside the .gz
    assert {path.name for path in (tmp_path / "home").rglob("*.gz")} == set(names)


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


def test_a_cache_that_cannot_be_written_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").touch()
    monkeypatch.setenv("MNIST_MIRRORS", f"{CLOSED} {CLOSED}")  # another would not make room
    assert data.load().name == "sklearn-digits"
    assert capsys.readouterr().out.count("다운로드 캐시를 쓸 수 없음 (Not a directory)") == 1
