"""Every method of the published server API client `cent`, and what connected clients hear of it.

Usage: python cent_calls.py SETTINGS
where SETTINGS is a JSON object: url (of the hub), socket (URL), key, user (number as text), token (of their session).
"""

import asyncio
import json
import sys

import cent
from heard import Person, play, soon

ASKED = json.loads(sys.argv[1])


class Back:
    """A back end with one of the two clients, which have the same methods."""

    def __init__(self, client):
        self.client = client

    async def __call__(self, method, **fields):
        name = "".join(word.capitalize() for word in method.split("_")) + "Request"
        return await self.send(method, getattr(cent, name)(**fields))

    async def send(self, method, request):
        call = getattr(self.client, method)
        if isinstance(self.client, cent.AsyncClient):
            return await call(request)
        return await asyncio.to_thread(call, request)

    async def code(self, method, **fields):
        """The code that a call is refused with."""
        try:
            answer = await self(method, **fields)
        except cent.CentApiResponseError as refused:
            return refused.code
        raise AssertionError(f"{method} {fields} was answered with {answer}")


def equal(one, other):
    assert one == other, f"{one!r} is not {other!r}"


async def publications(back, room, person):
    subscription, heard, _ = await person.subscribed(room)
    first = await back("publish", channel=room, data={"n": 1}, tags={"k": "v"}, idempotency_key=f"{room} 1")
    equal(first.offset, 1)
    assert first.epoch, first
    pub = (await heard.next("publication")).pub
    equal((pub.data, pub.offset, pub.tags, pub.info), ({"n": 1}, 1, {"k": "v"}, None))
    again = await back("publish", channel=room, data={"n": 1}, tags={"k": "v"}, idempotency_key=f"{room} 1")
    equal((again.offset, again.epoch), (1, first.epoch))

    sent = await back("broadcast", channels=[room, "nowhere:x", f"{room}-2"], data=["text", 2.5, None])
    equal([one.result and one.result.offset for one in sent.responses], [2, None, 1])
    equal([one.error and one.error.code for one in sent.responses], [None, 102, None])
    pub = (await heard.next("publication")).pub
    # The publication under a key that was known was not sent again: this is the next one.
    equal((pub.data, pub.offset), (["text", 2.5, None], 2))

    equal(await back.code("publish", channel="nowhere:x", data={}), 102)
    equal(await back.code("publish", channel="", data={}), 107)
    equal(await back.code("broadcast", channels=[], data={}), 107)
    return first.epoch


async def reads(back, room, person, hello, epoch):
    position = await back("history", channel=room)
    equal((position.publications, position.offset, position.epoch), ([], 2, epoch))
    every = await back("history", channel=room, limit=-1)
    equal([(one.offset, one.data, one.tags) for one in every.publications], [
        (1, {"n": 1}, {"k": "v"}),
        (2, ["text", 2.5, None], None),
    ])
    after = await back("history", channel=room, limit=5, since=cent.StreamPosition(offset=1, epoch=epoch))
    equal([one.offset for one in after.publications], [2])
    latest = await back("history", channel=room, limit=1, reverse=True)
    equal([one.offset for one in latest.publications], [2])
    lost = cent.StreamPosition(offset=1, epoch="another")
    equal(await back.code("history", channel=room, limit=5, since=lost), 112)
    equal(await back.code("history", channel="bare:x"), 108)

    present = (await back("presence", channel=room)).presence
    equal({client: info.user for client, info in present.items()}, {hello.client: ASKED["user"]})
    equal(present[hello.client].client, hello.client)
    stats = await back("presence_stats", channel=room)
    equal((stats.num_clients, stats.num_users), (1, 1))
    equal(await back.code("presence", channel="bare:x"), 108)
    equal(await back.code("presence_stats", channel="nowhere:x"), 102)

    listed = (await back("channels", pattern=room)).channels
    equal({name: info.num_clients for name, info in listed.items()}, {room: 1})
    listed = (await back("channels")).channels
    assert room in listed and f"notifications:#{ASKED['user']}" in listed, listed
    [node] = (await back("info")).nodes
    assert node.uid and node.name and node.version, node
    assert node.num_clients == 1 and node.num_users == 1 and node.num_channels >= 2 and node.num_subs >= 2, node

    await back("history_remove", channel=room)
    left = await back("history", channel=room, limit=-1)
    equal((left.publications, left.offset), ([], 2))
    equal(await back.code("history_remove", channel="bare:x"), 108)


async def orders(back, room, person, hello):
    user, client = ASKED["user"], hello.client
    sudden = f"{room}-sudden"
    # Its own inbox, which every connection of an account has.
    equal((await person.heard.next("subscribed")).channel, f"notifications:#{user}")
    await back("subscribe", user=user, channel=sudden, data={"why": "so"})
    told = await person.heard.next("subscribed")
    equal((told.channel, told.data), (sudden, {"why": "so"}))
    await back("publish", channel=sudden, data={"n": 2})
    told = await person.heard.next("publication")
    equal((told.channel, told.pub.data), (sudden, {"n": 2}))
    await back("unsubscribe", user=user, channel=sudden)
    equal((await person.heard.next("unsubscribed")).channel, sudden)
    equal(await back.code("subscribe", user=user, channel="nowhere:x"), 102)

    subscription, heard, _ = await person.subscribed(f"{room}-own")
    await back("unsubscribe", user=user, channel=f"{room}-own", client=client)
    told = await heard.next("unsubscribed")
    equal((told.code, told.reason), (2000, "server unsubscribe"))

    # Of another user, or another connection, nothing changes; so the next thing that is heard is the one after.
    await back("disconnect", user="0")
    await back("disconnect", user=user, client="another")
    await back("disconnect", user=user, whitelist=[client])
    await back("refresh", user=user, expire_at=soon(3600))
    equal(person.heard.count("connecting"), 1)
    await back("refresh", user=user, expired=True)
    await person.heard.next("connecting")
    told = await person.heard.next("connecting")
    equal(told.code, 3005)
    hello = await person.heard.next("connected")
    await back("disconnect", user=user, disconnect=cent.Disconnect(code=4000, reason="come again"))
    told = await person.heard.next("connecting")
    equal((told.code, told.reason), (4000, "come again"))
    hello = await person.heard.next("connected")
    await back("disconnect", user=user, client=hello.client, disconnect=cent.Disconnect(code=4500, reason="bye"))
    told = await person.heard.next("disconnected")
    equal((told.code, told.reason), (4500, "bye"))
    equal(await back.code("disconnect", user=user, disconnect=cent.Disconnect(code=1000)), 107)


async def batches(back, room):
    for parallel in (False, True):
        requests = [
            cent.PublishRequest(channel=f"{room}-many", data={"parallel": parallel}),
            cent.BroadcastRequest(channels=[f"{room}-many"], data={}),
            cent.HistoryRequest(channel=room, limit=1),
            cent.PresenceRequest(channel=room),
            cent.PresenceStatsRequest(channel=room),
            cent.ChannelsRequest(pattern=f"{room}*"),
            cent.InfoRequest(),
            cent.SubscribeRequest(user="0", channel=room),
            cent.UnsubscribeRequest(user="0", channel=room),
            cent.RefreshRequest(user="0", expire_at=soon(60)),
            cent.DisconnectRequest(user="0"),
            cent.HistoryRemoveRequest(channel=room),
        ]
        replies = (await back.send("batch", cent.BatchRequest(requests=requests, parallel=parallel))).replies
        equal([type(reply) for reply in replies], [request.__returning__ for request in requests])
        assert replies[0].offset >= 1 and replies[0].epoch, replies[0]
        assert replies[1].responses[0].result.offset >= 1, replies[1]
        equal((replies[2].offset, replies[3].presence, replies[4].num_clients, replies[5].channels), (2, {}, 0, {}))
        equal(len(replies[6].nodes), 1)


async def journey(client, room):
    back = Back(client)
    person = Person(ASKED["socket"], token=ASKED["token"])
    hello = await person.connected()
    epoch = await publications(back, room, person)
    await reads(back, room, person, hello, epoch)
    await orders(back, room, person, hello)
    await batches(back, room)
    await person.client.disconnect()


async def synchronous():
    await journey(cent.Client(f"{ASKED['url']}/api", ASKED["key"]), "chat:one")


async def asynchronous():
    client = cent.AsyncClient(f"{ASKED['url']}/api", ASKED["key"])
    await journey(client, "chat:two")
    await client.close()


async def wrong_keys():
    for key in ("", "wrong"):
        try:
            answer = await Back(cent.Client(f"{ASKED['url']}/api", key))("info")
        except cent.CentUnauthorizedError:
            continue
        raise AssertionError(f"the key {key!r} was good for {answer}")


asyncio.run(play({"synchronous": synchronous, "asynchronous": asynchronous, "wrong keys": wrong_keys}))
