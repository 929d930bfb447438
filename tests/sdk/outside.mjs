// What the scenario asks to be done elsewhere than at its connection, and what it is done over.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

export const tell = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

/** Every transport in every encoding that it has. Server-sent events are texts, so that they carry no Protobuf. */
export const transports = [
  { name: 'websocket', format: 'json', scheme: 'ws', path: '/connection/websocket' },
  { name: 'websocket', format: 'protobuf', scheme: 'ws', path: '/connection/websocket' },
  { name: 'http_stream', format: 'json', scheme: 'http', path: '/connection/http_stream' },
  { name: 'http_stream', format: 'protobuf', scheme: 'http', path: '/connection/http_stream' },
  { name: 'sse', format: 'json', scheme: 'http', path: '/connection/sse' },
];

export class Outside {
  #answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

  constructor(address, key, user) {
    Object.assign(this, { address, key, user });
  }

  async do(what, ...more) {
    const [first, second, third] = more;
    switch (what) {
      case 'publish': return this.#call('publish', { channel: first, data: second, tags: third ?? {} });
      case 'send': return this.#call('send', { user: this.user, data: first });
      case 'unsubscribe': return this.#call('unsubscribe', { user: this.user, channel: first });
      case 'disconnect': return this.#call('disconnect', { user: this.user });
      case 'unlike': {
        const headers = { authorization: `Bearer ${second}` };
        const answer = await fetch(`http://${this.address}/v1/posts/${first}/like`, { method: 'DELETE', headers });
        return assert.equal(answer.status, 200);
      }
      default:
        tell(what);
        return assert.equal((await this.#answers.next()).value, what, `the test does ${what}`);
    }
  }

  async #call(method, body) {
    const headers = { 'content-type': 'application/json', 'x-api-key': this.key };
    const answer = await fetch(`http://${this.address}/api/${method}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const said = await answer.json();
    assert.ok(answer.ok && !said.error, JSON.stringify(said));
  }
}
