// Hears and says what is compressed, with the published SDK over Node's ws, in JSON and then in Protobuf. Tells on stdout,
// one JSON object a line, which extensions were agreed on, then every publication; after three it publishes itself.
//
// Usage: node compressed.mjs DIRECTORY_WITH_NODE_MODULES SERVER_ADDRESS
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { tell } from './outside.mjs';

const [modules, address] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const ws = require('ws');

for (const build of ['centrifuge', 'centrifuge/build/protobuf']) {
  const { Centrifuge } = require(build);
  let socket;
  class Compressing extends ws {
    constructor(url, protocols) {
      super(url, protocols, { perMessageDeflate: { threshold: 100 } });
      socket = this;
    }
  }
  const binary = build !== 'centrifuge';
  const decode = (data) => (binary ? JSON.parse(new TextDecoder().decode(data)) : data);
  const encode = (data) => (binary ? new TextEncoder().encode(JSON.stringify(data)) : data);
  const client = new Centrifuge(`ws://${address}/connection/websocket`, { websocket: Compressing });
  const subscription = client.newSubscription('chat:all');
  let heard = 0;
  let published;
  await new Promise((done) => {
    subscription.on('subscribed', () => tell('subscribed', { extensions: socket.extensions }));
    subscription.on('publication', ({ data }) => {
      tell('publication', { data: decode(data) });
      heard += 1;
      if (heard === 3) published = subscription.publish(encode({ said: 'x'.repeat(30_000) }));
      if (heard === 4) done();
    });
    subscription.subscribe();
    client.connect();
  });
  await published;
  client.disconnect();
}
process.exit(0);
