// From totals to what happens: rates, percentiles and the heat map are differences of two answers
// of /v1/overview. Pure, so that it is tried without a browser.

/** Answers that are kept: five minutes of one a second. */
export const FRAMES_MAX = 300;

/** What grew, never less than nothing: a node that began anew counts from nothing. */
const grown = (now, before) => (now >= (before ?? 0) ? now - (before ?? 0) : now);

/** Buckets (lowest, highest, count, ...) less those of an earlier answer. */
export function subtract(now, before = []) {
  const left = [];
  let at = 0;
  for (let i = 0; i < now.length; i += 3) {
    while (at < before.length && before[at] < now[i]) at += 3;
    const was = at < before.length && before[at] === now[i] ? before[at + 2] : 0;
    const count = grown(now[i + 2], was);
    if (count > 0) left.push(now[i], now[i + 1], count);
  }
  return left;
}

/** Buckets of several added up. */
export function add(lists) {
  const sums = new Map();
  for (const list of lists) {
    for (let i = 0; i < list.length; i += 3) {
      const known = sums.get(list[i]);
      if (known) known[2] += list[i + 2];
      else sums.set(list[i], [list[i], list[i + 1], list[i + 2]]);
    }
  }
  return [...sums.values()].sort((a, b) => a[0] - b[0]).flat();
}

/** The value below which a share of all lies: the middle of its bucket; none of nothing. */
export function quantile(buckets, share) {
  let whole = 0;
  for (let i = 2; i < buckets.length; i += 3) whole += buckets[i];
  if (whole === 0) return null;
  let left = Math.max(1, Math.ceil(share * whole));
  for (let i = 0; i < buckets.length; i += 3) {
    left -= buckets[i + 2];
    if (left <= 0) return (buckets[i] + buckets[i + 1]) / 2;
  }
  return null;
}

const sum = (values) => values.reduce((whole, value) => whole + value, 0);

/** What listeners have counted, as totals. */
function totals(listeners) {
  const codes = [0, 0, 0, 0, 0, 0];
  const faults = {};
  for (const listener of listeners) {
    for (const [code, count] of Object.entries(listener.requests)) codes[Math.floor(code / 100)] += count;
    for (const [fault, count] of Object.entries(listener.faults)) faults[fault] = (faults[fault] ?? 0) + count;
  }
  const of = (key) => sum(listeners.map((listener) => listener[key]));
  return {
    codes,
    faults,
    requests: sum(codes),
    accepted: of("connections_total"),
    received: of("bytes_received"),
    sent: of("bytes_sent"),
    connections: of("connections"),
    latencies: new Map(listeners.map((listener) => [key(listener), listener.latency])),
  };
}

const key = (listener) => `${listener.name} ${listener.address}`;

/** The time between two answers in seconds; none where the earlier is of another life. */
export function seconds(now, before) {
  if (!before) return null;
  const [is, was] = [now.nodes[0], before.nodes[0]];
  const between = (now.at_ms - before.at_ms) / 1000;
  return is && was && is.uptime_ms >= was.uptime_ms && between > 0 ? between : null;
}

/** What happened between two answers at one listener or at all; none where that cannot be told. */
export function frame(now, before, listener = "") {
  const over = seconds(now, before);
  if (over === null) return null;
  const chosen = (answer) => answer.listeners.filter((each) => !listener || each.name === listener);
  const [is, was] = [totals(chosen(now)), totals(chosen(before))];
  const rate = (a, b) => grown(a, b) / over;
  const latencies = [...is.latencies].map(([name, buckets]) => subtract(buckets, was.latencies.get(name)));
  const buckets = add(latencies);
  const faults = Object.entries(is.faults).map(([name, count]) => [name, rate(count, was.faults[name])]);
  return {
    at: now.at_ms,
    seconds: over,
    requests: rate(is.requests, was.requests),
    codes: is.codes.map((count, index) => rate(count, was.codes[index])),
    faults: faults.filter(([, each]) => each > 0).sort((a, b) => b[1] - a[1]),
    accepted: rate(is.accepted, was.accepted),
    received: rate(is.received, was.received),
    sent: rate(is.sent, was.sent),
    connections: is.connections,
    buckets,
    p50: quantile(buckets, 0.5),
    p90: quantile(buckets, 0.9),
    p99: quantile(buckets, 0.99),
    p999: quantile(buckets, 0.999),
  };
}

/** The rows of an answer as objects, with what happened since an earlier one. */
export function backends(now, before) {
  const over = seconds(now, before);
  const place = Object.fromEntries(now.columns.map((name, index) => [name, index]));
  const earlier = new Map();
  if (over !== null) for (const row of before.backends) earlier.set(row[place.slot], row);
  return now.backends.map((row) => {
    const is = (name) => row[place[name]];
    const known = earlier.get(is("slot"));
    // A slot may have changed hands.
    const was = known && known[place.name] === is("name") && known[place.address] === is("address") ? known : null;
    const more = (name) => (was ? grown(is(name), was[place[name]]) : 0);
    const rate = (name) => (was ? more(name) / over : null);
    const [requests, answered] = [more("requests"), more("latency_count")];
    const state = is("state");
    return {
      slot: is("slot"),
      group: now.groups[is("group")].name,
      name: is("name"),
      address: is("address"),
      wish: state,
      configured: is("configured"),
      weight: is("weight"),
      state: state === "removed" ? "removed" : is("suspended") && is("status") === "up" ? "down" : is("status") || "unknown",
      source: is("source") ?? "",
      reason: is("suspended") && is("status") === "up" ? "suspended by a core" : is("reason"),
      since: is("since_ms"),
      inFlight: is("in_flight"),
      connections: is("connections"),
      requests: rate("requests"),
      connects: rate("connects"),
      failed: was ? more("errors") + more("faults") + more("connect_failures") : 0,
      failures: was ? (more("errors") + more("faults") + more("connect_failures")) / over : null,
      share: requests > 0 ? Math.min(1, (more("errors") + more("faults")) / requests) : null,
      retries: rate("retries"),
      bytes: rate("bytes"),
      mean: answered > 0 ? more("latency_sum_us") / answered : null,
      totals: Object.fromEntries(["requests", "errors", "faults", "retries", "connects", "connect_failures", "bytes"].map((name) => [name, is(name)])),
    };
  });
}

/** Groups with what their backends add up to. */
export function groups(now, rows) {
  const whole = sum(rows.map((row) => row.requests ?? 0));
  const byGroup = new Map(now.groups.map((group) => [group.name, []]));
  for (const row of rows) byGroup.get(row.group)?.push(row);
  return now.groups.map((group) => {
    const mine = byGroup.get(group.name).filter((row) => row.wish !== "removed" || group.policy === null);
    const of = (name) => sum(mine.map((row) => row[name] ?? 0));
    const requests = of("requests");
    const answered = mine.filter((row) => row.mean !== null);
    const weighted = sum(answered.map((row) => row.mean * row.requests));
    const served = sum(answered.map((row) => row.requests));
    return {
      ...group,
      whole: mine.length,
      up: mine.filter((row) => row.state === "up").length,
      down: mine.filter((row) => row.state === "down").length,
      requests,
      connects: of("connects"),
      failures: of("failures"),
      inFlight: of("inFlight"),
      share: whole > 0 ? requests / whole : null,
      mean: served > 0 ? weighted / served : null,
    };
  });
}

/** The cores of each node with what they did, and how uneven that is: the busiest over the mean. */
export function nodes(now, before) {
  const over = seconds(now, before);
  return now.nodes.map((node) => {
    const old = over === null ? null : before.nodes.find((other) => other.name === node.name);
    const cores = node.cores.map((core, index) => {
      const was = old?.cores[index];
      const rate = (name) => (was ? grown(core[name], was[name]) / over : null);
      const turns = rate("turns");
      return {
        core: core.core,
        state: core.state,
        epoch: core.epoch,
        connections: core.connections,
        requests: rate("requests"),
        accepted: rate("connections_total"),
        turns,
        batch: turns > 0 ? rate("completions") / turns : null,
        starved: rate("buffer_starved"),
        held: core.buffers_held,
        dropped: rate("log_dropped"),
      };
    });
    const loads = cores.map((core) => core.requests ?? 0);
    const mean = sum(loads) / Math.max(1, loads.length);
    return {
      ...node,
      cores,
      cpu: old ? grown(node.cpu_seconds, old.cpu_seconds) / over : null,
      imbalance: mean > 0 ? Math.max(...loads) / mean : null,
    };
  });
}

/** The nodes of the cluster, with how far each and each of its cores is behind the newest epoch. */
export function members(now) {
  const there = now.cluster.filter((node) => node.adopted !== undefined);
  const newest = Math.max(0, ...there.filter((node) => node.standing === "alive").map((node) => node.epoch));
  return now.cluster.map((node) => {
    const cores = node.cores ?? [];
    const late = cores.filter((epoch) => epoch < newest).length;
    return {
      name: node.node,
      mine: node.this === true,
      standing: node.standing,
      phase: node.phase ?? "",
      epoch: node.adopted ?? null,
      cores,
      late,
      behind: late > 0 && node.standing === "alive",
      differs: node.differs === true,
      connections: node.connections ?? null,
      inFlight: node.in_flight ?? null,
      heard: node.heard_ms ?? null,
    };
  });
}

/** Rows of a heat map: four for each doubling. */
export const rowOf = (micros) => Math.floor(4 * Math.log2(Math.max(1, micros)));

/** The counts of buckets by row of the heat map. */
export function heat(buckets) {
  const rows = new Map();
  for (let i = 0; i < buckets.length; i += 3) {
    const row = rowOf((buckets[i] + buckets[i + 1]) / 2);
    rows.set(row, (rows.get(row) ?? 0) + buckets[i + 2]);
  }
  return rows;
}
