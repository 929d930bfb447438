"""Gives every request a new account with a session of its own, for operations that end sessions.

Schemathesis loads this where SCHEMATHESIS_HOOKS names it.
"""

import itertools
import json
import os
import urllib.request

import schemathesis

HUB = os.environ["CARILLON_SCHEMATHESIS_URL"]
NUMBERS = itertools.count()


def post(path, body):
    request = urllib.request.Request(HUB + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@schemathesis.auth(refresh_interval=None)
class FreshAccount:
    def get(self, case, ctx):
        name, password = f"fresh{next(NUMBERS)}", "correct horse"
        post("/v1/users", {"email": f"{name}@example.org", "username": name, "password": password})
        return post("/v1/sessions", {"login": name, "password": password})["token"]

    def set(self, case, data, ctx):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
