// One backend in full: who says what of it, its history, and what can be done.

import { backend, pastOfBackend } from "./api.js";
import { actions } from "./change.js";
import { byId, el, put } from "./dom.js";
import { bytes, clock, count, percent, span, time } from "./format.js";
import { History, OF_BACKEND } from "./history.js";

let open = null;
const history = new History(OF_BACKEND, "the backend");
byId("detail-history").append(history.node);

/** Opens the dialog of a row. */
export function show(row) {
  open = { group: row.group, name: row.name, address: row.address, drawn: "" };
  put(byId("detail-title"), `${row.group} / ${row.name}`);
  byId("detail-body").replaceChildren();
  draw(row);
  byId("detail").showModal();
  history.of(pastOfBackend(open));
  tell();
}

/** Brings the open dialog up to date. */
export function refresh(rows) {
  if (!open || !byId("detail").open) return;
  const row = rows.find((row) => row.group === open.group && row.name === open.name && row.address === open.address);
  if (row) draw(row);
  tell();
}

function draw(row) {
  open.row = row;
  const can = `${row.wish} ${row.configured} ${row.weight}`;
  if (open.drawn === can) return;
  open.drawn = can;
  const place = byId("detail-actions");
  const hadFocus = place.contains(document.activeElement);
  const buttons = actions(row);
  place.replaceChildren(...buttons);
  if (buttons.length === 0) {
    const why = row.wish === "removed"
      ? "It is removed; what runs there may finish."
      : "A name or a file has found it; it is changed there.";
    place.append(el("p", { class: "quiet" }, why));
  }
  if (hadFocus) (place.querySelector("button") ?? byId("detail-close")).focus();
}

/** Asks what is known of it, and shows that. */
async function tell() {
  const asked = open;
  history.follow();
  let known = [];
  try {
    known = await backend(asked.group, asked.name);
  } catch {
    // A backend that left has nothing more to be told; a node that is away is told above.
  }
  if (asked !== open || !byId("detail").open) return;
  const mine = known.find((each) => each.address === asked.address) ?? known[0];
  byId("detail-body").replaceChildren(figures(asked.row), ...(mine ? health(mine) : []));
}

function figures(row) {
  const { totals } = row;
  return facts([
    ["Address", row.address],
    ["State", `${row.state}${row.reason ? `: ${row.reason}` : ""}${row.since ? `, for ${span(Date.now() - row.since)}` : ""}`],
    ["Weight", String(row.weight)],
    ["Now", `${count(row.requests)} requests/s, ${row.inFlight} in flight, ${row.connections} connections`],
    ["Latency", `mean ${time(row.mean)}, p50 ${time(row.p50)}, p99 ${time(row.p99)}`],
    ["Failing", row.share === null ? "\u2013" : percent(row.share)],
    ["Since start", `${count(totals.requests)} requests, ${count(totals.errors)} answered 5xx, ${count(totals.faults)} faults, ${count(totals.retries)} retried elsewhere`],
    ["Connections", `${count(totals.connects)} made, ${count(totals.connect_failures)} failed, ${bytes(totals.bytes)} both ways`],
  ]);
}

function health(known) {
  const parts = [];
  const said = known.sources.map((each) => el("tr", {}, el("td", {}, each.source), el("td", {}, each.says), el("td", {}, each.reason)));
  parts.push(el("h3", {}, "Who says what"), table(["Source", "Says", "Why"], said));
  const more = [];
  if (known.ramp_percent != null && known.ramp_percent < 100) more.push(["Slow start", `${known.ramp_percent} % of its share`]);
  if (known.ejection.times > 0) more.push(["Ejections", `${known.ejection.times}${known.ejection.until_ms ? `, until ${clock(known.ejection.until_ms)}` : ""}`]);
  if (known.check) more.push(["Next check", `in ${span(known.check.next_ms - Date.now())}, ${known.check.against} against what is thought now`]);
  if (known.heartbeat) more.push(["Heartbeat", `${span(Date.now() - known.heartbeat.at_ms)} ago, ${known.heartbeat.active} active of ${known.heartbeat.capacity}`]);
  if (known.group_panics) more.push(["Group", "uses all its backends, because too few are well"]);
  if (more.length > 0) parts.push(facts(more));
  const was = known.history.map((each) => el("tr", {}, el("td", {}, clock(each.at_ms)), el("td", {}, `${each.from} \u2192 ${each.to}`),
    el("td", {}, each.source), el("td", {}, each.reason)));
  parts.push(el("h3", {}, "History"),
    was.length > 0 ? table(["At", "Change", "By", "Why"], was) : el("p", { class: "quiet" }, "Nothing has changed since it is known."));
  return parts;
}

function facts(pairs) {
  return el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function table(heads, rows) {
  return el("div", { class: "sheet" }, el("table", {},
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, ...rows)));
}
