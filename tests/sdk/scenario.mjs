// What an application does with the published SDK, the same over every transport and in both encodings, in Node and in
// a browser. It takes nothing from outside itself, so that its source can be handed to a page.

/**
 * Lives through a connection and throws at the first thing that is not as it should be.
 *
 * `make` makes a client of more options, `token` is a session's, `outside(name, ...)` has something done elsewhere: `cut` and
 * `mend` the wire, `publish` to a channel, `send` a message to the user, `disconnect` or `unsubscribe` the user. `binary` says that payloads are bytes.
 */
export async function scenario({ make, token, user, channel, post, transport, binary, outside, step }) {
  const fail = (what) => { throw new Error(what); };
  const check = (what, got, wanted) => {
    const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
    if (a !== b) fail(`${what}: ${a}, not ${b}`);
  };
  const pack = (value) => (binary ? new TextEncoder().encode(JSON.stringify(value)) : value);
  const unpack = (data) => (binary && data ? JSON.parse(new TextDecoder().decode(data)) : data);
  /** The events of an emitter, to be waited for one by one. */
  const events = (emitter, names) => {
    const [heard, waiting] = [[], []];
    for (const name of names) {
      emitter.on(name, (context) => {
        const event = { name, ...context };
        if (waiting.length) waiting.shift()(event); else heard.push(event);
      });
    }
    const any = () => new Promise((resolve, reject) => {
      if (heard.length) return resolve(heard.shift());
      const timer = setTimeout(() => reject(new Error(`none of ${names} came`)), 20000);
      return waiting.push((event) => { clearTimeout(timer); resolve(event); });
    });
    return {
      async next(name) {
        const event = await any();
        if (event.name !== name) fail(`${name} was awaited, ${event.name} came: ${event.code} ${event.reason}`);
        return event;
      },
    };
  };
  const refusal = (promise) => promise.then(() => 0, (error) => error.code);

  const client = make({ token, minReconnectDelay: 20, maxReconnectDelay: 200 });
  const state = events(client, ['connected', 'disconnected']);
  const inbox = events(client, ['subscribed', 'publication']);
  const messages = events(client, ['message']);
  client.connect();
  const { client: id, transport: used, data } = await state.next('connected');
  check('the transport', used, transport);
  check('what the connect reply says of the inbox', unpack(data).unread_count, 0);
  const served = await inbox.next('subscribed');
  check('the channel that the server subscribed', served.channel, `notifications:#${user}`);
  await outside('send', { text: 'outside of any channel' });
  check('a message', unpack((await messages.next('message')).data), { text: 'outside of any channel' });
  step('connected');

  const subscription = client.newSubscription(channel, { recoverable: true, joinLeave: true, delta: 'fossil' });
  const room = events(subscription, ['subscribed', 'unsubscribed', 'publication']);
  const others = events(subscription, ['join', 'leave']);
  subscription.subscribe();
  const joined = await room.next('subscribed');
  check('a recoverable subscription', [joined.recoverable, joined.positioned], [true, true]);
  check('the second subscription of the same', await refusal(client.rpc('no_such_method', pack({}))), 108);
  step('subscribed');

  await subscription.publish(pack({ text: 'héllo "bells"' }));
  const heard = await room.next('publication');
  check('the publication', unpack(heard.data), { text: 'héllo "bells"' });
  check('who published', [heard.info.user, heard.info.client], [user, id]);
  await outside('publish', channel, { text: 'from a back end' }, { kind: 'note' });
  const tagged = await room.next('publication');
  check('tags', tagged.tags, { kind: 'note' });
  check('consecutive offsets', tagged.offset - heard.offset, 1);
  step('published');

  // Long and mostly the same, so that all but the first come as deltas.
  const long = (number) => ({ number, text: 'the same ünder all of them '.repeat(40) });
  for (const number of [1, 2, 3]) await outside('publish', channel, long(number));
  for (const number of [1, 2, 3]) check('deltas', unpack((await room.next('publication')).data), long(number));
  step('deltas');

  const { clients } = await subscription.presence();
  check('presence', Object.values(clients).map((it) => it.user), [user]);
  const stats = await subscription.presenceStats();
  check('presence stats', [stats.numClients, stats.numUsers], [1, 1]);
  const latest = await subscription.history({ limit: 1, reverse: true });
  check('history, latest first', latest.publications.map((it) => it.offset), [tagged.offset + 3]);
  const since = { offset: heard.offset, epoch: latest.epoch };
  const after = await subscription.history({ limit: 1, since });
  check('history since a position', after.publications.map((it) => unpack(it.data).text), ['from a back end']);
  const top = await subscription.history({ limit: 0 });
  check('the position alone', [top.publications.length, top.offset], [0, tagged.offset + 3]);
  step('presence and history');

  const liked = await client.rpc('like_post', pack({ post_id: post }));
  check('a command of the product', unpack(liked.data).likes, 1);
  const second = make({ token });
  second.connect();
  const elsewhere = second.newSubscription(channel);
  elsewhere.subscribe();
  let join = await others.next('join');
  // One's own join comes as well; which of the two is first is not promised.
  if (join.info.client === id) join = await others.next('join');
  check('who joined', join.info.user, user);
  second.disconnect();
  const leave = await others.next('leave');
  check('who left', leave.info.client, join.info.client);
  step('rpc, join and leave');

  await outside('cut');
  for (const number of [1, 2, 3]) await outside('publish', channel, { number });
  await outside('mend');
  for (const number of [1, 2, 3]) {
    const missed = await room.next(number === 1 ? 'subscribed' : 'publication');
    if (number > 1) continue;
    check('recovery', [missed.wasRecovering, missed.recovered], [true, true]);
    check('the first that was missed', unpack((await room.next('publication')).data), { number });
  }
  await outside('publish', channel, { number: 4 });
  const live = await room.next('publication');
  check('what comes live after it', [unpack(live.data), live.offset - tagged.offset], [{ number: 4 }, 7]);
  await state.next('connected');
  step('recovered');

  subscription.unsubscribe();
  check('unsubscribing', (await room.next('unsubscribed')).code, 0);
  subscription.subscribe();
  await room.next('subscribed');
  await outside('unsubscribe', channel);
  check('a back end unsubscribes', (await room.next('unsubscribed')).code, 2000);
  await outside('disconnect');
  const end = await state.next('disconnected');
  check('a terminal disconnect', end.code, 3503);
  step('ended');
}
