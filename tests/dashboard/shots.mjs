// The pictures of the guide, of a node that runs: node shots.mjs '{"admin": URL, "to": FILE,
// "scheme": "light" | "dark", "width": N, "height": N, "seconds": N, "whole": BOOL, "drain": NAME}'
//
// It waits so many seconds for charts to fill; with "whole" it shows the page beyond the screen, with
// "drain" the plan to drain that backend.

import { start } from "./browser.mjs";

const { admin, to, scheme, width, height, seconds, whole, drain } = JSON.parse(process.argv[2]);
const { browser, open } = await start({ colorScheme: scheme, viewport: { width, height } });
const page = await open(`${admin}/`);
await page.locator("#backends tbody tr").first().waitFor();
await page.waitForTimeout(1000 * seconds);
if (drain) {
  await page.getByRole("button", { name: drain, exact: true }).click();
  await page.locator("#detail").getByRole("button", { name: "Drain\u2026" }).click();
  await page.locator("#change-apply").waitFor();
}
await page.screenshot({ path: to, fullPage: whole === true });
await browser.close();
