from __future__ import annotations

import json
from pathlib import Path

import pytest
from track.finished import best_json

from optimizer import load_prompt
from optimizer.errors import TaskError
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
