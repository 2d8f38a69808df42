// Charts: lines as SVG, the heat map on a canvas. Each has a caption that says the same in words.

import { el, put, set, svg } from "./dom.js";
import { FRAMES_MAX, heat } from "./rates.js";

const HEIGHT = 100;

/** How far back charts look: as far as is known, in steps. */
const SPANS = [[60, "1 min ago"], [120, "2 min ago"], [FRAMES_MAX, "5 min ago"]];
const spanOf = (frames) => SPANS.find(([most]) => frames.length <= most);

/** The last frames, one beside the other. */
const recent = (frames) => {
  const [most, ago] = spanOf(frames);
  return { width: most - 1, ago, when: "now", mark: null, x: (index) => most - frames.length + index };
};

/** A chart of lines over frames, up to `least` at least. `series` are {name, label, kind, value(frame)}. */
export class Lines {
  constructor(figure, title, series, { format, log = false, least = log ? 1000 : 1 }) {
    this.series = series;
    this.format = format;
    this.log = log;
    this.least = least;
    this.top = el("span", { class: "mark" });
    this.bottom = el("span", { class: "mark" });
    this.top.style.top = "0";
    this.bottom.style.bottom = "0";
    this.key = el("span", { class: "key" }, ...series.map((each) => el("i", { class: each.kind ?? "" })));
    this.area = svg("path", { class: "area" });
    this.paths = series.map((each) => svg("path", { class: `series ${each.kind ?? ""}` }));
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT });
    this.ago = el("span");
    this.picture = svg("svg", { preserveAspectRatio: "none", role: "img", "aria-label": title },
      ...[0.5, 50, 99.5].map((y) => svg("line", { class: "grid", x1: 0, x2: "100%", y1: y, y2: y })),
      this.area, ...this.paths, this.cursor);
    figure.append(
      el("figcaption", {}, el("b", {}, title), this.key),
      el("div", { class: "plot" }, this.picture, this.top, this.bottom),
      el("div", { class: "span" }, this.ago, el("span", {}, "now")));
    this.title = title;
  }

  /** Draws frames, each where the view says; at its mark they are told in words, or else the last. */
  draw(frames, view = recent(frames)) {
    const values = this.series.map((each) => frames.map((frame) => (frame ? each.value(frame) : null)));
    const known = values.flat().filter((value) => value !== null && (!this.log || value > 0));
    const high = nice(Math.max(...known, this.least), this.log);
    const low = this.log ? Math.min(high / 10, 10 ** Math.floor(Math.log10(Math.min(...known, high)))) : 0;
    const y = (value) => {
      const share = this.log ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : value / high;
      return (HEIGHT - 1 - share * (HEIGHT - 2)).toFixed(1);
    };
    const { x, mark } = view;
    put(this.ago, view.ago);
    set(this.picture, "viewBox", `0 0 ${view.width} ${HEIGHT}`);
    values.forEach((line, index) => {
      const path = trace(line, x, y);
      set(this.paths[index], "d", path);
      if (index === 0) set(this.area, "d", this.log || !path ? "" : below(line, x, y));
      const told = line.at(mark ?? -1) ?? null;
      put(this.key.children[index], `${this.series[index].label} ${this.format(told)}`);
    });
    set(this.cursor, "visibility", mark === null ? "hidden" : "visible");
    const at = mark === null ? 0 : x(mark);
    set(this.cursor, "x1", String(at));
    set(this.cursor, "x2", String(at));
    put(this.top, this.format(high));
    put(this.bottom, this.format(low));
    set(this.picture, "aria-label", `${this.title}, ${view.when}: ${this.words()}`);
  }

  /** What the key says. */
  words() {
    return [...this.key.children].map((each) => each.textContent).join(", ");
  }
}

function trace(line, x, y) {
  let path = "";
  let isOn = false;
  line.forEach((value, index) => {
    if (value === null) {
      isOn = false;
      return;
    }
    path += `${isOn ? "L" : "M"}${x(index)} ${y(value)}`;
    isOn = true;
  });
  return path;
}

/** The ground under a line, of each part of it. */
function below(line, x, y) {
  const parts = trace(line, x, y).split("M").slice(1);
  return parts.map((part) => {
    const places = part.split("L").map((point) => point.split(" ")[0]);
    return `M${places[0]} ${HEIGHT}L${part}L${places.at(-1)} ${HEIGHT}Z`;
  }).join("");
}

/** The next value above that is easy to read. */
function nice(value, log) {
  const power = 10 ** Math.floor(Math.log10(value));
  const steps = log ? [1, 10] : [1, 2, 5, 10];
  return power * steps.find((step) => step * power >= value * 0.999);
}

/** Where requests' latencies lie, second by second: the darker, the more of that second's. */
export class Heat {
  constructor(figure, format) {
    this.format = format;
    this.canvas = el("canvas", { role: "img" });
    this.top = el("span", { class: "mark" });
    this.bottom = el("span", { class: "mark" });
    this.top.style.top = "0";
    this.bottom.style.bottom = "0";
    this.note = el("span", { class: "quiet" });
    this.ago = el("span");
    figure.append(
      el("figcaption", {}, el("b", {}, "Latency heat map"), this.note),
      el("div", { class: "plot" }, this.canvas, this.top, this.bottom),
      el("div", { class: "span" }, this.ago, el("span", {}, "now")));
  }

  draw(frames) {
    const columns = frames.map((frame) => (frame ? (frame.heat ??= heat(frame.buckets)) : new Map()));
    const rows = columns.flatMap((column) => [...column.keys()]);
    const low = Math.min(...rows, 40) - 1;
    const high = Math.max(...rows, low + 12) + 2;
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const paint = this.canvas.getContext("2d");
    paint.clearRect(0, 0, width, height);
    paint.fillStyle = getComputedStyle(this.canvas).getPropertyValue("--accent");
    const [most, ago] = spanOf(frames);
    put(this.ago, ago);
    const first = most - columns.length;
    // Edges are rounded, not sizes: cells neither overlap nor leave a gap.
    const x = (column) => Math.round(((first + column) * width) / most);
    const y = (row) => Math.round(height - ((row - low) * height) / (high - low));
    columns.forEach((column, index) => {
      const peak = Math.max(...column.values());
      for (const [row, count] of column) {
        paint.globalAlpha = 0.12 + 0.88 * Math.sqrt(count / peak);
        paint.fillRect(x(index), y(row + 1), x(index + 1) - x(index), y(row) - y(row + 1));
      }
    });
    paint.globalAlpha = 1;
    put(this.top, this.format(2 ** (high / 4)));
    put(this.bottom, this.format(2 ** (low / 4)));
    const last = frames.at(-1);
    const words = last?.p50 == null ? "no request in the last second" : `half within ${this.format(last.p50)}, p99.9 ${this.format(last.p999)}`;
    put(this.note, words);
    set(this.canvas, "aria-label", `Latency heat map, now: ${words}`);
  }
}
