"""Reads case files, and makes of each table one case per row."""

import json
from decimal import Decimal
from pathlib import Path

from .fill import dump

HERE = Path(__file__).resolve().parent.parent
VERSIONS = ["1.0.3", "2.0.0"]
FIELDS = {"id", "requirement", "title", "versions", "rows", "steps"}
STEP_FIELDS = {
    "method", "path", "url", "query", "rawQuery", "headers", "json", "text", "base64", "form", "multipart", "blobs",
    "announce", "expect", "capture", "optional", "pause", "times", "together",
}  # fmt: skip


class BadCase(Exception):
    """A case file is not what the runner understands."""


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file, parse_float=Decimal)


def all_cases(only=None):
    """Every case of every topic, in the order of files and lines: (topic, case)."""
    cases, seen = [], set()
    for path in sorted((HERE / "cases").glob("*.json")):
        doc = load(path)
        for case in doc["cases"]:
            check(case, path.name)
            for one in expanded(case):
                if one["id"] in seen:
                    raise BadCase(f"{path.name}: id {one['id']} is used twice")
                seen.add(one["id"])
                if only is None or only in one["id"]:
                    cases.append((doc["topic"], one))
    return cases


def check(case, file):
    """Whoever misspells a field would otherwise get a case that tests less than it says."""
    missing = {"id", "requirement", "title", "steps"} - case.keys()
    unknown = case.keys() - FIELDS
    if missing or unknown:
        raise BadCase(f"{file}: case {case.get('id')}: missing {sorted(missing)}, unknown {sorted(unknown)}")
    for step in case["steps"]:
        if step.keys() - STEP_FIELDS:
            raise BadCase(f"{file}: case {case['id']}: unknown in a step: {sorted(step.keys() - STEP_FIELDS)}")
    if not set(case.get("versions", VERSIONS)) <= set(VERSIONS):
        raise BadCase(f"{file}: case {case['id']}: versions must be of {VERSIONS}")


def expanded(case):
    """The case itself, or one for each row of its table; a row is an object or a single `value`."""
    if "rows" not in case:
        yield {**case, "row": {}}
        return
    for number, row in enumerate(case["rows"]):
        row = row if isinstance(row, dict) and "name" in row else {"value": row, "name": f"{number + 1}"}
        value = row.get("value", row["name"])
        label = row["name"] if not row["name"].isdigit() else value if isinstance(value, str) else dump(value)
        versions = row.get("versions", case.get("versions", VERSIONS))
        title = f"{case['title']}: {label[:80]}"
        yield {**case, "id": f"{case['id']}.{row['name']}", "title": title, "versions": versions, "row": row}
