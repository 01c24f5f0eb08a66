"""Builds requests from steps and sends them over one connection. Knows HTTP and multipart, and nothing of xAPI's rules."""

import base64
import copy
import hashlib
import http.client
import json
import time
from decimal import Decimal
from urllib.parse import quote, urljoin, urlsplit

from .fill import dump
from .jws import jws

BOUNDARY = "conformance-boundary-7f3a"


class Answer:
    """Status, headers and body of a response."""

    def __init__(self, response, body):
        self.status, self.headers, self.bytes = response.status, response.headers, body
        self.text = body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.text, parse_float=Decimal)


class Client:
    """One LRS under one version."""

    def __init__(self, url, version, key, secret, timeout):
        self.url, self.version, self.timeout = url.rstrip("/"), version, timeout
        self.authorization = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
        self.connection = None

    def twin(self):
        """The same client with a connection of its own."""
        twin = copy.copy(self)
        twin.connection = None
        return twin

    def connect(self):
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(parts.netloc, timeout=self.timeout)

    def send(self, step):
        """Sends a filled step; answers the request as text for the report, and the answer."""
        method, target, headers, body = self.request(step)
        sent = f"{method} {target}\n" + "".join(f"{name}: {value}\n" for name, value in headers.items())
        sent += "\n" + (body or b"")[:4000].decode("utf-8", "replace")
        # A server may close an idle connection at any moment; that is no failure of the case.
        for attempt in (1, 2):
            if self.connection is None:
                self.connect()
            try:
                return sent, self.exchange(method, target, headers, body, step.get("announce"))
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def exchange(self, method, target, headers, body, announce):
        connection = self.connection
        if announce is not None:
            # Only says how long the body would be: a server that refuses by size need not read it.
            connection.putrequest(method, target)
            for name, value in {**headers, "Content-Length": str(announce)}.items():
                connection.putheader(name, value)
            connection.endheaders()
        else:
            connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        answer = Answer(response, response.read())
        if response.will_close or announce is not None:
            connection.close()
            self.connection = None
        return answer

    def request(self, step):
        method = step["method"]
        target = self.target(step)
        headers = {"X-Experience-API-Version": self.version, "Authorization": self.authorization}
        kind, body = content(step)
        if kind:
            headers["Content-Type"] = kind
        elif body is None and method in ("POST", "PUT"):
            body = b""
        for name, value in step.get("headers", {}).items():
            known = next((one for one in headers if one.lower() == name.lower()), name)
            headers.pop(known, None)
            if value is not None:
                headers[name] = value
        encoded = {name: str(value).encode("utf-8").decode("latin-1") for name, value in headers.items()}
        return method, target, encoded, body

    def target(self, step):
        if "url" in step:
            parts = urlsplit(urljoin(self.url + "/", step["url"]))
            return parts.path + ("?" + parts.query if parts.query else "")
        pairs = step.get("query", {})
        pairs = pairs.items() if isinstance(pairs, dict) else pairs
        texts = [(name, value if isinstance(value, str) else dump(value)) for name, value in pairs]
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in texts)
        query = step.get("rawQuery", query)
        return urlsplit(self.url).path + "/" + step["path"] + ("?" + query if query else "")


def content(step):
    """The default content type of a step, and its body."""
    if "json" in step:
        return "application/json", dump(step["json"]).encode()
    if "text" in step:
        return "application/json", step["text"].encode()
    if "base64" in step:
        return "application/octet-stream", base64.b64decode(step["base64"])
    if "form" in step:
        fields = [(name, value if isinstance(value, str) else dump(value)) for name, value in step["form"].items()]
        form = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in fields)
        return "application/x-www-form-urlencoded", form.encode()
    if "multipart" in step:
        return f"multipart/mixed; boundary={BOUNDARY}", multipart(step["multipart"], step.get("blobs", {}))
    return None, None


def multipart(parts, blobs):
    body = b""
    for part in parts:
        body += f"--{BOUNDARY}\r\n".encode()
        body += "".join(f"{name}: {value}\r\n" for name, value in part.get("headers", {}).items()).encode()
        if "blob" in part:
            data = blobs[part["blob"]]
        elif "json" in part:
            data = dump(part["json"]).encode()
        else:
            data = part["text"].encode()
        body += b"\r\n" + data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def blob(spec, signer):
    """The bytes of a blob: a text, or a signature made here."""
    return jws(spec["jws"], signer) if "jws" in spec else spec["text"].encode()


def sha2(data, kind="sha256"):
    return hashlib.new(kind, data).hexdigest()


def pause(seconds):
    time.sleep(seconds)
