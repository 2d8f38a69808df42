// The page: asks once a second, and shows what happened since the last answer.

import { dropToken, hasToken, keepToken, overview, pastOfNode } from "./api.js";
import { addBackend } from "./change.js";
import { Heat, Lines } from "./chart.js";
import { refresh, show as showDetail } from "./detail.js";
import { byId, choice, el, put, say, set } from "./dom.js";
import { clock, count, span, time } from "./format.js";
import { History, OF_NODE } from "./history.js";
import { backendsTable, Cluster, Events, Faults, groupsTable, Nodes, Shards, Tiles } from "./panels.js";
import * as rates from "./rates.js";

const EVERY_MS = 1000;
/** How long it waits, at most, when the node is away. */
const AWAY_MS = 5000;
/** Answers whose difference gives the percentiles of single backends. */
const BACKEND_SPAN = 10;

let last = null;
let rows = [];
let frames = [];
let held = false;
let away = null;
let timer = 0;
let latencies = [];

const chosen = { listener: "", group: "", state: "", find: "" };
const tiles = new Tiles(byId("tiles"));
const throughput = new Lines(byId("throughput"), "Requests per second", [
  { label: "all", value: (frame) => frame.requests },
  { label: "5xx", kind: "trouble", value: (frame) => frame.codes[5] },
], { format: count });
const latency = new Lines(byId("latency"), "Latency", [
  { label: "p50", value: (frame) => frame.p50 },
  { label: "p90", kind: "second", value: (frame) => frame.p90 },
  { label: "p99", kind: "third", value: (frame) => frame.p99 },
], { format: time, log: true });
const heat = new Heat(byId("heat"), time);
const faults = new Faults(byId("faults"));
const cluster = new Cluster(byId("cluster"));
const nodes = new Nodes(byId("nodes"));
const shards = new Shards(byId("shards"));
const events = new Events(byId("events"));
const groups = groupsTable(byId("groups"), (name) => choose("group", name), () => last.policies);
const ofNode = choice("Node", "node", [["", "this one"]], "");
const history = new History(OF_NODE, "the node", [ofNode]);
byId("history").append(history.node);
const backends = backendsTable(byId("backends"), showDetail);

async function tick() {
  clearTimeout(timer);
  const began = performance.now();
  let pause = EVERY_MS;
  let answer = null;
  try {
    answer = await overview(backends.shown.map((row) => row.slot));
    reached();
  } catch (error) {
    if (error.status === 401 || error.status === 403) return askForToken(error);
    pause = lost(error);
  }
  if (answer) refreshed(answer);
  if (!held && !document.hidden) timer = setTimeout(tick, Math.max(EVERY_MS / 4, pause - (performance.now() - began)));
}

/** Takes an answer in, and notes how long that took. */
function refreshed(answer) {
  performance.mark("weir-answer");
  take(answer);
  performance.measure("weir-refresh", "weir-answer");
  performance.clearMarks("weir-answer");
  history.follow();
}

/** Takes an answer in. */
function take(answer) {
  const frame = rates.frame(answer, last, chosen.listener);
  // A gap in what is known is a gap in the charts.
  if (last && !frame) frames = [];
  if (frame) frames = [...frames, frame].slice(-rates.FRAMES_MAX);
  rows = rates.backends(answer, last);
  addPercentiles(answer);
  const byGroup = rates.groups(answer, rows);
  const byNode = rates.nodes(answer, last);
  last = answer;
  const [node] = byNode;
  put(byId("identity"), `${node.name}, weir ${node.version}, ${node.phase}, epoch ${node.epoch}, up ${span(node.uptime_ms)}`);
  document.title = `${node.name} \u2013 weir`;
  offer(byId("listener"), answer.listeners.filter((each) => each.live).map((each) => each.name));
  offer(byId("of-group"), answer.groups.map((group) => group.name));
  const select = ofNode.querySelector("select");
  const { value } = select;
  offer(select, answer.cluster.filter((each) => !each.this).map((each) => each.node));
  if (!history.past || select.value !== value) showPast();
  draw();
  groups.show(byGroup);
  showBackends();
  cluster.show(rates.members(answer));
  nodes.show(byNode);
  shards.show(answer.shards, byGroup);
  for (const event of events.show(answer.events).slice(0, 3)) {
    say(`${event.group} ${event.name} is now ${event.to}: ${event.reason}`);
  }
  refresh(rows);
}

/** The percentiles of the backends that are on the screen, over the last seconds. */
function addPercentiles(answer) {
  latencies = [...latencies, answer.latencies].slice(-BACKEND_SPAN);
  for (const row of rows) {
    const now = answer.latencies[row.slot];
    const before = now && latencies.find((each) => each !== answer.latencies && each[row.slot]);
    const buckets = before ? rates.subtract(now, before[row.slot]) : [];
    row.p50 = rates.quantile(buckets, 0.5);
    row.p99 = rates.quantile(buckets, 0.99);
  }
}

/** The past of the node that is chosen, from now on. */
function showPast() {
  const mine = last.cluster.find((each) => each.this)?.node ?? last.nodes[0].name;
  history.of(pastOfNode(ofNode.querySelector("select").value || mine));
  history.follow();
}

function draw() {
  const now = frames.at(-1);
  tiles.show(now);
  faults.show(now);
  throughput.draw(frames);
  latency.draw(frames);
  heat.draw(frames);
}

function showBackends() {
  const find = chosen.find.toLowerCase();
  const fits = (row) =>
    (!chosen.group || row.group === chosen.group) &&
    (!chosen.state || (chosen.state === "trouble" ? row.state === "down" || row.failures > 0 : row.state === chosen.state)) &&
    (!find || row.name.toLowerCase().includes(find) || row.address.includes(find));
  backends.show(rows.filter(fits));
  place();
}

function place() {
  const { page, pages, perPage, all } = backends;
  const to = Math.min(all.length, (page + 1) * perPage);
  put(byId("place"), all.length === 0 ? "none" : `${page * perPage + 1} to ${to} of ${all.length}`);
  byId("previous").disabled = page === 0;
  byId("next").disabled = page + 1 >= pages;
}

/** Gives a choice the names there are; what was chosen stays. */
function offer(select, names) {
  const wanted = [...new Set(names)];
  const known = [...select.options].slice(1).map((option) => option.value);
  if (JSON.stringify(wanted) === JSON.stringify(known)) return;
  const { value } = select;
  select.replaceChildren(select.options[0], ...wanted.map((name) => el("option", { value: name }, name)));
  select.value = wanted.includes(value) ? value : "";
}

function choose(what, value) {
  chosen[what] = value;
  if (what === "group") byId("of-group").value = value;
  backends.page = 0;
  showBackends();
  if (what === "group" && value) byId("backends-title").focus();
}

function reached() {
  if (away !== null) say("The node answers again.");
  away = null;
  status(held ? "paused" : "live", held ? "held" : "");
}

/** The node does not answer; gives how long to wait. */
function lost(error) {
  if (away === null) away = { since: Date.now(), tries: 0 };
  away.tries += 1;
  const why = error.status ? error.message : "no answer";
  status(`not reached since ${clock(away.since)} (${why}); trying again`, "lost");
  return Math.min(AWAY_MS, EVERY_MS * away.tries);
}

function status(text, kind) {
  const link = byId("link");
  put(link, text);
  set(link, "class", `link ${kind}`);
}

function askForToken(error) {
  status(error.status === 401 ? "the token is needed" : error.message, "lost");
  if (error.status !== 401) return;
  byId("token-wrong").hidden = !hasToken();
  dropToken();
  const dialog = byId("token");
  byId("token-text").value = "";
  if (!dialog.open) dialog.showModal();
}

byId("token").addEventListener("close", () => {
  const token = byId("token-text").value.trim();
  if (token) keepToken(token);
  tick();
});
// Nothing can be shown without it.
byId("token").addEventListener("cancel", (event) => event.preventDefault());
byId("pause").addEventListener("click", () => {
  held = !held;
  set(byId("pause"), "aria-pressed", String(held));
  status(held ? "paused" : "live", held ? "held" : "");
  if (held) clearTimeout(timer);
  else tick();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (!held && !byId("token").open) tick();
});
byId("listener").addEventListener("change", (event) => {
  chosen.listener = event.target.value;
  frames = [];
  draw();
});
ofNode.addEventListener("change", showPast);
byId("filter").addEventListener("submit", (event) => event.preventDefault());
byId("find").addEventListener("input", (event) => choose("find", event.target.value));
byId("of-group").addEventListener("change", (event) => choose("group", event.target.value));
byId("of-state").addEventListener("change", (event) => choose("state", event.target.value));
byId("previous").addEventListener("click", () => backends.turn(-1));
byId("next").addEventListener("click", () => backends.turn(1));
backends.onpage = place;
byId("add").addEventListener("click", () => {
  const configured = last.groups.filter((group) => group.policy !== null).map((group) => group.name);
  addBackend(configured, chosen.group || configured[0]);
});
byId("detail-close").addEventListener("click", () => byId("detail").close());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", draw);

tick();
