// REST: requests as the one who is logged in, and what the server refuses.

/** Who asks. `refused` is called once the server does not know the token any more. */
export const identity = { token: null, user: null, refused() {} };

/** A refusal as RFC 9457 describes it, or a lost network (status 0). */
export class Problem extends Error {
  constructor(status, body, wait) {
    super(body.detail || body.title || `The server answered ${status}.`);
    Object.assign(this, { status, wait, code: body.code ?? "", errors: body.errors ?? [] });
  }
  /** Whether the same request, with the same key, may succeed later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500 || (this.status === 409 && this.wait > 0);
  }
}

export async function api(method, url, body, key) {
  const headers = { accept: "application/json" };
  const { token } = identity;
  if (token) headers.authorization = `Bearer ${token}`;
  if (key) headers["idempotency-key"] = key;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response, answer;
  try {
    response = await fetch(url, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(30_000) });
    answer = await response.text();
  } catch {
    throw new Problem(0, { detail: "The server can't be reached. Check the network and try again.", code: "offline" }, 0);
  }
  let value = null;
  try { value = answer ? JSON.parse(answer) : null; } catch { /* What is no JSON has nothing to say to us. */ }
  if (response.ok) return value;
  if (response.status === 401 && token && token === identity.token) identity.refused();
  throw new Problem(response.status, value ?? {}, Number(response.headers.get("retry-after")) || 0);
}

export const get = (url) => api("GET", url);
