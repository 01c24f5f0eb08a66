"""Events as another language reads them: confluent-kafka for Python, and jsonschema over the schema files.

Stores a cmi5 session and a retry through the service, then reads all five topics from their beginning."""

import json
import os
import pathlib
import sys
import time
import traceback
import urllib.request
import uuid
from base64 import b64encode

from confluent_kafka import Consumer
from jsonschema import Draft202012Validator, FormatChecker

PREFIX = os.environ["PROGRESS_KAFKA_TOPIC_PREFIX"]
SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas" / "events"
STORED, STARTED, CLOSED, COMPLETED, SCORED = KINDS = [
    f"progress.{kind}.v1"
    for kind in ("statement.stored", "attempt.started", "attempt.closed", "completion.recorded", "score.recorded")
]
PATIENCE = 60

learner = str(uuid.uuid4())
sessions = [str(uuid.uuid4()), str(uuid.uuid4())]
statements = []


def statement(registration, verb, result=None):
    one = {
        "id": str(uuid.uuid4()),
        "actor": {"account": {"homePage": "http://clients.example", "name": learner}},
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {"id": "http://clients.example/unit"},
        "context": {
            "registration": registration,
            "contextActivities": {"grouping": [{"id": "http://clients.example/course"}]},
        },
    }
    if result:
        one["result"] = result
    statements.append(one)


statement(sessions[0], "initialized")
statement(sessions[0], "completed")
statement(sessions[0], "passed", {"success": True, "score": {"scaled": 0.875}, "duration": "PT90S"})
statement(sessions[1], "initialized")
statement(sessions[1], "failed", {"success": False, "score": {"scaled": 0.25}})


def store():
    key = b64encode(f"{os.environ['LRS_KEY']}:{os.environ['LRS_SECRET']}".encode()).decode()
    headers = {
        "Authorization": f"Basic {key}",
        "Content-Type": "application/json",
        "X-Experience-API-Version": "1.0.3",
    }
    request = urllib.request.Request(
        os.environ["LRS_URL"] + "/statements", json.dumps(statements).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert json.load(answer) == [one["id"] for one in statements]


def read(expected):
    """The first messages of each topic, as many as are expected."""
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["PROGRESS_KAFKA_BROKERS"],
            "group.id": f"{PREFIX}reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "topic.metadata.refresh.interval.ms": 500,
            "allow.auto.create.topics": False,
        }
    )
    consumer.subscribe([PREFIX + kind for kind in KINDS])
    received = {kind: [] for kind in KINDS}
    deadline = time.monotonic() + PATIENCE
    while any(len(received[kind]) < expected[kind] for kind in KINDS):
        assert time.monotonic() < deadline, {kind: len(all) for kind, all in received.items()}
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            received[message.topic().removeprefix(PREFIX)].append((message.key().decode(), json.loads(message.value())))
    consumer.close()
    return received


store()
received = read({STORED: 5, STARTED: 2, CLOSED: 2, COMPLETED: 1, SCORED: 2})


def of(kind, registration):
    """The one event of an attempt, which was found by its registration."""
    [data] = [event["data"] for _, event in received[kind] if event["data"]["enrollmentId"] == registration]
    return data


def every_message_fits_its_schema():
    for kind, messages in received.items():
        schema = json.loads((SCHEMAS / f"{kind}.json").read_text())
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        for _, event in messages:
            errors = [error.message for error in validator.iter_errors(event)]
            assert not errors, (errors, event)


def every_envelope_is_a_cloud_event():
    for kind, messages in received.items():
        ids = [event["id"] for _, event in messages]
        assert len(set(ids)) == len(ids), ids
        for _, event in messages:
            assert event["specversion"] == "1.0" and event["type"] == kind
            assert event["idempotencykey"] == f"{kind}:{event['id']}"
            assert event["dataschema"] == f"urn:progress:schema:{kind}"


def the_key_is_the_attempt():
    for kind in KINDS[1:]:
        assert all(key == event["subject"] == event["data"]["attemptId"] for key, event in received[kind])
    assert of(STARTED, sessions[0])["attemptId"] == of(COMPLETED, sessions[0])["attemptId"]


def statements_come_in_order():
    sent = [one["id"] for one in statements]
    assert [event["id"] for _, event in received[STORED]] == sent, "one actor, so one partition"
    assert {event["data"]["registration"] for _, event in received[STORED]} == set(sessions)


def the_data_says_what_happened():
    passed, failed = of(CLOSED, sessions[0]), of(CLOSED, sessions[1])
    assert (passed["outcome"], passed["score"], passed["durationSeconds"]) == ("passed", 0.875, 90)
    assert (failed["outcome"], failed["score"]) == ("failed", 0.25)
    assert of(COMPLETED, sessions[0])["evidenceStatementIds"] == [statements[1]["id"], statements[2]["id"]]
    assert of(STARTED, sessions[1])["userId"] == learner
    assert of(SCORED, sessions[1])["gradingRule"] == "scaled-at-closing"


def main():
    checks = [
        every_message_fits_its_schema,
        every_envelope_is_a_cloud_event,
        the_key_is_the_attempt,
        statements_come_in_order,
        the_data_says_what_happened,
    ]
    failed = 0
    for check in checks:
        try:
            check()
        except Exception:
            failed += 1
            print(f"confluent-kafka: {check.__name__}", file=sys.stderr)
            traceback.print_exc()
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
