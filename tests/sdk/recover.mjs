// Subscribes with the published SDK and tells on stdout, one JSON object a line, what the SDK reports. The test that
// started it cuts the wire, writes, mends the wire, and judges what is told here. Ends when its stdin ends.
//
// Usage: node recover.mjs DIRECTORY_WITH_NODE_MODULES WEBSOCKET_URL TOKEN CHANNEL
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, url, token, channel] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const { Centrifuge } = require('centrifuge');
const WebSocket = require('ws');

const tell = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

const client = new Centrifuge(url, {
  websocket: WebSocket,
  token,
  // Short, so that a test need not wait out the SDK's usual half second and more.
  minReconnectDelay: 20,
  maxReconnectDelay: 100,
});
client.on('connecting', ({ code, reason }) => tell('connecting', { code, reason }));
client.on('connected', ({ client: id }) => tell('connected', { id }));
client.on('disconnected', ({ code, reason }) => tell('error', { code, reason }));

const subscription = client.newSubscription(channel);
subscription.on('subscribed', ({ wasRecovering, recovered }) => tell('subscribed', { wasRecovering, recovered }));
subscription.on('publication', ({ data, offset }) => tell('publication', { title: data.post.title, id: data.id, offset }));
subscription.on('unsubscribed', ({ code, reason }) => tell('error', { code, reason }));
subscription.subscribe();
client.connect();

process.stdin.on('end', () => process.exit(0)).resume();
