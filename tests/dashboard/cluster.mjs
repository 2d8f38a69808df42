// The dashboard of one of three nodes: how they stand, and the epoch of each of their cores.
//
//   node cluster.mjs '{"nodes": [URL, URL, URL]}'
//
// A line "kill" on standard output asks the test to kill the last node, and "killed" on standard
// input says that it has. Every step prints "ok NAME".

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { eventually, start } from "./browser.mjs";

const { nodes } = JSON.parse(process.argv[2]);
const { browser, open, complaints } = await start();
const page = await open(`${nodes[0]}/`);
const rows = page.locator("#cluster tbody tr");
const texts = async () => Object.fromEntries(await rows.evaluateAll((all) =>
  all.map((row) => [row.cells[0].textContent.split(" ")[0], [...row.cells].map((cell) => cell.textContent)])));

async function retries(node, count) {
  const answer = await fetch(`${nodes[node]}/v1/groups/app?wait=node`, {
    method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ retries: count }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

async function step(name, what) {
  try {
    await what();
  } catch (error) {
    console.log(`not ok ${name}: ${error.stack}\n${JSON.stringify(await texts().catch(() => null))}`);
    await browser.close();
    process.exit(1);
  }
  console.log(`ok ${name}`);
}

await step("all nodes are there, each with the epoch of each core", async () => {
  await eventually("three nodes alive", async () => {
    const seen = await texts();
    return ["n0", "n1", "n2"].every((name) => seen[name]?.[1] === "alive" && seen[name][3] === "1 on all 2");
  });
  const seen = await texts();
  assert.match(seen.n0[0], /here/);
  assert.deepEqual([seen.n0[2], seen.n1[2], seen.n2[2]], ["1", "1", "1"]);
  assert.equal(await page.locator("#cluster .trouble").count(), 0);
});

await step("any node tells the past of each", async () => {
  const node = page.locator("#history select[name=node]");
  assert.deepEqual(await node.locator("option").allTextContents(), ["this one", "n1", "n2"]);
  const drawn = () => page.locator("#history path.series").first().getAttribute("d");
  await eventually("what this one was like", async () => (await drawn())?.includes("L"));
  const asked = page.waitForResponse((response) => response.url().includes("/v1/monitor?node=n1"));
  await node.selectOption("n1");
  const { nodes: told, backends } = await (await asked).json();
  assert.deepEqual([told.map((each) => each.node), backends], [["n1"], []]);
  await eventually("what the other was like", async () => (await drawn())?.includes("L"));
});

await step("who serves by an older epoch is behind, and who differs is told", async () => {
  await retries(1, 3);
  await eventually("the others are behind", async () => {
    const seen = await texts();
    return seen.n1[3] === "2 on all 2" && seen.n0[3] === "1 on all 2, 2 behind" && seen.n2[3].endsWith("2 behind");
  });
  await retries(0, 4);
  await retries(2, 3);
  await eventually("it differs at the same epoch", async () => {
    const seen = await texts();
    return seen.n0[3] === "2 on all 2" && seen.n1[1].includes("differs");
  });
  for (const node of [0, 1, 2]) await retries(node, 5);
  await eventually("all are there", async () => {
    const seen = await texts();
    return ["n0", "n1", "n2"].every((name) => seen[name][1] === "alive" && seen[name][3] === "3 on all 2");
  });
});

await step("a node that is dead is told so, and does not count", async () => {
  const heard = createInterface({ input: process.stdin });
  console.log("kill");
  await new Promise((done) => heard.once("line", done));
  heard.close();
  await eventually("it is missed", async () => (await texts()).n2[1] === "dead");
  const seen = await texts();
  assert.equal(seen.n0[3], "3 on all 2");
  assert.match(await rows.filter({ hasText: "n2" }).locator(".state").first().getAttribute("class"), /trouble/);
});

await step("it fits a phone", async () => {
  await page.setViewportSize({ width: 320, height: 640 });
  await eventually("no sideways scrolling", () => page.evaluate(() => document.documentElement.scrollWidth <= 320));
});

await step("it complains of nothing", async () => assert.deepEqual(complaints, []));
await browser.close();
