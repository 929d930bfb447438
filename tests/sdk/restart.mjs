// Keeps a connection and subscriptions whose tokens are short-lived, with the published SDK, and tells on stdout, one JSON
// object a line, what the SDK reports and which tokens it asks for. The test that started it kills the hub meanwhile, and
// judges what is told here. Ends when its stdin ends.
//
// Usage: node restart.mjs DIRECTORY_WITH_NODE_MODULES WEBSOCKET_URL SECRET CHANNEL PRIVATE_CHANNEL
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { tell } from './outside.mjs';

const [modules, url, secret, channel, privateChannel] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const { Centrifuge } = require('centrifuge');

/** A JWT that is good for two seconds (RFC 7515, HS256). */
function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 2;
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'eve', exp, ...claims })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const client = new Centrifuge(url, {
  websocket: require('ws'),
  minReconnectDelay: 20,
  maxReconnectDelay: 200,
  getToken: async () => {
    tell('token', { of: 'connection' });
    return token({});
  },
});
client.on('connecting', ({ code, reason }) => tell('connecting', { code, reason }));
client.on('connected', ({ client: id }) => tell('connected', { id }));
client.on('disconnected', ({ code, reason }) => tell('ended', { code, reason }));
// Of each attempt that fails.
client.on('error', ({ error }) => tell('failed', { code: error.code, reason: error.message }));

const subscribe = (name, options) => {
  const subscription = client.newSubscription(name, options);
  subscription.on('subscribed', ({ wasRecovering, recovered }) => {
    tell('subscribed', { channel: name, wasRecovering, recovered });
  });
  subscription.on('publication', ({ data }) => tell('publication', { channel: name, data }));
  subscription.on('unsubscribed', ({ code, reason }) => tell('ended', { channel: name, code, reason }));
  subscription.subscribe();
};
subscribe(channel, {});
subscribe(privateChannel, {
  getToken: async () => {
    tell('token', { of: 'subscription' });
    return token({ channel: privateChannel });
  },
});
client.connect();

process.stdin.on('end', () => process.exit(0)).resume();
