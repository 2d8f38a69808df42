// The panels around the table of backends: tiles, groups, cores, shards, events, faults.

import { changePolicy } from "./change.js";
import { bar, button, el, put, set, setBar } from "./dom.js";
import { bytes, clock, count, percent, span, time } from "./format.js";
import { Table } from "./table.js";

/** The figures of this moment. */
export class Tiles {
  constructor(place) {
    this.tiles = ["Requests /s", "p50", "p99", "p99.9", "Server errors", "Faults /s", "Connections", "Received /s", "Sent /s"]
      .map((title) => {
        const value = el("dd", {}, "\u2013");
        const node = el("div", {}, el("dt", {}, title), value);
        place.append(node);
        return { node, value };
      });
  }

  show(frame) {
    if (!frame) return;
    const faults = frame.faults.reduce((sum, [, rate]) => sum + rate, 0);
    const errors = frame.requests > 0 ? frame.codes[5] / frame.requests : 0;
    const values = [count(frame.requests), time(frame.p50), time(frame.p99), time(frame.p999), percent(errors),
      count(faults), count(frame.connections), bytes(frame.received), bytes(frame.sent)];
    values.forEach((value, index) => put(this.tiles[index].value, value));
    set(this.tiles[4].node, "class", errors > 0 ? "trouble" : "");
    set(this.tiles[5].node, "class", faults > 0 ? "trouble" : "");
  }
}

/** What fails, by kind. */
export class Faults {
  constructor(figure) {
    this.note = el("span", { class: "quiet" });
    this.list = el("ul", { class: "list" });
    figure.append(el("figcaption", {}, el("b", {}, "Answers and faults, per second"), this.note), this.list);
  }

  show(frame) {
    const lines = frame
      ? [
          ...frame.codes.map((rate, kind) => [`${kind}xx`, rate, kind === 5]).filter(([, rate]) => rate > 0),
          ...frame.faults.map(([name, rate]) => [name.replaceAll("_", " "), rate, true]),
        ]
      : [];
    this.list.replaceChildren(...lines.map(([name, rate, isTrouble]) =>
      el("li", { class: isTrouble ? "trouble" : null }, el("span", {}, name), el("span", {}, count(rate)))));
    put(this.note, lines.length === 0 ? "nothing happens" : "");
  }
}

/** A table of groups. `choose` shows one's backends. */
export function groupsTable(place, choose, policies) {
  const named = {
    make: (row) => button("", () => choose(row().name), { class: "text" }),
    show: (node, row) => put(node, row.name),
  };
  const policy = {
    make: (row) => button("", () => changePolicy(row(), policies()), { class: "text" }),
    show: (node, row) => {
      put(node, row.policy ?? "leaving");
      node.disabled = row.policy === null;
      set(node, "aria-label", `${row.policy ?? "leaving"}: change the policy of ${row.name}`);
    },
  };
  const up = {
    make: () => el("span"),
    show: (node, row) => {
      put(node, `${row.up} of ${row.whole}${row.panics ? ", panics" : ""}`);
      set(node, "class", `state ${row.down > 0 || row.panics ? "trouble" : row.up > 0 ? "up" : "unknown"}`);
      set(node, "title", row.panics ? "too few are well, so all are used" : "");
    },
  };
  const share = {
    make: () => el("span", {}, bar(), " ", el("span")),
    show: (node, row) => {
      setBar(node.firstChild, row.share);
      put(node.lastChild, percent(row.share));
    },
  };
  const number = "number";
  return new Table(place, {
    caption: "Groups: backends that are up, policy, and traffic in the last second",
    empty: "There is no group.",
    rows: 500,
    sort: "name",
    descending: false,
    columns: [
      { key: "name", title: "Group", cell: named },
      { key: "up", title: "Up", cell: up },
      { key: "policy", title: "Policy", hide: "rare", cell: policy },
      { key: "requests", title: "Req /s", help: "requests", kind: number, first: "descending", format: (row) => count(row.requests) },
      { key: "share", title: "Share of traffic", hide: "often", first: "descending", cell: share },
      { key: "failures", title: "Failing /s", kind: number, first: "descending", format: (row) => count(row.failures) },
      { key: "inFlight", title: "In flight", kind: number, hide: "rare", first: "descending", format: (row) => count(row.inFlight) },
      { key: "mean", title: "Mean", kind: number, hide: "rare", first: "descending", format: (row) => time(row.mean) },
    ],
  });
}

/** The table of backends. `open` shows one in full. */
export function backendsTable(place, open) {
  const named = {
    make: (row) => button("", () => open(row()), { class: "text", "aria-haspopup": "dialog" }),
    show: (node, row) => put(node, row.name),
  };
  const state = {
    make: () => el("span"),
    show: (node, row) => {
      put(node, row.state === "removed" ? "leaving" : row.state);
      set(node, "class", `state ${row.state}`);
    },
  };
  const reason = {
    make: () => el("span"),
    show: (node, row) => {
      put(node, row.state === "up" ? "" : row.reason);
      set(node, "title", row.reason);
    },
  };
  const [number, first] = ["number", "descending"];
  return new Table(place, {
    caption: "Backends: health, and traffic in the last second",
    empty: "No backend is like that.",
    rows: 50,
    sort: "name",
    descending: false,
    columns: [
      { key: "name", title: "Backend", cell: named },
      { key: "group", title: "Group", hide: "rare", format: (row) => row.group },
      { key: "state", title: "State", cell: state },
      { key: "reason", title: "Why", kind: "reason", hide: "often", cell: reason },
      { key: "since", title: "For", kind: number, hide: "often", first, format: (row) => (row.since ? span(Date.now() - row.since) : "") },
      { key: "weight", title: "Weight", kind: number, hide: "rare", first, format: (row) => String(row.weight) },
      { key: "requests", title: "Req /s", help: "requests", kind: number, first, format: (row) => count(row.requests) },
      { key: "connects", title: "Conn /s", help: "connections made", kind: number, hide: "often", first, format: (row) => count(row.connects) },
      { key: "inFlight", title: "In flight", kind: number, hide: "rare", first, format: (row) => count(row.inFlight) },
      { key: "failures", title: "Failing /s", help: "answers of 500 and above, faults and failed connects", kind: number, first, format: (row) => count(row.failures) },
      { key: "mean", title: "Mean", kind: number, hide: "rare", first, format: (row) => time(row.mean) },
      { key: "p99", title: "p99", help: "of the last seconds; known for the rows on the screen", kind: number, hide: "rare", sort: false, format: (row) => time(row.p99) },
    ],
  });
}

/** The nodes of a cluster, each with the epoch of each of its cores. */
export class Cluster {
  constructor(place) {
    this.place = place;
    const named = {
      make: () => el("span"),
      show: (cell, row) => put(cell, row.mine ? `${row.name} (here)` : row.name),
    };
    const standing = {
      make: () => el("span"),
      show: (cell, row) => {
        const trouble = row.standing === "dead" || row.standing === "suspect" || row.differs;
        put(cell, [row.standing, row.standing === "alive" && row.phase !== "serving" ? row.phase : "",
          row.differs ? "differs" : ""].filter(Boolean).join(", "));
        set(cell, "class", `state ${trouble ? "trouble" : row.standing === "alive" ? "up" : "unknown"}`);
        set(cell, "title", row.differs ? "it has another configuration at the same epoch" : "");
      },
    };
    const cores = {
      make: () => el("span"),
      show: (cell, row) => {
        const [first] = row.cores;
        const same = row.cores.every((epoch) => epoch === first);
        const text = row.cores.length === 0 ? "\u2013" : same ? `${first} on all ${row.cores.length}` : row.cores.join(" ");
        put(cell, row.behind ? `${text}, ${row.late} behind` : text);
        set(cell, "class", row.behind ? "state trouble" : "");
      },
    };
    const [number, first] = ["number", "descending"];
    this.table = new Table(place, {
      caption: "Nodes of the cluster: how they stand, and the epoch each core serves by",
      empty: "No node is known.",
      rows: 200,
      sort: "name",
      descending: false,
      columns: [
        { key: "name", title: "Node", cell: named },
        { key: "standing", title: "Stands", cell: standing },
        { key: "epoch", title: "Epoch", help: "that all of its cores serve by", kind: number, first, format: (row) => (row.epoch === null ? "\u2013" : String(row.epoch)) },
        { key: "late", title: "Cores", help: "the epoch of each core", first, cell: cores },
        { key: "connections", title: "Conns", help: "connections open", kind: number, hide: "rare", first, format: (row) => count(row.connections) },
        { key: "inFlight", title: "In flight", kind: number, hide: "often", first, format: (row) => count(row.inFlight) },
        { key: "heard", title: "Heard", help: "time since it was last heard", kind: number, hide: "often", first, format: (row) => (row.heard === null ? "" : time(row.heard * 1000)) },
      ],
    });
  }

  show(members) {
    this.place.hidden = members.length === 0;
    this.table.show(members);
  }
}

/** Nodes, each with its cores. */
export class Nodes {
  constructor(place) {
    this.place = place;
    this.known = new Map();
  }

  show(nodes) {
    for (const node of nodes) {
      if (!this.known.has(node.name)) this.known.set(node.name, this.make(node));
      const { line, table } = this.known.get(node.name);
      const late = node.cores.filter((core) => core.epoch !== node.epoch).length;
      put(line, `${node.name}: epoch ${node.epoch}${late ? `, ${late} of ${node.cores.length} cores behind` : " on every core"}, imbalance ` +
        `${node.imbalance === null ? "\u2013" : node.imbalance.toFixed(2)} (busiest core over the mean), ` +
        `${node.cpu === null ? "\u2013" : node.cpu.toFixed(2)} CPUs, ${bytes(node.resident_bytes)}, ${node.open_fds} descriptors`);
      const most = Math.max(...node.cores.map((core) => core.requests ?? 0));
      table.show(node.cores.map((core) => ({ ...core, name: String(core.core), most })));
    }
  }

  make(node) {
    const line = el("p", { class: "quiet" });
    const sheet = el("div", { class: "sheet" });
    this.place.append(el("div", { class: "node" }, line, sheet));
    const load = {
      make: () => bar(),
      show: (cell, row) => setBar(cell, row.most > 0 ? row.requests / row.most : 0),
    };
    const state = {
      make: () => el("span"),
      show: (cell, row) => {
        put(cell, row.state);
        set(cell, "class", `state ${row.state}`);
      },
    };
    const [number, first] = ["number", "descending"];
    const table = new Table(sheet, {
      caption: `Cores of ${node.name}`,
      empty: "No core is known.",
      rows: 512,
      sort: "core",
      descending: false,
      columns: [
        { key: "core", title: "Core", format: (row) => row.name },
        { key: "state", title: "State", hide: "rare", cell: state },
        { key: "epoch", title: "Epoch", kind: number, first, format: (row) => String(row.epoch) },
        { key: "requests", title: "Req /s", kind: number, first, format: (row) => count(row.requests) },
        { key: "requests", title: "Load", sort: false, hide: "rare", cell: load },
        { key: "connections", title: "Conns", help: "connections open", kind: number, first, format: (row) => count(row.connections) },
        { key: "batch", title: "Batch", help: "completions for each turn of the loop", kind: number, hide: "often", first, format: (row) => count(row.batch) },
        { key: "starved", title: "Starved /s", help: "times the kernel found no receive buffer", kind: number, hide: "often", first, format: (row) => count(row.starved) },
      ],
    });
    return { line, table };
  }
}

/** Shard rules, with the keys each group owns beside the traffic it has. */
export class Shards {
  constructor(place) {
    this.place = place;
    this.drawn = "";
  }

  show(shards, groups) {
    const now = JSON.stringify(shards);
    if (now !== this.drawn) {
      this.drawn = now;
      this.parts = [];
      this.place.replaceChildren(...shards.map((rule) => this.rule(rule)));
      if (shards.length === 0) this.place.append(el("p", { class: "quiet" }, "No listener shards by content."));
    }
    const shares = new Map(groups.map((group) => [group.name, group.share]));
    for (const [name, cell] of this.parts) put(cell, percent(shares.get(name)));
  }

  rule(rule) {
    const rows = rule.groups.map((part) => {
      const picture = bar();
      setBar(picture, part.share);
      const traffic = el("td", { class: "number" });
      this.parts.push([part.name, traffic]);
      return el("tr", {}, el("td", {}, part.name ?? "refused"), el("td", { class: "number" }, percent(part.share)),
        el("td", { class: "rare" }, picture), traffic);
    });
    const heads = [["Group"], ["Keys", "number"], ["", "rare"], ["Traffic", "number"]];
    const head = heads.map(([title, kind]) => el("th", { scope: "col", class: kind }, title));
    const by = { entries: "by its entries", integers: "by its ranges", pieces: "by its ranges", sampled: "sampled" };
    return el("div", { class: "node" },
      el("p", { class: "quiet" }, `${rule.name}: ${rule.function.replaceAll("_", " ")}, ${by[rule.method]}`),
      el("div", { class: "sheet" }, el("table", {}, el("caption", { class: "unseen" }, `Shard rule ${rule.name}`),
        el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows))));
  }
}

/** The last transitions of backends. */
export class Events {
  constructor(place) {
    this.drawn = null;
    this.body = el("tbody");
    this.empty = el("p", { class: "empty" }, "Nothing has changed yet.");
    const heads = [["At"], ["Backend"], ["Change"], ["By", "rare"], ["Why", "rare"]];
    this.table = el("table", {}, el("caption", { class: "unseen" }, "Last changes of health"),
      el("thead", {}, el("tr", {}, ...heads.map(([head, hide]) => el("th", { scope: "col", class: hide }, head)))), this.body);
    place.append(this.table, this.empty);
  }

  /** Shows them, and gives those that are new since the last time. */
  show(events) {
    const key = (event) => `${event.at_ms} ${event.group} ${event.name} ${event.to}`;
    const now = events.map(key).join("\n");
    if (now === this.drawn) return [];
    const known = new Set(this.drawn?.split("\n"));
    const fresh = this.drawn === null ? [] : events.filter((event) => !known.has(key(event)));
    this.drawn = now;
    this.body.replaceChildren(...events.map((event) => el("tr", {},
      el("td", {}, clock(event.at_ms)), el("td", {}, `${event.group} / ${event.name}`),
      el("td", {}, el("span", { class: `state ${event.to}` }, `${event.from} \u2192 ${event.to}`)),
      el("td", { class: "rare" }, event.source), el("td", { class: "rare" }, event.reason))));
    this.table.hidden = events.length === 0;
    this.empty.hidden = events.length > 0;
    return fresh;
  }
}
