"""OpenFeature's own SDK for Python with its OFREP provider: flags of a tenant, as another service would ask for them."""

import base64
import json
import os
import sys
import traceback
import urllib.request

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

base = os.environ["LRS_URL"].removesuffix("/xapi") + "/api/v1"
login = base64.b64encode(f"{os.environ['LRS_KEY']}:{os.environ['LRS_SECRET']}".encode()).decode()
headers = {"Authorization": f"Basic {login}"}
api.set_provider(OFREPProvider(base, headers_factory=lambda: headers))
client = api.get_client()


def ask(method, path, body):
    sent = {**headers, "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, json.dumps(body).encode(), sent, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


pilot = EvaluationContext(targeting_key=ask("POST", "/admin/tenants", {"name": "openfeature"})["id"], attributes={"plan": "gold"})


def setting(name, value, tenant=None):
    ask("PUT", f"/admin/flags/{name}", {"value": value, "tenantId": tenant, "reason": "a check"})


def default():
    found = client.get_boolean_details("xapi.reads", False)
    assert (found.value, found.reason, found.variant) == (True, "DEFAULT", "on"), found


def configured():
    assert client.get_integer_value("xapi.page_default", 77, pilot) == 77


def tenants_own():
    setting("xapi.page_default", "60", pilot.targeting_key)
    found = client.get_integer_details("xapi.page_default", 77, pilot)
    assert (found.value, found.reason) == (60, "TARGETING_MATCH"), found
    assert client.get_integer_value("xapi.page_default", 77) == 77


def everybodys():
    setting("xapi.page_default", "50")
    assert client.get_integer_value("xapi.page_default", 77) == 50
    assert client.get_integer_value("xapi.page_default", 77, pilot) == 60
    setting("xapi.page_default", None)


def unknown():
    found = client.get_boolean_details("xapi.colour", True)
    assert (found.value, found.error_code) == (True, "FLAG_NOT_FOUND"), found


def nobody():
    found = client.get_boolean_details("xapi.reads", False, EvaluationContext(targeting_key="nobody"))
    assert (found.value, found.error_code) == (False, "INVALID_CONTEXT"), found


CHECKS = {
    "a flag that nobody has set": default,
    "what is configured is left to the client": configured,
    "a tenant's own value": tenants_own,
    "everybody's value": everybodys,
    "a flag that is not there": unknown,
    "somebody who is no tenant": nobody,
}

failed = 0
for name, check in CHECKS.items():
    try:
        check()
        print(f"ok      openfeature: {name}")
    except Exception:  # noqa: BLE001 - whatever it raises is a failed check
        failed += 1
        print(f"FAILED  openfeature: {name}\n{traceback.format_exc()}")
print(f"{len(CHECKS) - failed} passed, {failed} failed")
sys.exit(1 if failed else 0)
