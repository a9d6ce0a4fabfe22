"""What receivers of webhooks get, compared with the contract's examples."""

from unstract_worker_general.webhooks.message import envelope, failed, render, slack_text

EVENT = {
    "type": "API",
    "pipeline_id": "51c2a8f7",
    "pipeline_name": "invoices",
    "status": "COMPLETED",
    "execution_id": "7d3f...",
    "timestamp": "2026-05-05T17:03:34.120000+00:00",
    "additional_data": {"total_files": 2, "successful_files": 2, "failed_files": 0},
}
READABLE = "2026 May 5 05:03:34 PM"


def test_slack_text_is_the_contracts_example():
    assert render(EVENT, "SLACK") == {
        "text": "*1 execution* (:white_check_mark: 1 succeeded  :x: 0 failed)\n———\n"
        f"{READABLE} · *7d3f...* · API · invoices · COMPLETED · :white_check_mark: 2/2 files"
    }


def test_slack_text_passes_without_anything_beside_it():
    assert render({"text": "hello", "channel": "#x"}, "SLACK") == {"text": "hello"}


def test_slack_text_of_an_envelope_is_made_from_its_events():
    body = {"text": "ignored", "events": [EVENT, EVENT | {"status": "ERROR", "error_message": "boom"}]}
    text = render(body, "SLACK")["text"]
    assert text.startswith("*2 executions* (:white_check_mark: 1 succeeded  :x: 1 failed)")
    assert text.endswith("· ERROR · :x: 2/2 files · _boom_")


def test_slack_shows_at_most_25_events():
    lines = slack_text([EVENT] * 30).split("\n")
    assert len(lines) == 28
    assert lines[-1] == "... and 5 more"
    assert len(slack_text([EVENT] * 25).split("\n")) == 27


def test_the_envelope_of_one_event_keeps_its_flat_keys():
    assert render(EVENT, "API") == {
        "summary": {"total": 1, "succeeded": 1, "failed": 0},
        "events": [
            {
                "type": "API",
                "pipeline_name": "invoices",
                "status": "COMPLETED",
                "execution_id": "7d3f...",
                "timestamp": READABLE,
                "additional_data": {"total_files": 2, "successful_files": 2, "failed_files": 0},
            }
        ],
        **EVENT,
    }


def test_without_a_platform_it_is_the_api_envelope():
    assert render(EVENT, None) == render(EVENT, "API")


def test_an_envelope_passes_as_it_is():
    body = {"summary": {"total": 0}, "events": []}
    assert render(body, "API") == body


def test_nulls_are_no_flat_keys_but_stay_in_the_event():
    wrapped = envelope({"type": "ETL", "status": "ERROR", "error_message": "boom", "execution_id": None})
    assert wrapped["summary"] == {"total": 1, "succeeded": 0, "failed": 1}
    assert wrapped["events"][0]["execution_id"] is None
    assert wrapped["events"][0]["error_message"] == "boom"
    assert "execution_id" not in wrapped
    assert wrapped["error_message"] == "boom"


def test_what_the_envelope_does_not_know_is_kept():
    assert envelope({"message": "hello"})["events"][0]["additional_data"] == {"message": "hello"}


def test_a_timestamp_that_is_none_stays_what_it_is():
    assert envelope({"timestamp": "yesterday"})["events"][0]["timestamp"] == "yesterday"
    for beyond_all_years in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert envelope({"timestamp": beyond_all_years})["events"][0]["timestamp"] == beyond_all_years
    assert envelope({"timestamp": 5})["events"][0]["timestamp"] is None
    assert envelope({"timestamp": "2026-05-05T17:03:34"})["events"][0]["timestamp"] == READABLE


def test_failure_is_the_events_own_word_else_its_status_or_its_files():
    assert not failed({"status": "ERROR", "is_failure": False})
    assert failed({"status": "COMPLETED", "is_failure": True})
    assert failed({"status": "STOPPED"})
    assert failed({"status": "SUCCESS", "additional_data": {"failed_files": 1}})
    assert not failed({"status": "SUCCESS", "additional_data": "none"})


def test_payloads_that_are_no_objects():
    assert render(["a"], "API") == ["a"]
    assert render("a", "SLACK") == {"text": "a"}
