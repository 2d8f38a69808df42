// The dashboard with a thousand backends: fast, found and turned over by keys alone.
//
//   node large.mjs '{"admin": URL, "backends": COUNT, "refresh_ms": MOST}'
//
// Every step prints "ok NAME".

import assert from "node:assert/strict";
import { eventually, start } from "./browser.mjs";

const { admin, backends, refresh_ms } = JSON.parse(process.argv[2]);
const { browser, open, complaints } = await start();
const page = await open(`${admin}/`);
const pasts = [];
page.on("response", async (response) => {
  if (response.url().includes("/v1/monitor")) pasts.push({ url: new URL(response.url()), bytes: (await response.text()).length });
});
const names = () => page.locator("#backends tbody tr td:first-child").allTextContents();

async function step(name, what) {
  try {
    await what();
  } catch (error) {
    console.log(`not ok ${name}: ${error.stack}`);
    await browser.close();
    process.exit(1);
  }
  console.log(`ok ${name}`);
}

/** Presses Tab until the control with this id has the focus. */
async function tabTo(id) {
  await eventually(`focus on ${id}`, async () => {
    if (await page.evaluate(() => document.activeElement.id) === id) return true;
    await page.keyboard.press("Tab");
    return false;
  });
}

await step("one page of them is drawn", async () => {
  await eventually("fifty rows", async () => (await names()).length === 50);
  assert.equal(await page.locator("#place").textContent(), `1 to 50 of ${backends}`);
});

await step("a refresh is short", async () => {
  const lasted = () => page.evaluate(() => performance.getEntriesByName("weir-refresh").map((each) => each.duration));
  await eventually("ten refreshes", async () => (await lasted()).length >= 10);
  const sorted = (await lasted()).sort((a, b) => a - b);
  const middle = sorted[sorted.length >> 1];
  console.log(`refresh: half within ${middle.toFixed(1)} ms, the longest ${sorted.at(-1).toFixed(1)} ms`);
  assert.ok(middle <= refresh_ms, `${middle} ms`);
});

await step("keys alone turn pages, sort and find", async () => {
  await tabTo("find");
  await page.keyboard.type("b999");
  await eventually("the one", async () => JSON.stringify(await names()) === '["b999"]');
  for (const _ of "b999") await page.keyboard.press("Backspace");
  await eventually("all again", async () => (await names()).length === 50);
  await tabTo("next");
  await page.keyboard.press("Enter");
  await eventually("the second page", async () => (await page.locator("#place").textContent()) === `51 to 100 of ${backends}`);
  assert.equal((await names())[0], "b50", "by the number in the name");
  const head = page.locator("#backends thead th").first();
  await head.getByRole("button").focus();
  await page.keyboard.press("Enter");
  await eventually("from the last on", async () => (await names())[0] === "b999");
});

await step("the focus stays where it is while figures change", async () => {
  await page.locator("#backends tbody tr").nth(3).getByRole("button").focus();
  const before = await page.evaluate(() => document.activeElement.textContent);
  await page.waitForTimeout(2500);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), before);
});

await step("of the past only what is shown is asked for", async () => {
  await page.locator("#find").fill("b0");
  await page.getByRole("button", { name: "b0", exact: true }).click();
  await eventually("the past of a backend", () => pasts.some(({ url }) => url.searchParams.get("backend") === "b0"));
  await page.keyboard.press("Escape");
  await eventually("the past of the node", () => pasts.some(({ url }) => url.searchParams.get("node")));
  for (const { url, bytes } of pasts) {
    const of = ["node", "backend"].filter((name) => url.searchParams.get(name) !== "");
    assert.equal(of.length, 1, url.search);
    assert.ok(bytes < 40_000, `${url.search}: ${bytes} bytes`);
  }
});

await step("it complains of nothing", async () => assert.deepEqual(complaints, []));
await browser.close();
