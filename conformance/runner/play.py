"""Plays one case: fill, send, check, capture, step by step."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

from .check import instant, problems
from .fill import MISSING, Names, Unknown, fill, get
from .send import blob, pause, sha2


class Result:
    """How a case ended. `skipped` says why, `problems` what is wrong, `exchange` the request and answer that showed it."""

    def __init__(self, topic, case, version):
        self.topic, self.case, self.version = topic, case, version
        self.problems, self.skipped, self.exchange = [], None, ""

    @property
    def passed(self):
        return not self.problems and self.skipped is None


def play(client, topic, case, fixtures, patience):
    result = Result(topic, case, client.version)
    names = Names({"version": client.version})
    for name, value in case["row"].items():
        names[f"row.{name}"] = value
    state = {"written": None}
    for number, step in enumerate(case["steps"], 1):
        for _ in range(step.get("times", 1)):
            if "together" in step:
                play_together(client, step, names, fixtures, state, result, number)
            else:
                play_step(client, step, names, fixtures, patience, state, result, number)
            if result.problems or result.skipped:
                return result
    return result


def play_step(client, step, names, fixtures, patience, state, result, number):
    pause(float(step.get("pause", 0)))
    try:
        filled = prepare(step, names, fixtures)
    except (Unknown, KeyError, IndexError, TypeError) as error:
        result.problems = [f"step {number}: the case cannot be filled in: {error!r}"]
        return
    began = datetime.now(timezone.utc)
    while True:
        try:
            sent, answer = client.send(filled)
        except Exception as error:  # noqa: BLE001 - whatever breaks an exchange is a failure of the case
            result.problems = [f"step {number}: no answer: {type(error).__name__}: {error}"]
            result.exchange = f"{filled['method']} {filled.get('path', filled.get('url'))}"
            return
        found = problems(filled.get("expect", {}), answer)
        if not found or not may_be_behind(filled, answer, state, began, patience):
            break
        pause(0.2)
    if filled["method"] in ("PUT", "POST", "DELETE"):
        state["written"] = datetime.now(timezone.utc)
    found += capture(step.get("capture", {}), answer, names)
    if found and step.get("optional"):
        result.skipped = f"step {number}: " + "; ".join(found)
    elif found:
        result.problems = [f"step {number}: {problem}" for problem in found]
        result.exchange = f"{sent}\n\n--> {answer.status}\n{answer.headers}{answer.text[:4000]}"


def play_together(client, step, names, fixtures, state, result, number):
    """Sends a step many times at once, each over its own connection; `{{index}}` tells them apart, `tally` counts statuses."""
    steps = []
    for index in range(step["together"]):
        names["index"] = index
        steps.append(prepare(step, names, fixtures))
    try:
        with ThreadPoolExecutor(len(steps)) as pool:
            answers = list(pool.map(lambda one: client.twin().send(one), steps))
    except Exception as error:  # noqa: BLE001 - whatever breaks an exchange is a failure of the case
        result.problems = [f"step {number}: no answer: {type(error).__name__}: {error}"]
        return
    state["written"] = datetime.now(timezone.utc)
    found = tally(step.get("expect", {}).get("tally"), [answer.status for _, answer in answers])
    for one, (sent, answer) in zip(steps, answers):
        wrong = problems(one.get("expect", {}), answer)
        if wrong and not result.exchange:
            result.exchange = f"{sent}\n\n--> {answer.status}\n{answer.headers}{answer.text[:4000]}"
        found += wrong
    result.problems = [f"step {number}: {problem}" for problem in found]


def tally(wanted, statuses):
    """The difference between how often each status came and how often it should."""
    counted = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    return [] if wanted is None or counted == wanted else [f"the statuses are {counted}, expected {wanted}"]


def may_be_behind(step, answer, state, began, patience):
    """Reads may lag behind writes, as far as the answer's own header admits; then they are asked again."""
    if step["method"] not in ("GET", "HEAD") or state["written"] is None:
        return False
    if (datetime.now(timezone.utc) - began).total_seconds() > patience:
        return False
    through = instant(answer.headers.get("X-Experience-API-Consistent-Through"))
    return through is not None and through < state["written"]


def prepare(step, names, fixtures):
    """The step with blobs made first, for their hashes stand in the statement."""
    blobs = {}
    for name, spec in step.get("blobs", {}).items():
        data = blob(fill(spec, names, fixtures), fixtures["signer"])
        blobs[name] = data
        names[f"blob.{name}.sha2"], names[f"blob.{name}.length"] = sha2(data), len(data)
        for kind in ("sha224", "sha384", "sha512"):
            names[f"blob.{name}.{kind}"] = sha2(data, kind)
    filled = {key: fill(value, names, fixtures) for key, value in step.items() if key not in ("blobs", "capture")}
    filled["blobs"] = blobs
    return filled


def capture(wanted, answer, names):
    """Keeps values for later steps: `json:/pointer`, `header:Name`, or `text:regex with a group`."""
    missing = []
    for name, source in wanted.items():
        kind, _, where = source.partition(":")
        if kind == "header":
            value = answer.headers.get(where, MISSING)
        elif kind == "json":
            try:
                value = get(answer.json(), where)
            except ValueError:
                value = MISSING
        else:
            found = re.search(where, answer.text)
            value = found[1] if found else MISSING
        if value is MISSING:
            missing.append(f"nothing to capture at {source}")
        else:
            names[name] = value
    return missing
