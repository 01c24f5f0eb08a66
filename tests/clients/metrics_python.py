"""`/metrics` as others read it: the parsers of prometheus_client, the strict one of OpenMetrics and that of Prometheus' text.

Both pages say the same of the same names, and in the first a traced request stands beside the bucket that it fell into."""

import json
import os
import sys
import urllib.request
import uuid
from base64 import b64encode

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

BASE = os.environ["LRS_URL"].rsplit("/", 1)[0]
# What Prometheus 3 sends.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TRACE = uuid.uuid4().hex
SECONDS = "progress_http_request_seconds"


def page(accept):
    request = urllib.request.Request(f"{BASE}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def post():
    statement = {
        "actor": {"mbox": "mailto:metrics@clients.example"},
        "verb": {"id": "http://clients.example/did"},
        "object": {"id": "http://clients.example/unit"},
    }
    login = b64encode(f"{os.environ['LRS_KEY']}:{os.environ['LRS_SECRET']}".encode()).decode()
    headers = {
        "Authorization": f"Basic {login}",
        "Content-Type": "application/json",
        "X-Experience-API-Version": "1.0.3",
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    }
    request = urllib.request.Request(f"{os.environ['LRS_URL']}/statements", json.dumps(statement).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def names(families):
    return {sample.name for family in families for sample in family.samples}


passed, failures = 0, []


def check(what, is_so, detail=""):
    global passed
    if is_so:
        passed += 1
    else:
        failures.append(f"{what}: {detail}")


post()
kind, text = page(ACCEPT)
check("OpenMetrics is what it is called", kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind)
families = list(open_metrics(text))
check("there are many metrics", len(families) > 40, len(families))
buckets = [
    sample for family in families for sample in family.samples if sample.name == f"{SECONDS}_bucket" and sample.exemplar
]
mine = [sample for sample in buckets if sample.exemplar.labels["trace_id"] == TRACE]
check("the traced request is an example of its bucket", len(mine) == 1, buckets)
if mine:
    check("and fell into it", mine[0].exemplar.value <= float(mine[0].labels["le"]), mine)
    check("on its route", mine[0].labels["route"] == "/xapi/statements", mine)
kind, text = page("text/plain")
check("who does not ask for it gets text", kind == "text/plain; version=0.0.4; charset=utf-8", kind)
check("which has no examples", " # " not in "\n".join(line for line in text.splitlines() if not line.startswith("#")))
check("both have the same samples", names(plain_text(text)) == names(families), names(plain_text(text)) ^ names(families))

for failure in failures:
    print(f"failed: {failure}", file=sys.stderr)
print(f"{passed} passed, {len(failures)} failed")
sys.exit(1 if failures else 0)
