"""Random faults: a file is decoded exactly or refused, four files are split exactly or refused."""

import gzip
import math
import random
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiny_mnist import NAMES, Array, check_splits, fill, idx, zipped

from mnist_mlp import data

pytestmark = pytest.mark.usefixtures("isolated")
COUNTS = [0, 1, 2, 3, 4, 27, 28, 29, 100_000, 100_001, 2**31 - 1, 2**31, 2**32 - 1]


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


HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
CUTS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, -1]


def replaced(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def random_file(rng: random.Random) -> bytes:
    """Return a small IDX file, stored in one of many ways, with at most one fault in each layer."""
    shape = rng.choice([(rng.randint(1, 4),), (rng.randint(1, 4), 28, 28)])
    numbers = np.random.default_rng(rng.randrange(2**32))
    raw = idx(numbers.integers(0, rng.choice([1, 10, 256]), shape))
    count = rng.choice(COUNTS).to_bytes(4, "big")
    inside = [
        replaced(raw, rng.randrange(4), rng.randbytes(1)),
        replaced(raw, 4 * rng.randint(1, len(shape)), count),
        raw[: rng.choice(CUTS)],
        raw + rng.randbytes(rng.randint(1, 3)),
        HTML,
    ]
    raw = rng.choice([raw, raw, raw, *inside])
    at = rng.randint(0, len(raw))
    noise = rng.randbytes(rng.randrange(30))
    stored = rng.choice(
        [
            raw,
            gzip.compress(raw, rng.randint(0, 9), mtime=0),
            zipped(raw[:at]) + zipped(raw[at:]),
            zipped(raw) + bytes(8),
            zipped(zipped(raw)),
            rng.choice([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0"]) + noise,
        ]
    )
    flips = [rng.randrange(len(stored) + 1), max(0, len(stored) - rng.randint(1, 8))]  # CRC, length
    outside = [
        *(replaced(stored, at, rng.randbytes(1))[: len(stored)] for at in flips),
        stored[: rng.randint(0, len(stored))],
        stored + noise,
    ]
    return rng.choice([stored, stored, *outside])


@pytest.mark.parametrize("n", [500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_file_is_decoded_exactly_or_refused(n: int) -> None:
    outcomes: Counter[bool] = Counter()
    for seed in range(n):
        blob = random_file(random.Random(seed))
        (path,) = fill(Path(), {f"seed-{seed}": blob})
        expected = reference(blob)
        outcomes[expected is None] += 1
        if expected is None:
            with pytest.raises(data.DatasetError, match=f"^seed-{seed} "):
                data.read_idx(path)
        else:
            array = data.read_idx(path)
            assert array.dtype == np.uint8
            np.testing.assert_array_equal(array, expected, err_msg=path.name)
        path.unlink()
    assert min(outcomes.values()) > n / 10  # both kinds were tried


def quartet(rng: random.Random) -> list[Array]:
    """Return four arrays that may not belong together."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    top = rng.choice([1, 2, 9, 9, 9, 10, 11, 255])
    arrays: list[Array] = []
    for n in (rng.choice([rng.randint(1, 30), rng.randint(60, 120)]), rng.randint(1, 60)):
        off = rng.choice([0, 0, 0, 0, 0, 0, 0, 1])
        arrays.append(numbers.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        arrays.append(numbers.integers(0, top + 1, n + off, dtype=np.uint8))
    orders = [[0, 1, 2, 3]] * 12 + [[2, 3, 0, 1], [1, 0, 3, 2], rng.choices(range(4), k=4)]
    return [arrays[i] for i in rng.choice(orders)]


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


@pytest.mark.parametrize("n", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_four_files_are_split_exactly_or_refused(n: int) -> None:
    outcomes: Counter[bool] = Counter()
    for seed in range(n):
        arrays = quartet(random.Random(seed))
        named = zip(NAMES, arrays, strict=True)
        paths = fill(Path(f"seed-{seed}"), {name: idx(array) for name, array in named})
        outcomes[belongs_together(arrays)] += 1
        if belongs_together(arrays):
            check_splits(data.load(file_path=paths, seed=seed), arrays)
        else:
            with pytest.raises(data.DatasetError, match=f"seed-{seed}/"):
                data.load(file_path=paths, seed=seed)
    assert min(outcomes.values()) > n / 10  # both kinds were tried
