"""What the scripts for the Python clients share: what a client hears, in queues with a deadline, and the hub over HTTP."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

PATIENCE = 20


class Heard:
    """What was reported, by kind. Waiting for what does not come is a failure that says what came instead."""

    def __init__(self):
        self.queues = {}
        self.counts = {}
        self.latest_error = None

    def note(self, kind, context):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "error":
            self.latest_error = context
        self.queues.setdefault(kind, asyncio.Queue()).put_nowait(context)

    def count(self, kind):
        return self.counts.get(kind, 0)

    async def next(self, kind):
        queue = self.queues.setdefault(kind, asyncio.Queue())
        try:
            return await asyncio.wait_for(queue.get(), PATIENCE)
        except asyncio.TimeoutError:
            told = f"no {kind!r} within {PATIENCE} s; there came {self.counts}, the latest error {self.latest_error!r}"
            raise AssertionError(told) from None


def noting(heard, base):
    """An event handler that notes every event under the name of its method without `on_`."""

    def note_as(kind):
        async def note(self, context):
            heard.note(kind, context)

        return note

    names = [name for name in dir(base) if name.startswith("on_")]
    return type("Noting", (base,), {name: note_as(name.removeprefix("on_")) for name in names})()


class Person:
    """A connection with the published client, and what it heard. Data are JSON, however the wire carries them."""

    def __init__(self, url, protobuf=False, **options):
        self.heard = Heard()
        self.protobuf = protobuf
        handler = noting(self.heard, ClientEventHandler)
        delays = {"min_reconnect_delay": 0.05, "max_reconnect_delay": 0.5}
        self.client = Client(url, events=handler, use_protobuf=protobuf, proxy=None, timeout=PATIENCE, **delays, **options)

    def coded(self, data):
        return json.dumps(data).encode() if self.protobuf else data

    def read(self, data):
        return json.loads(data) if isinstance(data, bytes) else data

    async def connected(self):
        await self.client.connect()
        return await self.heard.next("connected")

    def subscription(self, channel, **options):
        heard = Heard()
        delays = {"min_resubscribe_delay": 0.05, "max_resubscribe_delay": 0.5}
        return self.client.new_subscription(channel, noting(heard, SubscriptionEventHandler), **delays, **options), heard

    async def subscribed(self, channel, **options):
        subscription, heard = self.subscription(channel, **options)
        await subscription.subscribe()
        return subscription, heard, await heard.next("subscribed")

    async def bye(self):
        await self.client.disconnect()


class Hub:
    """The hub over HTTP."""

    def __init__(self, url, key):
        self.url, self.key = url, key

    async def ask(self, method, path, body=None, token=None):
        """The status and the body, which is None where there is none."""
        headers = {"Content-Type": "application/json", "X-API-Key": self.key}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        return await asyncio.to_thread(self.send, request)

    @staticmethod
    def send(request):
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            status, text = refused.code, refused.read()
        return status, json.loads(text) if text else None

    async def call(self, method, body):
        """The result of a call of the server API."""
        status, answer = await self.ask("POST", f"/api/{method}", body)
        assert status == 200 and "result" in answer, (status, answer)
        return answer["result"]


def jwt(secret, **claims):
    """A token as a back end makes it: HS256 (RFC 7515, RFC 7518 section 3.2)."""

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(secret.encode(), signed, hashlib.sha256).digest())).decode()


def soon(seconds):
    return int(time.time()) + seconds


def tell(event, **more):
    """Says to the test that started this, one JSON object a line."""
    print(json.dumps({"event": event, **more}), flush=True)


async def answered():
    """The next line that the test says."""
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def play(cases):
    """Plays the cases one after the other and tells of each that passed; the first that fails ends the script."""
    for name, case in cases.items():
        await case()
        tell("passed", case=name)
    tell("done")
