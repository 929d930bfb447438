// ---- Realtime: the Centrifugal client protocol, version 2, JSON, over a bare WebSocket. ----

const BACKOFF_MIN = 500;
const BACKOFF_MAX = 20_000;
const REPLY_TIMEOUT = 10_000;
const SEEN_MAX = 4096;
const isTerminal = (code) => (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);

export class Realtime {
  #socket = null;
  #token = null;
  #commands = new Map(); // id -> what to do with the reply
  #nextId = 1;
  #subscriptions = new Map(); // channel -> {epoch, offset, byServer, active, failures}
  #seen = new Set();
  #failures = 0;
  #retryTimer = 0;
  #silenceTimer = 0;
  #pingEvery = 25;
  #missed = null; // while catching up: how many updates were missed
  heardAt = 0;
  retryAt = 0;

  /** `on`: state(name, detail), publication(channel, data), connected(data), lost(channel), refused(channel, error). */
  constructor(on) {
    this.on = on;
    addEventListener("offline", () => this.#token && this.#drop("offline"));
    addEventListener("online", () => this.retryAt && this.connect());
    document.addEventListener("visibilitychange", () => !document.hidden && this.retryAt && this.connect());
  }

  get live() { return this.#missed === null && this.#socket?.readyState === WebSocket.OPEN; }

  start(token) {
    this.stop();
    this.#token = token;
    this.connect();
  }

  stop() {
    this.#token = null;
    this.#close();
    this.#subscriptions.clear();
    this.#seen.clear();
    this.#failures = 0;
    this.on.state("signed-out");
  }

  connect() {
    if (!this.#token || this.#socket) return;
    clearTimeout(this.#retryTimer);
    this.retryAt = 0;
    this.on.state("connecting");
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/connection/websocket`);
    this.#socket = socket;
    this.#missed = 0;
    socket.onopen = () => this.#hello();
    socket.onmessage = ({ data }) => this.#socket === socket && this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#socket === socket && this.#ended(code, reason);
    this.#watchSilence(10);
  }

  subscribe(channel) {
    if (this.#subscriptions.has(channel)) return;
    this.#subscriptions.set(channel, { failures: 0 });
    if (this.live) this.#join(channel);
  }

  unsubscribe(channel) {
    if (this.#subscriptions.delete(channel) && this.live) this.call({ unsubscribe: { channel } }).catch(() => {});
  }

  /** Sends a command; resolves with its reply, rejects with its error or when no reply comes. */
  call(command) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) return reject({ code: 0, message: "not connected" });
      const id = this.#nextId++;
      const timer = setTimeout(() => this.#settle(id, { error: { code: 0, message: "no reply" } }), REPLY_TIMEOUT);
      this.#commands.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, ...command }));
    });
  }

  #settle(id, reply) {
    const waiting = this.#commands.get(id);
    if (!waiting) return;
    this.#commands.delete(id);
    clearTimeout(waiting.timer);
    if (reply.error) waiting.reject(reply.error);
    else waiting.resolve(reply);
  }

  async #hello() {
    const socket = this.#socket;
    const subs = {};
    for (const [channel, held] of this.#subscriptions) {
      if (held.byServer) subs[channel] = { recover: true, epoch: held.epoch, offset: held.offset };
    }
    try {
      const { connect } = await this.call({ connect: { token: this.#token, name: "console", subs } });
      this.#pingEvery = connect.ping || 25;
      this.on.connected(connect.data ?? {});
      const returning = [...this.#subscriptions.values()].some((held) => held.epoch);
      for (const [channel, result] of Object.entries(connect.subs ?? {})) {
        if (!this.#subscriptions.has(channel)) this.#subscriptions.set(channel, { byServer: true, failures: 0 });
        this.#joined(channel, result);
      }
      const mine = [...this.#subscriptions].filter(([, held]) => !held.byServer).map(([channel]) => channel);
      await Promise.all(mine.map((channel) => this.#join(channel)));
      if (this.#socket !== socket) return;
      const missed = this.#missed;
      this.#missed = null;
      this.#failures = 0;
      // What was asked for meanwhile.
      for (const [channel, held] of this.#subscriptions) if (!held.active && !held.byServer) this.#join(channel);
      this.on.state(returning && missed ? "recovered" : "live", missed);
    } catch (error) {
      if (this.#socket !== socket) return;
      if (error.code === 109 || error.code === 101) this.#ended(3500, error.message);
      else this.#drop("connect refused");
    }
  }

  async #join(channel) {
    const held = this.#subscriptions.get(channel);
    if (!held) return;
    held.active = true;
    // A channel in cache mode has its latest state for whoever recovers from nothing.
    const from = held.epoch ? { recover: true, epoch: held.epoch, offset: held.offset }
      : channel.startsWith("trending:") ? { recover: true } : {};
    try {
      const { subscribe } = await this.call({ subscribe: { channel, ...from } });
      held.failures = 0;
      if (this.#subscriptions.get(channel) === held) this.#joined(channel, subscribe);
    } catch (error) {
      held.active = false;
      this.#refused(channel, held, error);
    }
  }

  #refused(channel, held, error) {
    if (this.#subscriptions.get(channel) !== held || error.code === 0 || error.code === 105) return;
    if (error.code === 112) {
      delete held.epoch;
      this.on.lost(channel);
      this.#join(channel);
    } else if (error.temporary || error.code === 100 || error.code === 111) {
      setTimeout(() => this.live && !held.active && this.#join(channel), this.#backoff(held.failures++));
    } else {
      this.#subscriptions.delete(channel);
      this.on.refused(channel, error);
    }
  }

  /** A reply to a subscribe: what was missed, oldest first, then the position from which to go on. */
  #joined(channel, result) {
    const held = this.#subscriptions.get(channel);
    const recovering = Boolean(held.epoch);
    for (const publication of result.publications ?? []) {
      if (this.#tell(channel, publication) && recovering && this.#missed !== null) this.#missed += 1;
    }
    Object.assign(held, { epoch: result.epoch, offset: result.offset ?? 0, active: true });
    if (recovering && !result.recovered) this.on.lost(channel);
  }

  /** Tells of a publication unless it was told before; one event reaches several channels, so both name it. */
  #tell(channel, publication) {
    const held = this.#subscriptions.get(channel);
    if (held && publication.offset) held.offset = publication.offset;
    const data = publication.data ?? {};
    const mark = data.id ? `${channel} ${data.id}` : null;
    if (mark && this.#seen.has(mark)) return false;
    if (mark) this.#seen.add(mark);
    if (this.#seen.size > SEEN_MAX) this.#seen.delete(this.#seen.values().next().value);
    this.on.publication(channel, data);
    return true;
  }

  #hear(frame) {
    this.heardAt = performance.now();
    this.#watchSilence(this.#pingEvery + 10);
    for (const line of String(frame).split("\n")) {
      if (!line.trim()) continue;
      const message = JSON.parse(line);
      if (message.id) this.#settle(message.id, message);
      else if (message.push) this.#pushed(message.push);
      else this.#socket?.send("{}");
    }
  }

  #pushed(push) {
    const held = this.#subscriptions.get(push.channel);
    if (push.pub) this.#tell(push.channel, push.pub);
    else if (push.disconnect) this.#ended(push.disconnect.code, push.disconnect.reason);
    else if (push.subscribe) {
      this.#subscriptions.set(push.channel, { byServer: true, failures: 0 });
      this.#joined(push.channel, push.subscribe);
    } else if (push.unsubscribe && held) {
      held.active = false;
      if (push.unsubscribe.code >= 2500) this.#join(push.channel);
      else {
        this.#subscriptions.delete(push.channel);
        this.on.refused(push.channel, { code: push.unsubscribe.code, message: push.unsubscribe.reason });
      }
    }
  }

  #watchSilence(seconds) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#drop("silent"), seconds * 1000);
  }

  #close() {
    const socket = this.#socket;
    this.#socket = null;
    this.#missed = null;
    this.retryAt = 0;
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#retryTimer);
    for (const id of [...this.#commands.keys()]) this.#settle(id, { error: { code: 0, message: "connection closed" } });
    for (const held of this.#subscriptions.values()) held.active = false;
    socket?.close();
  }

  #drop(reason) { this.#ended(3000, reason); }

  #ended(code, reason) {
    this.#close();
    if (isTerminal(code)) {
      this.#token = null;
      this.on.state("ended", { code, reason });
      return;
    }
    const wait = this.#backoff(this.#failures++);
    this.retryAt = performance.now() + wait;
    this.#retryTimer = setTimeout(() => this.connect(), wait);
    this.on.state("offline");
  }

  /** Exponential, with jitter, so that many pages do not return in one instant. */
  #backoff(failures) {
    const ceiling = Math.min(BACKOFF_MAX, BACKOFF_MIN * 2 ** Math.min(failures, 10));
    return ceiling / 2 + Math.random() * (ceiling / 2);
  }
}
