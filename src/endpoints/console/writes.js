// Writes that may be tried again without happening twice, and how long they take to come back to the screen.

import { offerRetry } from "/console/dialogs.js";
import { $, h, uuid } from "/console/markup.js";
import { api, identity } from "/console/requests.js";

/** A write. One that got lost may be tried again by hand: the same key makes sure that it happens once.
    `what` names it where it failed; `told` recognises the publication that tells of it. */
export async function write(method, url, body, what, told) {
  const key = uuid();
  for (;;) {
    const forget = told && latency.begin(told);
    try {
      return await api(method, url, body, key);
    } catch (problem) {
      forget?.();
      if (!problem.passes) throw problem;
      if (!(await offerRetry(problem, what))) throw Object.assign(problem, { told: true });
    }
  }
}

/** From the click that writes to the frame that shows the hub's publication of it. */
export const latency = {
  waiting: [],
  samples: [],

  /** Starts the clock of a write that `matches` recognises in a publication. */
  begin(matches) {
    const entry = { from: performance.now(), matches };
    this.waiting = this.waiting.filter((other) => entry.from - other.from < 30_000);
    this.waiting.push(entry);
    return () => { this.waiting = this.waiting.filter((other) => other !== entry); };
  },

  /** Called once the publication is in the document. */
  shown(data) {
    if (data.actor?.id !== identity.user?.id) return;
    const entry = this.waiting.find(({ matches }) => matches(data));
    if (!entry) return;
    this.waiting = this.waiting.filter((other) => other !== entry);
    if (document.hidden) return; // No frame is drawn now.
    requestAnimationFrame(() => {
      this.samples.push(performance.now() - entry.from);
      this.show();
    });
  },

  show() {
    const sorted = [...this.samples].sort((a, b) => a - b);
    const rank = (share) => Math.round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]);
    const last = Math.round(this.samples.at(-1));
    $("latency").dataset.last = String(last);
    $("latency").replaceChildren("write to screen ", h("b", null, `${last} ms`),
      ` (median ${rank(0.5)}, p95 ${rank(0.95)}, n ${sorted.length})`);
  },
};
