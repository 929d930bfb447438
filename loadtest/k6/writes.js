// Writes alone: posts, likes and comments on schedule, each durable before it is answered.
//
//   k6 run loadtest/k6/writes.js
import { comment, hubs, like, people, post, rate, seconds, thresholdsOf } from './hub.js';

export const options = {
  scenarios: {
    writers: { executor: 'constant-arrival-rate', rate, duration: `${seconds}s`, preAllocatedVUs: 50, maxVUs: 500 },
  },
  thresholds: thresholdsOf('http_req_duration{name:post}', 'http_req_duration{name:like}', 'http_req_duration{name:comment}'),
};

export function setup() {
  const all = people();
  const posts = all.map((person, n) => post(hubs[n % hubs.length], person, `Written before ${n}`));
  return { all, posts };
}

export default function ({ all, posts }) {
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  const [hub, person, id] = [pick(hubs), pick(all), pick(posts)];
  const chance = Math.random();
  if (chance < 0.6) like(hub, person, id, chance < 0.4);
  else if (chance < 0.9) comment(hub, person, id);
  else post(hub, person, `Written by ${__VU}, the ${__ITER}th`);
}
