// The arithmetic of the dashboard, without a browser: node --test.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as rates from "../../src/control/admin/dashboard/rates.js";
import { joined, Past } from "../../src/control/admin/dashboard/past.js";
import * as format from "../../src/control/admin/dashboard/format.js";

const listener = (over) => ({
  name: "web", address: "a:1", requests: {}, faults: {}, connections: 0, connections_total: 0,
  bytes_received: 0, bytes_sent: 0, latency: [], ...over,
});
const columns = ["slot", "group", "name", "address", "state", "configured", "weight", "status", "source", "reason",
  "since_ms", "suspended", "in_flight", "connections", "connects", "connect_failures", "requests", "errors", "faults",
  "retries", "bytes", "latency_count", "latency_sum_us"];
const row = (over) => {
  const whole = { slot: 1, group: 0, name: "b1", address: "a:1", state: "ready", configured: true, weight: 1, status: "up",
    source: null, reason: "", since_ms: 0, suspended: false, in_flight: 0, connections: 0, connects: 0,
    connect_failures: 0, requests: 0, errors: 0, faults: 0, retries: 0, bytes: 0, latency_count: 0, latency_sum_us: 0, ...over };
  return columns.map((name) => whole[name]);
};
const answer = (over) => ({
  at_ms: 0, nodes: [{ name: "n", uptime_ms: 0, cpu_seconds: 0, cores: [] }], listeners: [], columns,
  groups: [{ name: "app", policy: "random", panics: false }], backends: [], ...over,
});
const later = (over) => answer({ at_ms: 2000, nodes: [{ name: "n", uptime_ms: 2000, cpu_seconds: 1, cores: [] }], ...over });

test("what happened is the difference, over the time between", () => {
  const before = answer({ listeners: [listener({ requests: { 200: 10, 503: 1 }, latency: [5, 5, 11] })] });
  const now = later({ listeners: [listener({ requests: { 200: 30, 503: 2 }, faults: { queue_full: 4 }, latency: [5, 5, 11, 100, 101, 21] })] });
  const frame = rates.frame(now, before);
  assert.equal(frame.requests, 10.5);
  assert.deepEqual(frame.codes, [0, 0, 10, 0, 0, 0.5]);
  assert.deepEqual(frame.faults, [["queue_full", 2]]);
  assert.deepEqual(frame.buckets, [100, 101, 21]);
  assert.equal(frame.p50, 100.5);
});

test("the first answer, a node that began anew and a clock that went back tell nothing", () => {
  assert.equal(rates.frame(later({}), null), null);
  assert.equal(rates.frame(answer({ at_ms: 9000 }), later({})), null);
  assert.equal(rates.frame(answer({}), later({})), null);
});

test("one listener can be looked at alone", () => {
  const two = (first, second) => [listener({ requests: { 200: first } }), listener({ name: "other", requests: { 200: second } })];
  const frame = rates.frame(later({ listeners: two(2, 200) }), answer({ listeners: two(0, 0) }), "web");
  assert.equal(frame.requests, 1);
});

test("percentiles are of all listeners together and exact to a bucket", () => {
  const buckets = rates.add([[1, 1, 90, 50, 51, 9], [1, 1, 0, 1000, 1015, 1]]);
  assert.deepEqual(buckets, [1, 1, 90, 50, 51, 9, 1000, 1015, 1]);
  assert.equal(rates.quantile(buckets, 0.5), 1);
  assert.equal(rates.quantile(buckets, 0.9), 1);
  assert.equal(rates.quantile(buckets, 0.99), 50.5);
  assert.equal(rates.quantile(buckets, 0.999), 1007.5);
  assert.equal(rates.quantile([], 0.5), null);
});

test("a slot that changed hands is somebody new", () => {
  const before = answer({ backends: [row({ name: "old", requests: 5000 })] });
  const [found] = rates.backends(later({ backends: [row({ requests: 4 })] }), before);
  assert.equal(found.requests, null);
  const [same] = rates.backends(later({ backends: [row({ requests: 5004, name: "old" })] }), before);
  assert.equal(same.requests, 2);
});

test("failing is a share of what was asked, and never more than all", () => {
  const before = answer({ backends: [row({})] });
  const [found] = rates.backends(later({ backends: [row({ requests: 4, errors: 3, faults: 3, latency_count: 4, latency_sum_us: 400 })] }), before);
  assert.equal(found.share, 1);
  assert.equal(found.mean, 100);
  assert.equal(found.failures, 3);
});

test("whom a core suspended is down, whatever the control thread thinks", () => {
  const [found] = rates.backends(answer({ backends: [row({ suspended: true })] }), null);
  assert.equal(found.state, "down");
});

test("groups add up, and who left is not of them", () => {
  const before = answer({ backends: [row({}), row({ slot: 2, name: "b2" }), row({ slot: 3, name: "b3", state: "removed" })] });
  const now = later({ backends: [row({ requests: 2 }), row({ slot: 2, name: "b2", requests: 6, status: "down" }), row({ slot: 3, name: "b3", state: "removed" })] });
  const [group] = rates.groups(now, rates.backends(now, before));
  assert.deepEqual([group.whole, group.up, group.requests, group.share], [2, 1, 4, 1]);
});

test("imbalance is the busiest core over the mean", () => {
  const cores = (first, second) => [first, second].map((requests, core) => ({ core, requests, turns: 0, completions: 0, connections_total: 0, buffer_starved: 0, log_dropped: 0 }));
  const node = (uptime_ms, ...each) => [{ name: "n", uptime_ms, cpu_seconds: 0, cores: cores(...each) }];
  const [found] = rates.nodes(answer({ at_ms: 1000, nodes: node(1000, 30, 10) }), answer({ nodes: node(0, 0, 0) }));
  assert.equal(found.imbalance, 1.5);
});

test("a node of the cluster is behind where one of its cores is", () => {
  const node = (over) => ({ node: "n0", standing: "alive", phase: "serving", epoch: 7, adopted: 7, cores: [7, 7], ...over });
  const rows = rates.members({ cluster: [
    node({ this: true, heard_ms: undefined }), node({ node: "n1", adopted: 6, cores: [7, 6], heard_ms: 120 }),
    node({ node: "n2", standing: "dead", epoch: 9, adopted: 3, cores: [3, 3] }), { node: "n3", standing: "suspect" },
  ] });
  assert.deepEqual(rows.map((row) => [row.name, row.mine, row.epoch, row.late, row.behind]),
    [["n0", true, 7, 0, false], ["n1", false, 6, 1, true], ["n2", false, 3, 2, false], ["n3", false, null, 0, false]]);
  assert.equal(rows[1].heard, 120);
  assert.deepEqual(rates.members({ cluster: [] }), []);
});

test("figures have three digits and a unit", () => {
  assert.equal(format.time(950), "950 \u00b5s");
  assert.equal(format.time(12345), "12.3 ms");
  assert.equal(format.time(null), "\u2013");
  assert.equal(format.count(12345), "12.3 k");
  assert.equal(format.count(1234567), "1.23 M");
  assert.equal(format.count(7), "7");
  assert.equal(format.count(999.7), "1000");
  assert.equal(format.bytes(1536), "1.50 KiB");
  assert.equal(format.percent(0.5), "50.0 %");
  assert.equal(format.percent(0.00001), "<0.01 %");
  assert.equal(format.span(61_000), "1 min");
});

const told = (at, seconds) => ({ at, interval: 5, now: {}, history: { at: seconds, samples: seconds.map((cpu) => ({ cpu })) } });

test("samples are joined by time, once each, and old ones leave", () => {
  const known = joined([], told(0, [5, 10, 15]).history, 0);
  const more = joined(known, told(0, [10, 15, 20]).history, 10);
  assert.deepEqual(more, [{ cpu: 10, at: 10 }, { cpu: 15, at: 15 }, { cpu: 20, at: 20 }]);
});

test("the past is asked for once in whole, then only what is new, and not more often than there is something", async () => {
  const asked = [];
  const answers = [told(1000, [700, 990, 995, 1000]), told(1005, [995, 1000, 1005]), told(1010, [100, 1010])];
  const past = new Past(async (seconds) => {
    asked.push(seconds);
    return answers[asked.length - 1];
  }, 300);
  assert.equal(await past.follow(0), true);
  assert.equal(await past.follow(4999), false);
  assert.equal(await past.follow(5000), true);
  assert.deepEqual(asked, [300, 25]);
  // 700 is older than the span by now; what is far apart is not joined by a line.
  assert.deepEqual(past.points().map((point) => point?.at), [990, 995, 1000, 1005]);
  past.look(3600);
  assert.equal(await past.follow(5001), true);
  assert.equal(asked[2], 3600);
  assert.deepEqual(past.points().map((point) => point?.at), [100, undefined, 1010]);
  past.look(300);
  assert.equal(await past.follow(5002), false, "less is known already");
  assert.deepEqual(past.points().map((point) => point?.at), [1010]);
});
