// Changes: what is wanted, what it would do (the plan), and only then doing it.

import { apply, plan } from "./api.js";
import { bar, button, byId, choice, el, line, put, say, setBar } from "./dom.js";
import { percent } from "./format.js";

/** Shares of a plan that are shown; the rest is summed up. */
const SHARES_MAX = 12;

const dialog = () => byId("change");
const path = (row) => `groups/${row.group}/backends/${row.name}`;
const patch = (row, value) => [{ op: "patch", path: path(row), value }];

/** What a backend can be asked for by one click, by what its operator wants of it now. */
export function actions(row, policies) {
  if (row.wish === "removed" || !row.configured) return [];
  const states = [
    ["ready", "Make ready", null],
    ["drain", "Drain", "drain"],
    ["maint", "Maintenance", "maint"],
  ];
  const each = states.filter(([state]) => state !== row.wish).map(([, title, state]) => button(`${title}\u2026`, () =>
    open({ title: `${title}: ${row.name}`, operations: () => patch(row, { state }) })));
  return [
    ...each,
    button("Change weight\u2026", () => open({
      title: `Weight of ${row.name}`,
      fields: [line("Weight", "weight", { type: "number", min: 0, max: 65535, step: 1, required: true, value: row.weight })],
      operations: (values) => patch(row, { weight: Number(values.get("weight")) }),
    })),
    button("Remove\u2026", () => open({
      title: `Remove ${row.name}`,
      operations: () => [{ op: "delete", path: path(row) }],
    })),
  ];
}

/** Asks for another policy of a group. */
export function changePolicy(group, policies) {
  open({
    title: `Policy of ${group.name}`,
    fields: [choice("Policy", "policy", policies, group.policy)],
    operations: (values) => [{ op: "patch", path: `groups/${group.name}`, value: { policy: values.get("policy") } }],
  });
}

/** Asks for a new backend. */
export function addBackend(groups, chosen) {
  open({
    title: "Add a backend",
    fields: [
      choice("Group", "group", groups, chosen),
      line("Address", "address", { required: true, placeholder: "10.0.0.3:80" }),
      line("Name (the address, unless another is given)", "name", { pattern: "[!-.0-~]+", title: "letters, digits and signs, no space and no /" }),
      line("Weight", "weight", { type: "number", min: 0, max: 65535, step: 1, required: true, value: 1 }),
    ],
    operations: (values) => {
      const address = values.get("address").trim();
      const row = { group: values.get("group"), name: values.get("name").trim() || address };
      const value = { address, weight: Number(values.get("weight")) };
      return [{ op: "put", path: path(row), value }];
    },
  });
}

/** Opens the dialog: fields, if there are any, then the plan. */
function open({ title, fields = [], operations }) {
  const [form, place, doIt, cancel] = ["change-form", "change-plan", "change-apply", "change-cancel"].map(byId);
  put(byId("change-title"), title);
  form.replaceChildren(...fields);
  if (fields.length > 0) form.append(el("div", { class: "bar end" }, el("button", { type: "submit" }, "Show the plan")));
  place.replaceChildren();
  doIt.hidden = true;
  put(cancel, "Cancel");
  let planned = null;
  const show = async (wanted) => {
    doIt.hidden = true;
    place.replaceChildren(el("p", { class: "quiet" }, "Working out what it would do\u2026"));
    try {
      const found = await plan(wanted);
      planned = { wanted, epoch: found.epoch };
      place.replaceChildren(el("h3", {}, `Plan, from epoch ${found.epoch}`), ...told(found));
      doIt.hidden = false;
      doIt.focus();
    } catch (error) {
      place.replaceChildren(refusal(error));
    }
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    show(operations(new FormData(form)));
  };
  // What was planned is not what the fields say any more.
  form.oninput = () => {
    doIt.hidden = true;
    place.replaceChildren();
  };
  doIt.onclick = async () => {
    doIt.disabled = true;
    try {
      const done = await apply(planned.wanted, planned.epoch);
      dialog().close();
      say(`${title}: done. Every core serves by epoch ${done.epoch}.`);
    } catch (error) {
      const again = error.status === 412
        ? [el("p", { class: "notice" }, "Something else was changed since this plan was made."), button("Plan again", () => show(planned.wanted))]
        : [refusal(error)];
      place.replaceChildren(...again);
      doIt.hidden = true;
    }
    doIt.disabled = false;
  };
  cancel.onclick = () => dialog().close();
  dialog().showModal();
  if (fields.length > 0) form.querySelector("input, select").focus();
  else show(operations(new FormData()));
}

/** Why the node would not. */
function refusal(error) {
  const mistakes = (error.errors ?? []).map((each) =>
    el("li", {}, [each.object, each.field, each.problem].filter(Boolean).join(" "), each.fix ? ` \u2013 ${each.fix}` : ""));
  return el("div", { class: "notice", role: "alert" }, el("p", {}, error.message), mistakes.length > 1 ? el("ul", {}, ...mistakes) : null);
}

/** A plan in words and bars, what hurts first. */
function told(found) {
  const parts = [];
  for (const each of found.unserved.filter((each) => each.new)) {
    const part = each.require.length ? ` (those with ${each.require.join(", ")})` : "";
    parts.push(el("p", { class: "notice" }, `Group ${each.group}${part} would have no backend that takes requests; reached by ${each.reached_by.join(", ")}.`));
  }
  for (const warning of found.warnings) parts.push(el("p", { class: "notice" }, warning));
  parts.push(el("ul", {}, ...found.changes.map((each) => el("li", {}, `${each.change}: ${each.path}`))));
  for (const group of found.groups) parts.push(...ofGroup(group));
  for (const rule of found.shards.filter((rule) => rule.moved === null || rule.moved > 0)) {
    const moved = rule.moved === null ? "" : `: ${percent(rule.moved)} of the keys move`;
    parts.push(el("h3", {}, `Shard rule ${rule.name}${moved}`), shares(rule.groups));
  }
  if (found.groups.length > 0) parts.push(el("p", { class: "quiet" }, "Shares as configured: health and load are not counted."));
  const quiet = found.groups.length === 0 && found.shards.every((rule) => rule.moved === 0);
  if (quiet) parts.push(el("p", { class: "done" }, "No key moves, and no backend's share changes."));
  return parts;
}

function ofGroup(group) {
  const { before, after } = group.policy;
  const policy = before === after ? after : `${before ?? "none"} \u2192 ${after ?? "none"}`;
  const moved = group.moved === null ? "" : `; ${percent(group.moved)} of the keys move`;
  return [el("h3", {}, `Group ${group.name}: ${policy}${moved}`), shares(group.backends)];
}

function shares(parts) {
  const moves = (part) => Math.abs(part.after - part.before);
  const ordered = parts.slice().sort((a, b) => moves(b) - moves(a));
  const rows = ordered.slice(0, SHARES_MAX).map((part) => {
    const picture = bar();
    setBar(picture, part.after);
    return el("tr", {}, el("td", {}, part.name ?? "nobody"), el("td", { class: "number" }, percent(part.before)),
      el("td", { class: "number" }, percent(part.after)), el("td", {}, picture));
  });
  const rest = ordered.length - rows.length;
  const head = ["", "share before", "share after", ""].map((text, index) => el("th", { scope: "col", class: index % 3 ? "number" : null }, text));
  return el("div", {}, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
    rest > 0 ? el("p", { class: "quiet" }, `and ${rest} more whose shares change by ${percent(moves(ordered[SHARES_MAX]))} or less`) : null);
}
