/** Pictures of every page, in both colours, wide and narrow, for people to look at. `SCREENSHOTS` says where to. */

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { expect, type Scheme, scheme, signIn, test } from "./fixtures";

const FOLDER = resolve(process.env.SCREENSHOTS ?? "../target/screenshots");
const SIZES = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

async function settle(page: Page): Promise<void> {
  await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
  await page.evaluate(() => document.fonts.ready);
}

test("pictures of every page", async ({ page, server }) => {
  test.setTimeout(600_000);
  mkdirSync(FOLDER, { recursive: true });
  const shoot = async (name: string) => {
    await settle(page);
    await page.screenshot({ path: `${FOLDER}/${name}.png`, fullPage: true, animations: "disabled" });
  };
  await page.goto(`${server.url}/`);
  for (const colour of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: colour });
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      await shoot(`sign-in-${colour}-${size}`);
    }
  }
  await page.setViewportSize(SIZES.wide);
  await signIn(page, server);

  // Something of every kind: a run that succeeded, one that waits, one that failed, a request.
  const start = (...args: string[]) => JSON.parse(server.cli("--output", "json", ...args));
  const done = start("dag", "run", "social-insights").run as string;
  server.cli("run", "watch", done);
  const hostile = start(
    ...[
      "request",
      "create",
      "hostile-outputs",
      "--input",
      "data=posts",
      "--param",
      "steps=400",
      "--param",
      "pause_ms=1",
    ],
    ...["--purpose", "To see whether the page stands it"],
  );
  server.cli("run", "watch", hostile.run);
  // A run is refused where a pool is too small for it; one that is queued already has to wait.
  server.cli("dag", "pause", "social-insights");
  const waiting = start("dag", "run", "social-insights").run as string;
  server.cli("pool", "set", "heavy", "--slots", "0");
  server.cli("dag", "unpause", "social-insights");
  await page.goto(`${server.url}/runs/${waiting}`);
  await expect(page.getByRole("region", { name: "Why it waits" })).toBeVisible();
  await page.goto(`${server.url}/requests/new?analysis=hostile-outputs`);
  await expect(page.getByRole("button", { name: "Send the request" })).toBeVisible();

  const pages: [string, string, ((page: Page) => Promise<void>)?][] = [
    ["dags", "/dags"],
    ["dag", "/dags/social-insights"],
    ["runs", "/runs"],
    ["run-done", `/runs/${done}`],
    ["run-table", `/runs/${done}?view=table&task=words`],
    ["run-waiting", `/runs/${waiting}`],
    ["run-result", `/runs/${done}?task=words&tab=result`],
    ["run-artifacts", `/runs/${done}?task=report&tab=artifacts`],
    ["run-heatmap", `/runs/${done}?task=engagement&tab=artifacts`],
    ["run-receipt", `/runs/${done}?task=report&tab=receipt`],
    ["run-log", `/runs/${done}?task=clean&tab=log`],
    ["requests", "/requests"],
    ["request-new", "/requests/new?analysis=hostile-outputs"],
    ["request", `/requests/${hostile.request}`],
    ["datasets", "/datasets"],
    ["dataset", "/datasets/posts"],
    ["executors", "/executors"],
    ["missing", "/no-such-page"],
  ];
  for (const colour of ["light", "dark"] as Scheme[]) {
    await page.emulateMedia({ colorScheme: colour });
    await page.setViewportSize(SIZES.wide);
    await page.goto(`${server.url}/dags`);
    await scheme(page, colour);
    for (const [name, path, prepare] of pages) {
      await page.setViewportSize(SIZES.wide);
      await page.goto(`${server.url}${path}`);
      await expect(page.getByText("Live", { exact: true })).toBeVisible();
      await prepare?.(page);
      await page.waitForLoadState("load");
      for (const [size, viewport] of Object.entries(SIZES)) {
        await page.setViewportSize(viewport);
        await shoot(`${name}-${colour}-${size}`);
      }
    }
  }
  server.cli("pool", "set", "heavy", "--slots", "2");
  server.cli("run", "watch", waiting);
});
