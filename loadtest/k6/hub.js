// What the scripts share: accounts, writes over REST, and sockets that speak the client protocol by hand.
//
// Settings, by `k6 run -e NAME=value`: HUB (http://127.0.0.1:8000; several nodes separated by commas), API_KEY (of the hub's
// `http_api.key`), USERS (virtual users), RATE (writes a second of all together), SECONDS, ACCOUNTS; SMOKE=1 for a few seconds of
// very little, which shows that everything works and measures nothing.
import http from 'k6/http';
import { check, fail } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/experimental/websockets';

const smoke = __ENV.SMOKE === '1';
const number = (name, usual, few) => Number(__ENV[name] || (smoke ? few : usual));

export const hubs = (__ENV.HUB || 'http://127.0.0.1:8000').split(',');
export const apiKey = __ENV.API_KEY || '';
export const users = number('USERS', 1000, 10);
export const rate = number('RATE', 100, 10);
export const seconds = number('SECONDS', 60, 5);
/** Hashing a password costs the hub 31 ms of a core, which is not what is measured: virtual users share accounts. */
const accounts = number('ACCOUNTS', 50, 3);
/** How long sockets may take to be open and subscribed before anything is written. */
export const warmUp = smoke ? 2 : 15;

/** From the time of a write, as its publication says it, to its arrival at a socket. Milliseconds. */
export const delivery = new Trend('delivery', true);
export const deliveries = new Counter('deliveries');
export const closed = new Counter('sockets_closed');

/** The limits that every script is held to: the user's 200 ms, and half of that again for the slowest in a hundred. */
export const limits = { 'p(95)': 200, 'p(99)': 300 };
export const thresholdsOf = (...metrics) => {
  const all = { checks: ['rate==1'], http_req_failed: ['rate==0'], sockets_closed: ['count==0'] };
  for (const metric of metrics) all[metric] = Object.entries(limits).map(([p, ms]) => `${p}<${ms}`);
  return all;
};

/** The node of a virtual user. */
export const hubOf = (user) => hubs[user % hubs.length];

const json = { 'Content-Type': 'application/json' };
const as = (token) => ({ headers: { ...json, Authorization: `Bearer ${token}` } });

/** Makes accounts and logs them in: `[{ id, token }]`. */
export function people() {
  const run = Date.now().toString(36);
  const password = `load ${run} of k6`;
  return Array.from({ length: accounts }, (_, n) => {
    const username = `k6_${run}_${n}`;
    const body = JSON.stringify({ username, email: `${username}@example.test`, password });
    const made = http.post(`${hubs[0]}/v1/users`, body, { headers: json });
    if (made.status !== 201) fail(`no account: ${made.status} ${made.body}; is limits.enabled false?`);
    const login = http.post(`${hubs[0]}/v1/sessions`, JSON.stringify({ login: username, password }), { headers: json });
    if (login.status !== 201) fail(`no session: ${login.status} ${login.body}`);
    return { id: login.json('user.id'), token: login.json('token') };
  });
}

/** Publishes a post and answers its id. */
export function post(hub, person, title) {
  const body = JSON.stringify({ title, content: `What there is to say of ${title}.`, tags: ['k6'] });
  const answer = http.post(`${hub}/v1/posts`, body, { ...as(person.token), tags: { name: 'post' } });
  check(answer, { 'a post is made': (it) => it.status === 201 });
  return answer.json('id');
}

export function like(hub, person, id, on) {
  const url = `${hub}/v1/posts/${id}/like`;
  const parameters = { ...as(person.token), tags: { name: 'like' } };
  const answer = on ? http.put(url, null, parameters) : http.del(url, null, parameters);
  check(answer, { 'a like is counted': (it) => it.status === 200 });
}

export function comment(hub, person, id) {
  const body = JSON.stringify({ content: 'Well said.' });
  const answer = http.post(`${hub}/v1/posts/${id}/comments`, body, { ...as(person.token), tags: { name: 'comment' } });
  check(answer, { 'a comment is made': (it) => it.status === 201 });
}

/** Publishes bare data through the server API. */
export function publish(hub, channel, data) {
  const headers = { ...json, 'X-API-Key': apiKey };
  const body = JSON.stringify({ channel, data });
  const answer = http.post(`${hub}/api/publish`, body, { headers, tags: { name: 'publish' } });
  check(answer, { 'a publication is taken': (it) => it.status === 200 && it.json('error') === undefined });
}

/**
 * Opens a socket, subscribes it and keeps it for `life` seconds. `sent` tells of a push, as a text, when what it holds was
 * written (milliseconds since the epoch), or undefined if it does not count. A push is not parsed: with thousands a second
 * that alone would keep a core busy, and what is measured is the hub.
 */
export function listen(hub, token, channels, life, sent) {
  const socket = new WebSocket(`${hub.replace('http', 'ws')}/connection/websocket`);
  let over = false;
  socket.onopen = () => {
    const commands = [{ id: 1, connect: { token } }];
    channels.forEach((channel, n) => commands.push({ id: n + 2, subscribe: { channel } }));
    socket.send(commands.map((command) => JSON.stringify(command)).join('\n'));
    setTimeout(() => { over = true; socket.close(); }, life * 1000);
  };
  socket.onmessage = ({ data }) => {
    const now = Date.now();
    for (const line of data.split('\n')) {
      if (line === '{}') socket.send('{}');
      else if (line.startsWith('{"push":')) hear(line, now, sent);
      else {
        const message = JSON.parse(line);
        if (message.id) check(message, { 'a command is answered': (it) => it.error === undefined });
      }
    }
  };
  socket.onclose = () => { if (!over) closed.add(1); };
  socket.onerror = (error) => { if (!over) console.error(`a socket failed: ${error.error}`); };
}

function hear(push, now, sent) {
  const at = sent(push);
  if (at === undefined) return;
  deliveries.add(1);
  delivery.add(Math.max(0, now - at));
}

/** The value of a member of a push whose name occurs once in it; undefined if there is none. Quotation marks within texts are escaped. */
export function member(push, name) {
  const before = `"${name}":`;
  const at = push.indexOf(before);
  if (at < 0) return undefined;
  const from = at + before.length;
  return push.slice(from, push.slice(from).search(/[,}]/) + from).replace(/^"|"$/g, '');
}

/** The time of an event of the product, as its publication says it. */
export const timeOf = (push) => {
  const time = member(push, 'time');
  return time && Date.parse(time);
};
