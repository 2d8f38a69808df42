// Charts of what a node or a backend was like in the last hour, and what it was at one moment: the
// slider under them is the mouse, the finger and the keyboard at once.

import { Lines } from "./chart.js";
import { choice, el, put, set } from "./dom.js";
import { clock, count, percent, time } from "./format.js";
import { Past } from "./past.js";

const SPANS = [["300", "5 minutes"], ["900", "15 minutes"], ["3600", "1 hour"]];
const AGO = { 300: "5 min ago", 900: "15 min ago", 3600: "1 h ago" };

const micros = (sample) => (sample.latency_ms === null ? null : 1000 * sample.latency_ms);
const cpu = { label: "CPU", value: (sample) => sample.cpu };
const memory = { label: "memory", kind: "second", value: (sample) => sample.memory };
const load = { title: "CPU and memory in use", series: [cpu, memory], format: percent, least: 0.1 };
const latency = { title: "Latency, mean", series: [{ label: "mean", value: micros }], format: time, log: true };
const answers = { title: "Answers per second", series: [{ label: "answers", value: (sample) => sample.answers_per_second }], format: count };

/** What is drawn of a node. */
export const OF_NODE = [load, latency, answers, {
  title: "Active", format: count,
  series: [
    { label: "connections", value: (sample) => sample.connections },
    { label: "in flight", kind: "second", value: (sample) => sample.in_flight },
  ],
}];

/** What is drawn of a backend; what it does not say of itself has no chart. */
export const OF_BACKEND = [latency, answers, {
  title: "Active", format: count,
  series: [
    { label: "in flight", value: (sample) => sample.in_flight },
    { label: "says", kind: "second", value: (sample) => sample.active },
  ],
}, { ...load, optional: true }];

export class History {
  /** `more` are further controls before the choice of the span. */
  constructor(charts, name, more = []) {
    const span = choice("Back", "span", SPANS, "300");
    this.span = span.querySelector("select");
    this.span.addEventListener("change", () => this.look());
    this.moment = el("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": `Moment of ${name}`,
      oninput: () => this.choose() });
    this.said = el("span", { class: "quiet" });
    this.charts = charts.map((chart) => {
      const figure = el("figure");
      return { ...chart, figure, lines: new Lines(figure, chart.title, chart.series, chart) };
    });
    this.node = el("div", { class: "history" },
      el("div", { class: "bar" }, ...more, span, el("label", { class: "moment" }, "Moment", this.moment), this.said),
      el("div", { class: "charts" }, ...this.charts.map((chart) => chart.figure)));
    this.past = null;
    this.marked = null;
  }

  /** Shows what `ask(seconds)` tells from now on. */
  of(ask) {
    this.past = new Past(ask, Number(this.span.value));
    this.marked = null;
    this.draw();
  }

  look() {
    this.past?.look(Number(this.span.value));
    this.marked = null;
    this.draw();
    this.follow();
  }

  /** Asks for what is new, if it is time, and draws it. */
  async follow() {
    const { past } = this;
    try {
      if (await past?.follow(performance.now()) && past === this.past) this.draw();
    } catch {
      // A node that is away is told above; here the past stays as it is known.
    }
  }

  choose() {
    const index = Number(this.moment.value);
    // At its end the slider follows what is new.
    this.marked = index === Number(this.moment.max) ? null : this.known[index].at;
    this.draw();
  }

  draw() {
    const { past } = this;
    const points = past?.points() ?? [];
    this.known = points.filter((point) => point !== null);
    const last = this.known.length - 1;
    // What was marked leaves at the other end, and then the oldest is.
    const found = this.marked === null ? -1 : this.known.findIndex((point) => point.at >= this.marked);
    const place = found < 0 ? last : found;
    set(this.moment, "max", String(Math.max(0, last)));
    this.moment.value = String(Math.max(0, place));
    this.moment.disabled = last < 1;
    const isNow = place === last;
    const when = isNow ? "now" : clock(1000 * this.known[place].at);
    put(this.said, last < 0 ? "nothing is known yet" : when);
    const span = past?.span ?? Number(this.span.value);
    const view = {
      width: span,
      ago: AGO[span],
      when,
      mark: isNow ? null : points.indexOf(this.known[place]),
      x: (index) => points[index].at - (past.at - span),
    };
    for (const chart of this.charts) {
      const isTold = (point) => chart.series.some((each) => each.value(point) !== null);
      chart.figure.hidden = chart.optional === true && !this.known.some(isTold);
      chart.lines.draw(points, view);
    }
    const shown = this.charts.filter((chart) => !chart.figure.hidden);
    set(this.moment, "aria-valuetext", `${when}: ${shown.map((chart) => chart.lines.words()).join("; ")}`);
  }
}
