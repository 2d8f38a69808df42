// Does everything the dashboard offers, in a real browser, and looks at what real traffic does.
//
//   node drive.mjs '{"admin": URL, "proxy": URL, "token": TEXT, "backends": {NAME: ADDRESS, ...}}'
//
// Each backend answers with its name. Every step prints "ok NAME" when it was seen true; the first
// that is not ends the program with a failure.

import assert from "node:assert/strict";
import { eventually, start } from "./browser.mjs";

const { admin, proxy, token, backends } = JSON.parse(process.argv[2]);
const { browser, open, complaints } = await start();
const page = await open(`${admin}/`);
let traffic = null;

/** Who answers so many requests. */
async function answers(requests = 24) {
  const seen = {};
  for (let i = 0; i < requests; i += 1) {
    const answer = await fetch(`${proxy}/`, { headers: { Connection: "close" } });
    const name = answer.ok ? (await answer.text()).trim() : String(answer.status);
    seen[name] = (seen[name] ?? 0) + 1;
  }
  return seen;
}

async function api(path) {
  const answer = await fetch(`${admin}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  return answer.json();
}

const row = (name) => page.locator("#backends tbody tr", { has: page.getByRole("button", { name, exact: true }) });
const change = page.locator("#change");
const plan = page.locator("#change-plan");

/** Opens a backend and begins one of its actions. */
async function begin(name, action) {
  await row(name).getByRole("button").click();
  await page.locator("#detail").getByRole("button", { name: action }).click();
  await change.waitFor();
}

/** Waits for the plan, checks that nothing was done yet, and applies it. */
async function applied(...said) {
  await page.locator("#change-apply").waitFor();
  const text = await plan.textContent();
  for (const words of said) assert.ok(text.includes(words), `${words} in the plan: ${text}`);
  const before = (await api("/v1/epoch")).published;
  await page.locator("#change-apply").click();
  await change.waitFor({ state: "hidden" });
  assert.ok((await api("/v1/epoch")).published > before, "applying makes an epoch, planning makes none");
  if (await page.locator("#detail").isVisible()) await page.locator("#detail-close").click();
}

async function step(name, what) {
  try {
    await what();
  } catch (error) {
    console.log(`not ok ${name}: ${error.stack}`);
    await page.screenshot({ path: process.env.WEIR_SHOT ?? "/tmp/weir-dashboard-failed.png" }).catch(() => {});
    await browser.close();
    process.exit(1);
  }
  console.log(`ok ${name}`);
}

await step("a wrong token is told and asked for again", async () => {
  await page.locator("#token").waitFor();
  await page.locator("#token-text").fill("not the token at all");
  await page.locator("#token-text").press("Enter");
  await page.locator("#token-wrong").waitFor();
  assert.equal(await page.locator("#backends tbody tr").count(), 0);
});

await step("the token opens the page and lasts for the tab", async () => {
  await page.locator("#token-text").fill(token);
  await page.locator("#token-text").press("Enter");
  await row("one").waitFor();
  await page.reload();
  await row("one").waitFor();
  assert.equal(await page.locator("#token").isVisible(), false);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
});

await step("figures of the page are those of the traffic", async () => {
  traffic = setInterval(() => fetch(`${proxy}/`).then((answer) => answer.text()).catch(() => {}), 20);
  await eventually("a rate", async () => {
    const text = await page.locator("#tiles dd").first().textContent();
    return Number.parseFloat(text) > 5;
  });
  await eventually("a latency", async () => /[0-9.]+ (\u00b5s|ms|s)/.test(await page.locator("#tiles dd").nth(2).textContent()));
  await eventually("lines", async () => /L/.test((await page.locator("#throughput path.series").first().getAttribute("d")) ?? ""));
  await eventually("something on the heat map", () => page.evaluate(() => {
    const canvas = document.querySelector("#heat canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
  }));
  assert.match(await page.locator("#heat canvas").getAttribute("aria-label"), /half within/);
  await eventually("a core's load", async () => Number.parseFloat(await page.locator("#nodes tbody td").nth(3).textContent()) > 0);
});

await step("drain: the plan first, then nobody new", async () => {
  await begin("two", "Drain\u2026");
  await applied("changed: groups/app/backends/two", "two50.0 %0 %");
  assert.deepEqual(Object.keys(await answers()), ["one"]);
  await eventually("the state", async () => (await row("two").textContent()).includes("drain"));
  await eventually("the event", async () => (await page.locator("#events tbody tr").first().textContent()).includes("up \u2192 drain"));
  await eventually("the word", async () => (await page.locator("#said").textContent()).includes("two is now drain"));
});

await step("ready: it is back", async () => {
  await begin("two", "Make ready\u2026");
  await applied("two0 %50.0 %");
  const seen = await answers();
  assert.ok(seen.one > 0 && seen.two > 0, JSON.stringify(seen));
});

await step("maintenance: out at once", async () => {
  await begin("two", "Maintenance\u2026");
  await applied("two50.0 %0 %");
  assert.deepEqual(Object.keys(await answers()), ["one"]);
  await begin("two", "Make ready\u2026");
  await applied();
});

await step("a plan that leaves nobody says so, and is not made by looking", async () => {
  await begin("two", "Maintenance\u2026");
  await applied();
  await begin("one", "Maintenance\u2026");
  await page.locator("#change-apply").waitFor();
  assert.match(await plan.textContent(), /would have no backend that takes requests/);
  await page.locator("#change-cancel").click();
  await page.locator("#detail-close").click();
  assert.deepEqual(Object.keys(await answers()), ["one"]);
  await begin("two", "Make ready\u2026");
  await applied();
});

await step("weight: traffic follows it", async () => {
  await page.locator("#groups").getByRole("button", { name: /change the policy of app/ }).click();
  await change.getByLabel("Policy").selectOption("weighted_round_robin");
  await change.getByRole("button", { name: "Show the plan" }).click();
  await applied("round_robin \u2192 weighted_round_robin");
  await begin("two", "Change weight\u2026");
  await change.getByLabel("Weight").fill("3");
  await change.getByRole("button", { name: "Show the plan" }).click();
  await applied("two50.0 %75.0 %", "one50.0 %25.0 %");
  assert.equal((await api("/v1/groups/app")).value.policy, "weighted_round_robin");
  const seen = await answers(40);
  assert.ok(seen.two > 2 * seen.one, JSON.stringify(seen));
});

await step("a refusal is shown with what to do, and changes nothing", async () => {
  await page.locator("#add").click();
  await change.getByLabel(/^Address/).fill("nonsense");
  await change.getByRole("button", { name: "Show the plan" }).click();
  const told = plan.getByRole("alert");
  await told.waitFor();
  assert.match(await told.textContent(), /address/);
  assert.equal(await page.locator("#change-apply").isVisible(), false);
  await page.locator("#change-cancel").click();
});

await step("add: it takes its part", async () => {
  await page.locator("#add").click();
  await change.getByLabel("Group").selectOption("app");
  await change.getByLabel(/^Address/).fill(backends.three);
  await change.getByLabel(/^Name/).fill("three");
  await change.getByLabel("Weight").fill("4");
  await change.getByRole("button", { name: "Show the plan" }).click();
  await applied("added: groups/app/backends/three", "three0 %50.0 %");
  const seen = await answers(40);
  assert.ok(seen.three > 0, JSON.stringify(seen));
  await row("three").waitFor();
});

await step("a plan that others overtook is made again", async () => {
  await begin("three", "Remove\u2026");
  await page.locator("#change-apply").waitFor();
  const other = await fetch(`${admin}/v1/groups/app`, {
    method: "PATCH", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: '{"retries": 2}',
  });
  assert.equal(other.status, 200);
  await page.locator("#change-apply").click();
  await plan.getByRole("button", { name: "Plan again" }).click();
  await applied("removed: groups/app/backends/three", "three50.0 %0 %");
});

await step("remove: it is gone", async () => {
  const seen = await answers(40);
  assert.equal(seen.three, undefined);
  assert.ok(seen.one > 0 && seen.two > 0, JSON.stringify(seen));
  await eventually("it left the table", async () => (await row("three").count()) === 0 || (await row("three").textContent()).includes("leaving"));
});

await step("details say who says what, and the history", async () => {
  await row("two").getByRole("button").click();
  const body = page.locator("#detail-body");
  await eventually("sources", async () => /operator/.test(await body.textContent()));
  const text = await body.textContent();
  assert.match(text, /drain \u2192 up/);
  assert.match(text, /up \u2192 maint/);
  await page.keyboard.press("Escape");
  await page.locator("#detail").waitFor({ state: "hidden" });
});

await step("the past of a node and of a backend is drawn, and read by keys", async () => {
  const drawn = async (place) => {
    await eventually("lines of the past", async () => {
      const paths = await page.locator(`${place} path.series`).evaluateAll((all) => all.map((each) => each.getAttribute("d")));
      return paths.filter((path) => path?.includes("L")).length >= 3;
    });
    const moment = page.locator(`${place} input[type=range]`);
    assert.match(await moment.getAttribute("aria-valuetext"), /^now: /);
    await moment.focus();
    await page.keyboard.press("Home");
    // Whoever hears the page hears the moment and all that is drawn of it.
    assert.match(await moment.getAttribute("aria-valuetext"), /^\d+:\d\d:\d\d: .*answers \d+.*in flight \d+/);
    assert.equal(await page.locator(`${place} line.cursor`).first().getAttribute("visibility"), "visible");
    assert.match(await page.locator(`${place} figure svg`).first().getAttribute("aria-label"), /, \d+:\d\d:\d\d: /);
    await page.keyboard.press("End");
    assert.match(await moment.getAttribute("aria-valuetext"), /^now: /);
  };
  await drawn("#history");
  const told = await page.locator("#history input[type=range]").getAttribute("aria-valuetext");
  assert.match(told, /CPU [0-9.<]+ %, memory [0-9.<]+ %/);
  const asked = page.waitForRequest((request) => request.url().includes("/v1/monitor") && request.url().includes("seconds=3600"));
  await page.locator("#history").getByLabel("Back").selectOption("3600");
  await asked;
  await page.locator("#history").getByText("1 h ago").first().waitFor();
  await row("two").getByRole("button").click();
  await drawn("#detail-history");
  // It has told nobody of its CPU, so there is no chart of it.
  assert.equal(await page.locator("#detail-history figure").last().isVisible(), false);
  await page.keyboard.press("Escape");
  await page.locator("#detail").waitFor({ state: "hidden" });
});

await step("sorting, finding and filtering", async () => {
  const names = () => page.locator("#backends tbody tr td:first-child").allTextContents();
  await page.locator("#find").fill("TWO");
  await eventually("one row", async () => JSON.stringify(await names()) === '["two"]');
  await page.locator("#find").fill("");
  await page.locator("#of-state").selectOption("down");
  await page.getByText("No backend is like that.").waitFor();
  await page.locator("#of-state").selectOption("");
  await page.locator("#of-group").selectOption("app");
  const head = page.locator("#backends thead th").first();
  await head.getByRole("button").click();
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  assert.deepEqual((await names()).filter((name) => name !== "three"), ["two", "one"]);
});

await step("without a mouse: a drain by keys alone, and the focus is seen", async () => {
  await page.reload();
  await row("two").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  const on = async (name) => eventually(`focus on ${name}`, async () => {
    const text = await page.evaluate(() => document.activeElement.textContent);
    if (text === name) return true;
    await page.keyboard.press("Tab");
    return false;
  });
  await on("two");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid");
  await page.keyboard.press("Enter");
  await page.locator("#detail").waitFor();
  await on("Drain\u2026");
  await page.keyboard.press("Enter");
  await page.locator("#change-apply").waitFor();
  await on("Apply");
  await page.keyboard.press("Enter");
  await change.waitFor({ state: "hidden" });
  await page.keyboard.press("Escape");
  await page.locator("#detail").waitFor({ state: "hidden" });
  assert.deepEqual(Object.keys(await answers()), ["one"]);
});

await step("every control has a name and nothing but a control is clicked", async () => {
  const nameless = await page.evaluate(() => [...document.querySelectorAll("button, input, select, canvas, svg[role]")]
    .filter((each) => each.checkVisibility() || each.closest("dialog"))
    .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length))
    .map((each) => each.outerHTML));
  // A button of a row that is not drawn yet has no text; none such may be seen.
  assert.deepEqual(nameless, []);
});

await step("paused it stands still", async () => {
  await page.locator("#pause").click();
  assert.equal(await page.locator("#pause").getAttribute("aria-pressed"), "true");
  let asked = 0;
  await page.waitForTimeout(300);
  page.on("request", () => (asked += 1));
  await page.waitForTimeout(2500);
  assert.equal(asked, 0);
  await page.locator("#pause").click();
  await eventually("it goes on", () => asked > 0);
});

await step("dark, light and 320 pixels wide", async () => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  const light = await ground();
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await ground(), light);
  await page.setViewportSize({ width: 320, height: 640 });
  await eventually("no sideways scrolling", () => page.evaluate(() => document.documentElement.scrollWidth <= 320));
});

clearInterval(traffic);
await step("it complains of nothing and asks nobody else", async () => {
  assert.deepEqual(complaints, []);
});
await browser.close();
