// The whole product: users who are connected, read the feed and a post, and write now and then. What the user asked for: a
// thousand of them hear of everything within 200 ms.
//
//   k6 run loadtest/k6/mixed.js
import {
  comment, hubOf, hubs, like, listen, people, post, rate, seconds, thresholdsOf, timeOf, users, warmUp,
} from './hub.js';

export const options = {
  scenarios: {
    listeners: { executor: 'per-vu-iterations', exec: 'hear', vus: users, iterations: 1, maxDuration: `${warmUp + seconds + 30}s` },
    writers: {
      executor: 'constant-arrival-rate', exec: 'write', rate, duration: `${seconds}s`, startTime: `${warmUp}s`,
      preAllocatedVUs: 50, maxVUs: 500,
    },
  },
  thresholds: {
    ...thresholdsOf('delivery', 'http_req_duration{name:post}', 'http_req_duration{name:like}', 'http_req_duration{name:comment}'),
    deliveries: ['count>0'],
  },
};

export function setup() {
  const all = people();
  const posts = Array.from({ length: 20 }, (_, n) => post(hubs[n % hubs.length], all[n % all.length], `A post to watch, ${n}`));
  return { all, posts };
}

/** Every other user reads the feed, the others watch one post; all have their inbox. */
export function hear({ all, posts }) {
  const channel = __VU % 2 ? 'feed:all' : `post:${posts[__VU % posts.length]}`;
  listen(hubOf(__VU), all[__VU % all.length].token, [channel], warmUp + seconds + 2, timeOf);
}

export function write({ all, posts }) {
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  const [hub, person, id] = [pick(hubs), pick(all), pick(posts)];
  const chance = Math.random();
  if (chance < 0.6) like(hub, person, id, chance < 0.35);
  else if (chance < 0.9) comment(hub, person, id);
  else post(hub, person, `News, ${__VU} ${__ITER}`);
}
