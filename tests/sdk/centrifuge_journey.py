"""What users of the published client `centrifuge-python` live through: tokens that expire, a hub that is killed, a session
that ends.

Usage: python centrifuge_journey.py SETTINGS
where SETTINGS is a JSON object: url (of the hub), socket (URL), key, secret (of the JWTs), protobuf (whether the wire
carries that instead of JSON), ada and bob (each id, as number, and token). It asks the test that started it to `kill` the
hub, and goes on when that says what was published meanwhile.
"""

import asyncio
import json
import sys

from centrifuge import ClientState, ReplyError, StreamPosition, SubscriptionState
from heard import Hub, Person, answered, jwt, play, soon, tell

ASKED = json.loads(sys.argv[1])
ADA, BOB = ASKED["ada"], ASKED["bob"]
HUB = Hub(ASKED["url"], ASKED["key"])


def equal(one, other):
    assert one == other, f"{one!r} is not {other!r}"


def person(**options):
    return Person(ASKED["socket"], ASKED["protobuf"], **options)


def signed(user, **claims):
    return jwt(ASKED["secret"], sub=user, **claims)


async def post(title):
    status, answer = await HUB.ask("POST", "/v1/posts", {"title": title, "content": "."}, ADA["token"])
    equal(status, 201)
    return answer


async def refused(asked):
    try:
        answer = await asked
    except ReplyError as refusal:
        return refusal.code, refusal.message
    raise AssertionError(f"it was answered with {answer}")


async def commands():
    """A session's connection: its inbox, product commands, and what is read of a channel."""
    ada = person(token=ADA["token"])
    hello = await ada.connected()
    assert hello.client, hello
    equal((await ada.heard.next("subscribed")).channel, f"notifications:#{ADA['id']}")
    article = await post("To be liked")
    bob = person(token=BOB["token"])
    await bob.connected()
    liked = await bob.client.rpc("like_post", bob.coded({"post_id": article["id"]}))
    equal(bob.read(liked.data)["likes"], 1)
    told = await ada.heard.next("publication")
    equal((told.channel, ada.read(told.pub.data)["type"]), (f"notifications:#{ADA['id']}", "notification.created"))
    equal(told.pub.tags, {"type": "notification.created"})
    equal((await refused(bob.client.rpc("dance", bob.coded({}))))[0], 108)
    nowhere = bob.coded({"post_id": "0" * 24})
    equal(await refused(bob.client.rpc("like_post", nowhere)), (404, "not_found"))

    room = "chat:commands"
    equal((await refused(bob.client.publish(room, bob.coded({}))))[0], 103)
    subscription, heard, subscribed = await ada.subscribed(room)
    assert subscribed.recoverable and subscribed.stream_position.epoch, subscribed
    others, others_heard, _ = await bob.subscribed(room)
    for number in range(1, 4):
        await others.publish(bob.coded({"n": number}))
        pub = (await heard.next("publication")).pub
        equal((ada.read(pub.data), pub.offset, pub.info.user), ({"n": number}, number, str(BOB["id"])))
    top = await subscription.history(limit=0)
    equal((top.publications, top.offset, top.epoch), ([], 3, subscribed.stream_position.epoch))
    page = await subscription.history(limit=2, since=StreamPosition(offset=1, epoch=top.epoch))
    equal([pub.offset for pub in page.publications], [2, 3])
    page = await subscription.history(limit=1, reverse=True)
    equal([ada.read(pub.data) for pub in page.publications], [{"n": 3}])
    present = (await subscription.presence()).clients
    equal(present[hello.client].user, str(ADA["id"]))
    stats = await subscription.presence_stats()
    equal((stats.num_clients, stats.num_users), (2, 2))
    equal((await refused(ada.client.presence("chat:elsewhere")))[0], 103)
    await asyncio.gather(ada.bye(), bob.bye())


async def unsubscriptions():
    """How subscriptions end: by the client, by a back end, and before they began."""
    ada = person(token=ADA["token"])
    await ada.connected()
    subscription, heard, _ = await ada.subscribed("chat:left")
    await subscription.unsubscribe()
    equal((await heard.next("unsubscribed")).code, 0)
    await subscription.subscribe()
    await heard.next("subscribed")
    await HUB.call("unsubscribe", {"user": str(ADA["id"]), "channel": "chat:left"})
    equal((await heard.next("unsubscribed")).code, 2000)
    equal(subscription.state, SubscriptionState.UNSUBSCRIBED)
    for channel, code in (("nowhere:x", 102), (f"notifications:#{BOB['id']}", 103), ("bare:x", 103)):
        subscription, heard = ada.subscription(channel)
        await subscription.subscribe()
        equal((await heard.next("unsubscribed")).code, code)
    await ada.bye()


async def refreshed_connection():
    """A connection outlives its JWT: the client brings a new one before the hub closes it."""
    asked = []

    async def get_token():
        asked.append(soon(0))
        # The first is over before it is shown: error 109, and the client asks again.
        return signed("eve", info={"name": "Eve"}, exp=soon(-5 if len(asked) == 1 else 2 if len(asked) == 2 else 3600))

    eve = person(get_token=get_token)
    hello = await eve.connected()
    subscription, _, _ = await eve.subscribed("chat:refreshed")
    info = (await subscription.presence()).clients[hello.client]
    equal((info.user, eve.read(info.conn_info)), ("eve", {"name": "Eve"}))
    while len(asked) < 3:
        assert soon(0) - asked[-1] < 15, "the client asked for no new token"
        await asyncio.sleep(0.05)
    # It went on while the old one ran out.
    await asyncio.sleep(3)
    equal(((await subscription.presence_stats()).num_clients, eve.heard.count("connected")), (1, 1))
    await eve.bye()


async def refreshed_subscription():
    """The same for a subscription with a token of its own."""
    asked = []

    async def get_token(channel):
        asked.append(channel)
        return signed("eve", channel=channel, exp=soon(2 if len(asked) == 1 else 3600))

    eve = person(token=signed("eve"))
    await eve.connected()
    channel = "$chat:secret"
    subscription, heard = eve.subscription(channel)
    await subscription.subscribe()
    equal((await heard.next("unsubscribed")).code, 103)
    eve.client.remove_subscription(subscription)
    subscription, heard, _ = await eve.subscribed(channel, get_token=get_token)
    # Its token is over in two seconds, and the hub waits as long again and less for another.
    await asyncio.sleep(5)
    assert len(asked) >= 2, asked
    await HUB.call("publish", {"channel": channel, "data": {"n": 1}})
    equal(eve.read((await heard.next("publication")).pub.data), {"n": 1})
    equal((heard.count("subscribed"), heard.count("unsubscribed")), (1, 0))
    await eve.bye()


async def refreshes():
    await asyncio.gather(refreshed_connection(), refreshed_subscription())


async def killed_hub():
    """What was published while the hub was killed and away arrives, in order, after the client is back by itself."""
    ada = person(token=ADA["token"])
    await ada.connected()
    subscription, heard, subscribed = await ada.subscribed("feed:all")
    equal((subscribed.was_recovering, subscribed.recoverable), (False, True))
    await post("Before the kill")
    pub = (await heard.next("publication")).pub
    seen = {ada.read(pub.data)["id"]}
    await ada.heard.next("connecting")
    tell("kill")
    wanted = json.loads(await answered())
    equal((await ada.heard.next("connecting")).code, 1)
    await ada.heard.next("connected")
    back = await heard.next("subscribed")
    equal((back.was_recovering, back.recovered), (True, True))
    titles = []
    while len(titles) < len(wanted):
        data = ada.read((await heard.next("publication")).pub.data)
        # After a kill a publication may come again, and none is missing.
        if data["id"] not in seen:
            seen.add(data["id"])
            titles.append(data["post"]["title"])
    equal(titles, wanted)
    await post("After all")
    equal(ada.read((await heard.next("publication")).pub.data)["post"]["title"], "After all")
    await ada.bye()


async def closes():
    """Which closes the client comes back from, and which are for good."""
    ada = person(token=ADA["token"])
    await ada.connected()
    subscription, heard, _ = await ada.subscribed("chat:closes")
    await ada.heard.next("connecting")
    ending = {"code": 3001, "reason": "shutdown"}
    await HUB.call("disconnect", {"user": str(ADA["id"]), "disconnect": ending})
    told = await ada.heard.next("connecting")
    equal((told.code, told.reason), (3001, "shutdown"))
    await HUB.call("publish", {"channel": "chat:closes", "data": {"n": 1}})
    await ada.heard.next("connected")
    back = await heard.next("subscribed")
    equal((back.was_recovering, back.recovered), (True, True))
    equal(ada.read((await heard.next("publication")).pub.data), {"n": 1})

    await HUB.call("disconnect", {"user": str(ADA["id"])})
    equal((await ada.heard.next("disconnected")).code, 3503)
    for token, code in (("cst_unknown", 3500), ("nonsense", 3500), ("", 3501)):
        stranger = person(token=token)
        await stranger.client.connect()
        equal((await stranger.heard.next("disconnected")).code, code)
        equal((stranger.client.state, stranger.heard.count("connecting")), (ClientState.DISCONNECTED, 1))

    bob = person(token=BOB["token"])
    await bob.connected()
    status, _ = await HUB.ask("DELETE", "/v1/sessions/current", token=BOB["token"])
    equal(status, 204)
    equal((await bob.heard.next("disconnected")).code, 3500)
    equal((bob.client.state, bob.heard.count("connecting")), (ClientState.DISCONNECTED, 1))


asyncio.run(
    play({
        "commands": commands,
        "unsubscriptions": unsubscriptions,
        "refreshes": refreshes,
        "a killed hub": killed_hub,
        "closes": closes,
    })
)
