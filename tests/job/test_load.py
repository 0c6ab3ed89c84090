from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from track.finished import best_json

from optimizer import load_prompt
from optimizer.errors import TaskError
from optimizer.ledger.decisions import TRUST, decisions_of
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.track import promote


def test_a_registered_prompt_is_what_its_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, asked = json.dumps(best_json()), []

    def fetch(address: str, uri: str | None, trust: bool) -> str:
        asked.append((address, uri, trust))
        return text

    monkeypatch.setattr(promote, "fetch", fetch)
    (tmp_path / "best.json").write_text(text)
    registered = load_prompt("prompts:/sort-it@champion", "http://there")
    assert registered.candidate == load_prompt(tmp_path / "best.json").candidate
    assert asked == [("prompts:/sort-it@champion", "http://there", False)]
    text = "{}"
    with pytest.raises(TaskError, match="prompts:/sort-it/1: not a prompt that metier saved"):
        load_prompt("prompts:/sort-it/1")


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("user", ["", "me:secret@"])
def test_a_run_keeps_what_its_file_was_trusted_with(trust: bool, user: str, tmp_path: Path) -> None:
    best = best_json()
    best["model"]["api_base"] = f"http://{user}127.0.0.1:9"
    (tmp_path / "best.json").write_text(json.dumps(best))
    Ledger(tmp_path / "ledger.db").close()
    for _ in range(2):
        load_prompt(tmp_path / "best.json", trust=trust)
    with closing(Reader(tmp_path / "ledger.db")) as reader:
        found = [(one.what, one.value) for one in decisions_of(reader)]
    allowed = ["the address 'http://127.0.0.1:9'"]
    assert found == ([(TRUST, {"file": "best.json", "allowed": allowed})] if trust else [])


def test_what_is_trusted_is_what_is_used_whoever_changes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = best_json()
    best["model"]["api_base"] = "http://127.0.0.1:9"
    (tmp_path / "best.json").write_text(json.dumps(best))

    def swap(run_dir: Path, file: str, allowed: object) -> None:
        (run_dir / file).write_text(json.dumps(best).replace("127.0.0.1:9", "evil"))

    monkeypatch.setattr("optimizer.job.load.record_trust", swap)
    assert load_prompt(tmp_path / "best.json", trust=True).model.api_base == "http://127.0.0.1:9"


def test_where_nothing_is_asked_there_is_nothing_to_trust(tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text(json.dumps(best_json()))
    Ledger(tmp_path / "ledger.db").close()
    load_prompt(tmp_path / "best.json", trust=True)
    with closing(Reader(tmp_path / "ledger.db")) as reader:
        assert decisions_of(reader) == []
