from __future__ import annotations

import json
from typing import Any

import pytest

from optimizer.testing.fake_batches import FakeBatches
from optimizer.testing.protocols import Protocol

WINDOW = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


def complete(protocol: Protocol, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"said": body["n"], "usage": {}}


def asked(batches: FakeBatches, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
    return batches.answer(method, path, query, body, complete)


def lines(*names: str) -> bytes:
    about = {"method": "POST", "url": "/v1/chat/completions"}
    return "\n".join(json.dumps({"custom_id": name, **about, "body": {"n": name}}) for name in names).encode()


def handed_in(batches: FakeBatches, *names: str) -> str:
    _, file = asked(batches, "POST", "/v1/files", lines(*names))
    _, batch = asked(batches, "POST", "/v1/batches", {"input_file_id": file["id"], **WINDOW, "metadata": {"a": "b"}})
    return str(batch["id"])


def test_an_openai_batch_is_in_progress_then_completed_with_a_file_in_another_order() -> None:
    batches = FakeBatches()
    batches.delay = 3600
    name = handed_in(batches, "one", "two")
    batch = asked(batches, "GET", f"/v1/batches/{name}")[1]
    assert (batch["status"], batch["output_file_id"], batch["metadata"]) == ("in_progress", None, {"a": "b"})
    batches.made[name].ends = 0.0
    batch = asked(batches, "GET", f"/v1/batches/{name}")[1]
    assert (batch["status"], batch["error_file_id"]) == ("completed", None)
    output = asked(batches, "GET", f"/v1/files/{batch['output_file_id']}/content")[1]
    results = [json.loads(line) for line in output.splitlines()]
    assert [(one["custom_id"], one["response"]["body"]["said"]) for one in results] == [("two", "two"), ("one", "one")]
    assert asked(batches, "POST", f"/v1/batches/{name}/cancel", {})[0] == 409


def test_lines_that_expire_and_fail_lie_in_the_file_of_errors() -> None:
    batches = FakeBatches()
    batches.fates.extend(["expired", 400, None])
    batch = asked(batches, "GET", f"/v1/batches/{handed_in(batches, 'a', 'b', 'c')}")[1]
    assert (batch["status"], batch["request_counts"]["completed"]) == ("expired", 1)
    errors = [
        json.loads(line)
        for line in asked(batches, "GET", f"/v1/files/{batch['error_file_id']}/content")[1].splitlines()
    ]
    assert [(one["custom_id"], (one["error"] or {}).get("code")) for one in errors] == [
        ("b", None),
        ("a", "batch_expired"),
    ]


def test_an_anthropic_batch_has_no_results_before_its_end() -> None:
    batches = FakeBatches()
    batches.delay = 3600
    requests = [{"custom_id": name, "params": {"n": name}} for name in ("one", "two")]
    batch = asked(batches, "POST", "/v1/messages/batches", {"requests": requests})[1]
    path = f"/v1/messages/batches/{batch['id']}"
    assert (batch["processing_status"], batch["request_counts"]["processing"]) == ("in_progress", 1)
    assert asked(batches, "GET", f"{path}/results")[0] == 400
    assert asked(batches, "POST", f"{path}/cancel", {})[1]["request_counts"]["canceled"] == 1
    results = [json.loads(line) for line in asked(batches, "GET", f"{path}/results")[1].splitlines()]
    assert [one["result"]["type"] for one in results] == ["canceled", "succeeded"]


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "é"])
def test_anthropic_takes_short_plain_custom_ids_only(name: str) -> None:
    body = {"requests": [{"custom_id": name, "params": {}}]}
    assert asked(FakeBatches(), "POST", "/v1/messages/batches", body)[0] == 400


def test_custom_ids_are_unique_and_lists_have_pages() -> None:
    batches = FakeBatches()
    _, file = asked(batches, "POST", "/v1/files", lines("a", "a"))
    assert asked(batches, "POST", "/v1/batches", {"input_file_id": file["id"], **WINDOW})[0] == 400
    names = [handed_in(batches, "a") for _ in range(5)]
    page = asked(batches, "GET", "/v1/batches", limit="3")[1]
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (names[:1:-1], True)
    page = asked(batches, "GET", "/v1/batches", limit="3", after=page["last_id"])[1]
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (names[1::-1], False)
    assert asked(batches, "GET", "/v1/batches/nobody")[0] == 404
