// What /v1/monitor keeps of one node or one backend: asked for once in full, then only what is new.
// Whoever draws gets samples by time, with a gap where nothing was known.

/** Samples further apart than so many intervals have a gap between them. */
const GAP = 3;

/** How much is asked for again, so that a late answer leaves no gap: in intervals. */
const AGAIN = 4;

export class Past {
  /** `ask(seconds)` gives {at, interval, now, history: {at, samples}}, or nothing if there is none. */
  constructor(ask, span) {
    this.ask = ask;
    this.span = span;
    this.at = 0;
    this.interval = 5;
    this.now = null;
    this.samples = [];
    this.due = 0;
  }

  /** Another span; more than is known is asked for. */
  look(span) {
    if (span > this.span) [this.samples, this.due] = [[], 0];
    this.span = span;
  }

  /** Asks if it is time; gives whether there is something to draw anew. */
  async follow(now) {
    if (now < this.due) return false;
    // Before the answer, so that a slow one is not asked for twice.
    this.due = now + 1000 * this.interval;
    const wanted = this.span;
    const known = this.samples.length > 0;
    const answer = await this.ask(known ? Math.min(wanted, AGAIN * this.interval + this.behind(now)) : wanted);
    if (!answer || wanted < this.span) return false;
    this.asked = now;
    this.interval = answer.interval;
    this.due = now + 1000 * answer.interval;
    this.at = answer.at;
    this.now = answer.now;
    this.samples = joined(this.samples, answer.history, answer.at - this.span);
    return true;
  }

  behind(now) {
    return Math.ceil(Math.max(0, now - this.asked) / 1000);
  }

  /** Samples with their seconds since 1970; a null between two that are far apart. */
  points() {
    const points = [];
    const first = this.at - this.span;
    for (const sample of this.samples.filter((each) => each.at >= first)) {
      const before = points.at(-1);
      if (before && sample.at - before.at > GAP * this.interval) points.push(null);
      points.push(sample);
    }
    return points;
  }
}

/** Samples with those of an answer, from `first` on; a moment that is told again counts once. */
export function joined(samples, { at, samples: more }, first) {
  const known = new Set(samples.map((each) => each.at));
  const fresh = at.map((second, index) => ({ ...more[index], at: second })).filter((each) => !known.has(each.at));
  return [...samples, ...fresh].filter((each) => each.at >= first).sort((a, b) => a.at - b.at);
}
