"""Downloads: with a checksum, whole or not at all. Addresses are files: tests use no network."""

import hashlib

import pytest

from weft.errors import WeftError
from weft.io.fetch import KNOWN, fetch

CONTENT = b"weights" * 500_000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def address(tmp_path):
    path = tmp_path / "there" / f"model-{SHA[:8]}.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path.as_uri()


def test_a_file_is_fetched_once_and_checked(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    done = fetch(address, progress=lambda done, total: seen.append((done, total)))
    assert (str(done.path), done.sha256, done.new) == (f"weights/model-{SHA[:8]}.pth", SHA, True)
    assert done.path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not fetch(address).new
    done.path.write_bytes(b"other")
    with pytest.raises(WeftError, match="there already, with sha256"):
        fetch(address)


def test_another_file_than_expected_is_not_kept(address, tmp_path):
    target = tmp_path / "here.pth"
    with pytest.raises(WeftError, match=f"sha256 is {SHA}, expected 00000000…; nothing was kept"):
        fetch(address, target, sha256="00000000")
    assert not target.exists()
    assert not list(tmp_path.glob(".here*"))
    assert fetch(address, target, sha256=SHA.upper()).path == target


def test_what_cannot_be_fetched(tmp_path):
    for what in ("resnet43", "http://example.org/a-00000000.pth", "weights.pth"):
        with pytest.raises(WeftError, match=r"expected an address .* or one of resnet18, resnet34"):
            fetch(what)
    with pytest.raises(WeftError, match="give --sha256"):
        fetch("https://example.org/a.pth")
    with pytest.raises(WeftError, match="cannot be fetched"):
        fetch((tmp_path / "no-00000000.pth").as_uri(), tmp_path / "x.pth")


def test_known_files_say_their_checksum():
    assert KNOWN["resnet34"].path == "weights/resnet34-b627a593.pth"
    assert all(known.url.startswith("https://") for known in KNOWN.values())
