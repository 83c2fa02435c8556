"""Download MNIST into a cache: mirrors in turn, every file checked by its SHA-256.

The environment variables ``MNIST_CACHE`` (a folder) and ``MNIST_MIRRORS`` (addresses with spaces
between) replace the cache of the user and the mirrors below.
"""

import os
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

import pooch
import requests
import urllib3

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/ "
    "https://storage.googleapis.com/cvdf-datasets/mnist/ "
    "http://yann.lecun.com/exdb/mnist/"  # the assignment's own: 403 or 404 since 2024, hence last
)
GZ_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MAX_SIZE = 1 << 24  # bytes; the largest of the four files has 9.9 million
TIMEOUT = 10.0  # seconds to connect, and between two packets
DEADLINE = 120.0  # seconds for one file in all


def download() -> tuple[list[Path], list[str]]:
    """Return the four verified files of the cache, downloading what it lacks, and the failures.

    The files are in the order of ``GZ_SHA256``, and none if one of them could not be had; then the
    second list says why, a Korean reason for each failed attempt.
    """
    pooch.get_logger().setLevel("ERROR")  # it tells a first run from a second; outputs must not
    cache = os.environ.get("MNIST_CACHE") or default_cache()
    mirrors = (os.environ.get("MNIST_MIRRORS") or MIRRORS).split()
    paths: list[Path] = []
    reasons: list[str] = []
    for name, sha256 in GZ_SHA256.items():
        for mirror in list(mirrors):
            url = f"{mirror.rstrip('/')}/{name}.gz"
            try:
                # Verifies a cached file too, and renames a download only once it is verified.
                file = pooch.retrieve(url, sha256, f"{name}.gz", cache, downloader=fetch)
                paths.append(Path(file))
                break
            except (requests.ConnectionError, TimeoutError, requests.Timeout):
                reasons.append(f"{url}: 연결되지 않거나 응답이 끊김")
                mirrors.remove(mirror)  # it shall not cost a wait for each file
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                response = getattr(error, "response", None)
                status = getattr(response, "status_code", type(error).__name__)
                reasons.append(f"{url}: 받을 수 없음 ({status})")
            except ValueError:
                reasons.append(f"{url}: MNIST 파일이 아닌 내용을 보냄")
            except OSError as error:  # the disk's: another mirror would not help
                reason = error.strerror or type(error).__name__
                return [], [*reasons, f"다운로드 캐시를 쓸 수 없음 ({reason})"]
        else:
            return [], reasons
    return paths, []


def default_cache() -> Path:
    """Return the user's cache folder; a temporary one for a user without a home."""
    if os.path.isabs(os.path.expanduser("~")):
        return Path(pooch.os_cache("mnist-mlp"))
    # os_cache would fail or, in older versions, make a folder called "~".
    return Path(tempfile.gettempdir(), "mnist-mlp")


def fetch(url: str, output_file: str, _pooch: object) -> None:
    """Download `url` to `output_file` within DEADLINE seconds (a pooch downloader).

    requests limits each wait, but neither name resolution nor a server that trickles. Hence a
    thread, which can be left behind: it works in memory and never touches the disk.
    """
    future: Future[bytes] = Future()

    def work() -> None:
        try:
            future.set_result(get(url))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    Path(output_file).write_bytes(future.result(DEADLINE))


def get(url: str) -> bytes:
    """Return what is at `url`; raise an error of requests or urllib3, or ValueError."""
    content = bytearray()
    identity = {"Accept-Encoding": "identity"}  # the .gz itself, not unpacked on the way
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=identity) as response:
        response.raise_for_status()
        for chunk in response.iter_content(1 << 16):
            content.extend(chunk)
            if len(content) > MAX_SIZE:
                raise ValueError(f"{url} is longer than any MNIST file")
    return bytes(content)
