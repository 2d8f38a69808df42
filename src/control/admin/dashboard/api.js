// The node's API, with the token its user has shown.

const KEY = "weir-token";
const PATIENCE_MS = 40_000;

/** An answer that is not what was asked for. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.detail ?? `the node answers ${status}`);
    this.status = status;
    this.errors = body?.errors ?? [];
  }
}

export const hasToken = () => sessionStorage.getItem(KEY) !== null;
export const keepToken = (token) => sessionStorage.setItem(KEY, token);
export const dropToken = () => sessionStorage.removeItem(KEY);

/** Asks; gives what JSON was answered, or throws. */
export async function ask(method, path, body, headers = {}) {
  const token = sessionStorage.getItem(KEY);
  const answer = await fetch(path, {
    method,
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(PATIENCE_MS),
    headers: {
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // An answer that is no JSON has nothing to add to its status.
  }
  if (!answer.ok || json === null) throw new Refused(answer.status, json);
  return json;
}

/** Everything that moves; the latencies of some backends with it. */
export const overview = (slots) => ask("GET", `/v1/overview${slots.length ? `?latency=${slots.join(",")}` : ""}`);

/** All that is thought of one backend. */
export async function backend(group, name) {
  const path = `/v1/backends/${encodeURIComponent(name)}?group=${encodeURIComponent(group)}`;
  return (await ask("GET", path)).items;
}

/** What was, of one node or one backend: whoever is not asked for is named by nothing. */
async function past(kind, { node = "", group = "", backend = "" }, seconds, isIt) {
  const asked = new URLSearchParams({ node, group, backend, seconds: String(Math.min(3600, seconds)) });
  const page = await ask("GET", `/v1/monitor?${asked}`);
  const part = page[kind].find(isIt);
  return part && { at: page.at, interval: page.interval, now: part, history: part.history };
}

export const pastOfNode = (node) => (seconds) => past("nodes", { node }, seconds, () => true);
export const pastOfBackend = ({ group, name, address }) => (seconds) =>
  past("backends", { group, backend: name }, seconds, (part) => part.address === address);

/** What operations would do. */
export const plan = (operations) => ask("POST", "/v1/plan", { operations });

/** Does them, if nothing changed since `epoch`, and waits for every core. */
export const apply = (operations, epoch) =>
  ask("POST", "/v1/transaction?wait=node", { operations }, { "If-Match": `"${epoch}"` });
