// Chromium, as a test needs it: headless, asking nobody but the page, with every complaint kept.

import { createRequire } from "node:module";
import { join } from "node:path";

/** Where `.ci/run` installs playwright-core. */
export function playwright() {
  const cache = process.env.XDG_CACHE_HOME ?? join(process.env.HOME, ".cache");
  const folder = process.env.WEIR_PLAYWRIGHT ?? join(cache, "weir/playwright");
  return createRequire(join(folder, "package.json"))("playwright-core");
}

export const PATIENCE_MS = 60_000;

/** A browser; `complaints` are errors of pages, and requests that went elsewhere or failed. */
export async function start(options = {}) {
  const browser = await playwright().chromium.launch({
    executablePath: process.env.WEIR_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  const complaints = [];
  const open = async (url, more = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options, ...more });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const origin = new URL(url).origin;
    page.on("pageerror", (error) => complaints.push(`error: ${error.stack ?? error}`));
    page.on("console", (message) => {
      // A browser says so itself of every answer that is a refusal.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
    });
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== origin) complaints.push(`asks ${request.url()}`);
    });
    await page.goto(url);
    return page;
  };
  return { browser, open, complaints };
}

/** Polls until `condition` gives something true, and gives that. */
export async function eventually(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
