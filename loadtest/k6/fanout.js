// One channel, many sockets: how long a publication of a back end takes to all of them.
//
//   k6 run -e API_KEY=secret loadtest/k6/fanout.js
import { hubOf, hubs, listen, member, people, publish, rate, seconds, thresholdsOf, users, warmUp } from './hub.js';

/** In the product's feed nobody but the product publishes; this namespace is to be configured, see loadtest/README.md. */
const channel = __ENV.CHANNEL || 'bench:fanout';
/** Publications a second: each is as many deliveries as there are users, and k6 takes no more than about ten thousand a second. */
const publications = Math.min(rate, 10);

export const options = {
  scenarios: {
    listeners: { executor: 'per-vu-iterations', exec: 'hear', vus: users, iterations: 1, maxDuration: `${warmUp + seconds + 30}s` },
    publishers: {
      executor: 'constant-arrival-rate', exec: 'say', rate: publications, duration: `${seconds}s`, startTime: `${warmUp}s`,
      preAllocatedVUs: 20, maxVUs: 100,
    },
  },
  thresholds: { ...thresholdsOf('delivery', 'http_req_duration{name:publish}'), deliveries: ['count>0'] },
};

export const setup = () => ({ people: people() });

export function hear({ people }) {
  const { token } = people[__VU % people.length];
  listen(hubOf(__VU), token, [channel], warmUp + seconds + 2, (push) => Number(member(push, 'sent')));
}

export function say() {
  publish(hubs[__ITER % hubs.length], channel, { sent: Date.now(), filler: 'x'.repeat(80) });
}
