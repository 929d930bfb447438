// Lives through the scenario with the published SDK over one transport after the other, in Node. Tells on stdout, one JSON
// object a line, what it does; the test that started it cuts the wire when told `cut` and mends it when told `mend`, and
// answers each with a line. Ends with `done`, or with `failed` and why.
//
// Usage: node transports.mjs DIRECTORY_WITH_NODE_MODULES SERVER_ADDRESS CUT_ADDRESS API_KEY USER TOKEN POST
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Outside, tell, transports } from './outside.mjs';
import { scenario } from './scenario.mjs';

const [modules, address, cut, key, user, token, post] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const json = require('centrifuge');
const protobuf = require('centrifuge/build/protobuf');
const surroundings = {
  websocket: require('ws'),
  eventsource: require('eventsource').EventSource,
  fetch,
  readableStream: ReadableStream,
  emulationEndpoint: `http://${cut}/emulation`,
};

const outside = new Outside(address, key, user);
try {
  for (const { name, format, scheme, path } of transports) {
    tell('step', { name: `${name}, ${format}` });
    const { Centrifuge } = format === 'protobuf' ? protobuf : json;
    const endpoint = `${scheme}://${cut}${path}`;
    const make = (options) => new Centrifuge([{ transport: name, endpoint }], { ...surroundings, ...options });
    await scenario({
      make, token, user, post, transport: name, binary: format === 'protobuf',
      channel: `room:${name}-${format}`,
      outside: (...what) => outside.do(...what),
      step: (step) => tell('step', { name: `${name}, ${format}: ${step}` }),
    });
    await outside.do('unlike', post, token);
  }
  tell('done');
} catch (error) {
  tell('failed', { why: String(error), stack: error.stack });
}
process.exit(0);
