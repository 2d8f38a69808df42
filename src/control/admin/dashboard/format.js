// Figures as people read them: three digits that count, and a unit.

/** A number with a thousand's prefix: 1.23 k. */
export function count(value) {
  if (value == null || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  for (const [unit, of] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (size >= unit) return `${digits(value / (unit === 1e4 ? 1e3 : unit))} ${of}`;
  }
  return size >= 100 || Number.isInteger(value) ? String(Math.round(value)) : digits(value);
}

/** Bytes with a binary prefix. */
export function bytes(value) {
  let size = value;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (size < 1000) return `${unit === "B" ? Math.round(size) : digits(size)} ${unit}`;
    size /= 1024;
  }
  return `${digits(size)} TiB`;
}

/** Microseconds as a time. */
export function time(micros) {
  if (micros == null || !Number.isFinite(micros)) return "\u2013";
  if (micros < 1000) return `${Math.round(micros)} \u00b5s`;
  if (micros < 1e6) return `${digits(micros / 1e3)} ms`;
  return `${digits(micros / 1e6)} s`;
}

/** A share from 0 to 1 in percent. */
export function percent(share) {
  if (share == null || !Number.isFinite(share)) return "\u2013";
  const value = 100 * share;
  if (value > 0 && value < 0.01) return "<0.01 %";
  return `${value === 0 ? "0" : value.toFixed(value < 10 ? 2 : 1)} %`;
}

/** How long ago something was, from milliseconds. */
export function span(millis) {
  const seconds = Math.max(0, Math.round(millis / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** The time of the day. */
export function clock(unixMillis) {
  return new Date(unixMillis).toLocaleTimeString([], { hour12: false });
}

function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
