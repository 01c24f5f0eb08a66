"""Compares an answer with what a step expects. Every difference is a sentence."""

import json
import re
from datetime import datetime, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime

from .fill import MISSING, get

TYPES = {"array": list, "object": dict, "string": str, "number": (int, Decimal), "boolean": bool}


def problems(expect, answer):
    """What is wrong with an answer; an empty list when nothing is."""
    found = []
    if "status" in expect and not status_is(answer.status, expect["status"]):
        found.append(f"status is {answer.status}, expected {expect['status']}")
    for name, wanted in expect.get("headers", {}).items():
        value = answer.headers.get(name)
        found += differs(f"header {name}", MISSING if value is None else value, wanted)
    if "body" in expect:
        found += differs("body", answer.text, expect["body"])
    for text in map(str, expect.get("contains", [])):
        if text not in answer.text:
            found.append(f"the body does not contain {text!r}")
    for text in map(str, expect.get("lacks", [])):
        if text in answer.text:
            found.append(f"the body contains {text!r}")
    if "json" in expect or "ids" in expect:
        found += json_problems(expect, answer)
    return found


def json_problems(expect, answer):
    try:
        doc = answer.json()
    except ValueError as error:
        return [f"the body is not JSON: {error}"]
    found = []
    for pointer, wanted in expect.get("json", {}).items():
        found += differs(pointer or "the body", get(doc, pointer), wanted)
    if "ids" in expect:
        ids = [statement.get("id") for statement in doc.get("statements", [])] if isinstance(doc, dict) else None
        if ids != expect["ids"]:
            found.append(f"the statements are {ids}, expected {expect['ids']}")
    return found


def status_is(status, wanted):
    if isinstance(wanted, list):
        return any(status_is(status, one) for one in wanted)
    if isinstance(wanted, str):
        return str(status)[0] == wanted[0]
    return status == wanted


def differs(where, value, wanted):
    """The difference between a value and what is wanted: a value, or an object of `$…` matchers."""
    if isinstance(wanted, dict) and wanted and all(key.startswith("$") for key in wanted):
        return [
            f"{where} is {shown(value)}, expected {key[1:]} {shown(operand)}"
            for key, operand in wanted.items()
            if not MATCHERS[key](value, operand)
        ]
    if wanted is None and value is MISSING:
        return []
    return [] if same(value, wanted) else [f"{where} is {shown(value)}, expected {shown(wanted)}"]


def same(value, wanted):
    """Equality of JSON: true is not 1, and the order of properties does not matter."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, dict) and isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(same(value[key], wanted[key]) for key in value)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(same, value, wanted))
    return value == wanted


def covers(value, wanted):
    """Whether everything wanted is in the value; a server may add properties."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(key in value and covers(value[key], wanted[key]) for key in wanted)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(covers, value, wanted))
    return same(value, wanted)


def instant(text):
    """A moment from ISO 8601 or an HTTP date, or None. Finer than microseconds is cut."""
    if not isinstance(text, str):
        return None
    try:
        plain = re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))
        short = re.search(r"\.(\d{1,5})(?!\d)", plain)
        if short:
            plain = plain.replace(short[0], "." + short[1].ljust(6, "0"), 1)
        moment = datetime.fromisoformat(plain)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def same_second(value, wanted):
    one, other = instant(value), instant(wanted)
    return one is not None and other is not None and int(one.timestamp()) == int(other.timestamp())


MATCHERS = {
    "$exists": lambda value, wanted: (value is not MISSING) == wanted,
    "$matches": lambda value, wanted: isinstance(value, str) and re.search(wanted, value) is not None,
    "$length": lambda value, wanted: value is not MISSING and len(value) == wanted,
    "$atLeast": lambda value, wanted: value is not MISSING and len(value) >= wanted,
    "$oneOf": lambda value, wanted: any(same(value, one) for one in wanted),
    "$contains": lambda value, wanted: value is not MISSING and wanted in value,
    "$lacks": lambda value, wanted: value is MISSING or wanted not in value,
    "$type": lambda value, wanted: isinstance(value, TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool)),
    "$not": lambda value, wanted: not same(value, wanted),
    "$keys": lambda value, wanted: isinstance(value, dict) and sorted(value) == sorted(wanted),
    "$covers": covers,
    "$instant": lambda value, wanted: instant(value) is not None and instant(value) == instant(wanted),
    "$second": same_second,
    "$isInstant": lambda value, wanted: (instant(value) is not None) == wanted,
    "$unordered": lambda value, wanted: isinstance(value, list) and sorted(map(shown, value)) == sorted(map(shown, wanted)),
}


def shown(value):
    if value is MISSING:
        return "absent"
    return json.dumps(value, default=float, ensure_ascii=False, sort_keys=True)
