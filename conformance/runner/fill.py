"""Fills a case in: `{{names}}`, fixtures changed by JSON pointer, repeated and nested values. Never talks to a server."""

import base64
import copy
import json
import re
import uuid
from datetime import datetime, timedelta, timezone

NAME = re.compile(r"\{\{([^{}]+)\}\}")


class Unknown(Exception):
    """A case uses a name that nothing gave a value."""


class Names:
    """The values of one run of one case. `id:x` is a UUID and `word:x` a word made up at first use, `ID:x` the same
    UUID in capitals, `now+60` a time."""

    def __init__(self, given):
        self.values = dict(given)
        self.values["run"] = "r" + uuid.uuid4().hex[:16]

    def __setitem__(self, name, value):
        self.values[name] = value

    def __getitem__(self, name):
        if name not in self.values:
            self.values[name] = self.make(name)
        return self.values[name]

    def make(self, name):
        kind, _, rest = name.partition(":")
        if kind == "ID":
            return self[f"id:{rest}"].upper()
        if kind == "id":
            return str(uuid.uuid4())
        if kind == "word":
            return "w" + uuid.uuid4().hex[:16]
        moment = re.fullmatch(r"now([+-]\d+)?(?::.*)?", name)
        if moment:
            at = datetime.now(timezone.utc) + timedelta(seconds=int(moment[1] or 0))
            return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
        raise Unknown(name)


def dump(value):
    """JSON as it is sent. Numbers of case files are decimals, so that expectations compare exactly."""
    return json.dumps(value, default=float, ensure_ascii=False)


def fill(value, names, fixtures):
    """The value with every name and every `$…` object replaced."""
    if isinstance(value, str):
        return filled_text(value, names, fixtures)
    if isinstance(value, list):
        return [fill(item, names, fixtures) for item in value]
    if not isinstance(value, dict):
        return value
    if "$use" in value:
        return used(value, names, fixtures)
    if "$json" in value:
        return dump(fill(value["$json"], names, fixtures))
    if "$merge" in value:
        return {key: item for part in fill(value["$merge"], names, fixtures) for key, item in part.items()}
    if "$repeat" in value:
        return repeated(value["$repeat"], names, fixtures)
    if "$nest" in value:
        return nested(value["$nest"])
    if "$long" in value:
        long = value["$long"]
        return long.get("prefix", "") + long.get("of", "a") * fill(long["times"], names, fixtures)
    if "$basic" in value:
        pair = ":".join(fill(value["$basic"], names, fixtures))
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return {fill(key, names, fixtures): fill(item, names, fixtures) for key, item in value.items()}


def filled_text(text, names, fixtures):
    """A text that is one name becomes its value, of any type; names inside of a text become text."""

    def value_of(name):
        value = names[name]
        # A row may itself use names, some of which get their value in the middle of a case.
        return fill(value, names, fixtures) if name.startswith("row.") else copy.deepcopy(value)

    whole = NAME.fullmatch(text)
    if whole:
        return value_of(whole[1])
    filled = NAME.sub(lambda found: as_text(value_of(found[1])), text)
    # `{{a.{{b}}}}` is a name made of a name.
    return filled_text(filled, names, fixtures) if NAME.search(filled) and filled != text else filled


def as_text(value):
    return value if isinstance(value, str) else dump(value)


def used(value, names, fixtures):
    """A fixture, with some values set and some removed."""
    doc = fill(copy.deepcopy(fixtures[filled_text(value["$use"], names, fixtures)]), names, fixtures)
    for pointer, item in fill(value.get("set", {}), names, fixtures).items():
        doc = put(doc, tokens(pointer), item)
    for pointer in fill(value.get("remove", []), names, fixtures):
        *parents, last = tokens(pointer)
        place = doc
        for token in parents:
            place = place[int(token) if isinstance(place, list) else token]
        del place[int(last) if isinstance(place, list) else last]
    return doc


def repeated(spec, names, fixtures):
    items = []
    for index in range(spec["times"]):
        names["index"] = index
        items.append(fill(spec["value"], names, fixtures))
    return items


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def tokens(pointer):
    """The steps of a JSON pointer."""
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise Unknown(f"pointer {pointer}")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def put(place, path, value):
    """Sets a value by pointer; objects and arrays on the way are made when they are missing."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if place is None:
        place = [] if head.isdigit() or head == "-" else {}
    if isinstance(place, list):
        index = len(place) if head == "-" else int(head)
        while len(place) <= index:
            place.append(None)
        place[index] = put(place[index], rest, value)
    else:
        place[head] = put(place.get(head), rest, value)
    return place


MISSING = object()


def get(doc, pointer):
    """The value a JSON pointer names, or MISSING."""
    for token in tokens(pointer):
        if isinstance(doc, dict) and token in doc:
            doc = doc[token]
        elif isinstance(doc, list) and token.isdigit() and int(token) < len(doc):
            doc = doc[int(token)]
        else:
            return MISSING
    return doc
