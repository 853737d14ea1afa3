"""Files from the network, by name or by address, with a checksum: the one place that uses the network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import urlopen

from weft.errors import WeftError
from weft.io.atomic import atomic_path

#: Folder that downloads go to.
WEIGHTS = "weights"
_BLOCK = 1 << 20
_SECONDS = 60
#: As PyTorch names its files: the first digits of the sha256 before the ending.
_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[A-Za-z0-9]+$")


class Download(NamedTuple):
    """A file with a name of ours; its own name begins its sha256."""

    url: str
    what: str

    @property
    def path(self) -> str:
        return f"{WEIGHTS}/{self.url.rpartition('/')[2]}"


def _resnet(depth: int, digits: str) -> Download:
    url = f"https://download.pytorch.org/models/resnet{depth}-{digits}.pth"
    return Download(url, f"ResNet-{depth} of torchvision, trained on ImageNet (IMAGENET1K_V1)")


#: Encoders of `image_segmentation` whose layers have the same names there.
KNOWN: Mapping[str, Download] = {
    f"resnet{depth}": _resnet(depth, digits)
    for depth, digits in (
        (18, "f37072fd"), (34, "b627a593"), (50, "0676ba61"), (101, "63fe2227"), (152, "394f9c45"),
    )
}  # fmt: skip


class Fetched(NamedTuple):
    """What :func:`fetch` left; new: whether it was downloaded just now."""

    path: Path
    sha256: str
    new: bool


def fetch(
    what: str,
    output: str | Path | None = None,
    sha256: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Download a file, whole and as it should be, or not at all.

    Args:
        what: a name of KNOWN, or an address (https or file).
        output: the file to write; default: in WEIGHTS under its own name. One that is there and as it should be stays.
        sha256: its checksum, or the first 8 or more digits; default: what its name says, as PyTorch's files do.
        progress: called with the bytes done and all of them (0 where the server does not say).

    Raises:
        WeftError: an unknown name, no checksum, no answer, or a file with another checksum.
    """
    url = KNOWN[what].url if what in KNOWN else what
    parts = urlparse(url)
    if parts.scheme not in ("https", "file"):
        raise WeftError(f"{what}: expected an address (https://… or file://…) or one of {', '.join(KNOWN)}")
    name = Path(parts.path).name
    said = _IN_NAME.search(name)
    expected = (sha256 or (said[1] if said else "")).lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", expected):
        raise WeftError(f"{what}: give --sha256, the checksum of the file or its first 8 or more digits")
    path = Path(output) if output is not None else Path(WEIGHTS) / name
    if path.is_file():
        found = _hash(path)
        if not found.startswith(expected):
            raise WeftError(f"{path}: there already, with sha256 {found}, expected {expected}…; remove it first")
        return Fetched(path, found, False)
    digest = hashlib.sha256()
    with atomic_path(path) as temporary:
        _download(url, temporary, digest, progress)
        if not digest.hexdigest().startswith(expected):
            raise WeftError(f"{url}: sha256 is {digest.hexdigest()}, expected {expected}…; nothing was kept")
    return Fetched(path, digest.hexdigest(), True)


def _download(url: str, path: Path, digest: hashlib._Hash, progress: Callable[[int, int], None] | None) -> None:
    try:
        with urlopen(url, timeout=_SECONDS) as answer, path.open("wb") as file:
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while block := answer.read(_BLOCK):
                digest.update(block)
                file.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
    except (URLError, TimeoutError, ConnectionError, FileNotFoundError) as error:
        reason = getattr(error, "reason", error)
        raise WeftError(f"{url}: cannot be fetched ({reason}); download it elsewhere and put it at its place") from None
    if total and done != total:
        raise WeftError(f"{url}: broke off after {done} of {total} bytes; run again")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
