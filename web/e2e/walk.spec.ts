/**
 * One person's way through every page, in a real browser, against a real server that runs real containers.
 * Every page is looked at by axe in both colours, and the console stays free of errors, which violations of the
 * content security policy would be.
 */

import type { Page } from "@playwright/test";
import { accessible, expect, scheme, signIn, test } from "./fixtures";
import type { Server } from "./server";

test.describe.configure({ mode: "serial" });

/** Looks at the page in both colours. */
async function look(page: Page): Promise<void> {
  await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
  for (const colour of ["light", "dark"] as const) {
    await scheme(page, colour);
    await accessible(page);
  }
}

/** The graph's box of a task. */
const box = (page: Page, task: string) => page.locator(`.graph-node[data-task="${task}"]`);

/** Writes down every state that the boxes of the graph go through, as the page shows them. */
async function recordStates(page: Page): Promise<() => Promise<Record<string, string[]>>> {
  await page.evaluate(() => {
    const seen: Record<string, string[]> = {};
    (window as unknown as { seen: typeof seen }).seen = seen;
    const note = () => {
      for (const node of document.querySelectorAll<HTMLElement>(".graph-node")) {
        const { task = "", state = "" } = node.dataset;
        const list = seen[task] ?? [];
        seen[task] = list;
        if (list.at(-1) !== state) list.push(state);
      }
    };
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, attributes: true });
    note();
  });
  return () => page.evaluate(() => (window as unknown as { seen: Record<string, string[]> }).seen);
}

const open = async (page: Page, place: string) => {
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: place }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(place);
};

/** Nothing that a hostile output tried has worked. */
async function notScripted(page: Page): Promise<void> {
  expect(await page.evaluate(() => "pwned" in window)).toBe(false);
  for (const frame of page.frames()) {
    // A frame of its own origin cannot be asked by its parent; the browser's tool can.
    expect(await frame.evaluate(() => "pwned" in window).catch(() => false)).toBe(false);
  }
}

test("signing in, and what a wrong token gets", async ({ page, server, complaints }) => {
  complaints.allow(/status of 401 .*\/api\/v1\/session/);
  await page.goto(`${server.url}/runs?state=failed`);
  await expect(page.getByRole("heading", { name: "Sign in to Belljar" })).toBeVisible();
  await expect(page.getByText("make token")).toBeVisible();
  await accessible(page);
  await page.emulateMedia({ colorScheme: "dark" });
  await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", "dark");
  await accessible(page);

  await page.getByLabel("Token").fill(`bj_${"0".repeat(32)}_${"0".repeat(64)}`);
  await page.keyboard.press("Enter");
  await expect(page.getByText("This token is not valid")).toBeVisible();
  await page.getByLabel("Token").fill(server.token);
  await page.keyboard.press("Enter");
  // Where one wanted to go.
  await expect(page).toHaveURL(/\/runs\?state=/);
  await expect(page.getByRole("heading", { name: "No run matches" })).toBeVisible();
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: "belljar_session", httpOnly: true, sameSite: "Strict" });

  await page.getByRole("button", { name: "Signed in as" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in to Belljar" })).toBeVisible();
  await page.goto(`${server.url}/dags`);
  await expect(page.getByLabel("Token")).toBeVisible();
});

test("a DAG from the list to its results, live", async ({ page, server }) => {
  await signIn(page, server);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  const row = page.getByRole("article", { name: "social-insights" });
  await expect(row.getByText("Insights from one person's posts")).toBeVisible();
  await page.getByRole("searchbox", { name: "Search DAGs" }).fill("nothing like it");
  await expect(page.getByRole("heading", { name: "Nothing matches" })).toBeVisible();
  await page.getByRole("searchbox", { name: "Search DAGs" }).fill("insights");
  await look(page);

  // Paused from outside; the page says so without being asked to.
  server.cli("dag", "pause", "social-insights");
  await expect(row.getByText("Paused")).toBeVisible();
  await row.getByRole("button", { name: "Trigger" }).click();
  const form = page.getByRole("dialog");
  await expect(form.getByLabel("Time zone")).toHaveValue("UTC");
  await form.getByLabel("Time zone").fill("Europe/Prague");
  await accessible(page);
  await form.getByRole("button", { name: "Start the run" }).click();

  // The run is queued, says why, and starts when the DAG is unpaused; its pool has been emptied meanwhile.
  await expect(page).toHaveURL(/\/runs\/run_/);
  const why = page.getByRole("region", { name: "Why it waits" });
  await expect(why.getByRole("link", { name: "DAG social-insights" })).toBeVisible();
  server.cli("pool", "set", "heavy", "--slots", "0");
  await expect(box(page, "clean")).toHaveAttribute("data-state", /pending|ready/);
  const states = await recordStates(page);
  server.cli("dag", "unpause", "social-insights");
  await expect(box(page, "engagement")).toHaveAttribute("data-state", "succeeded");
  await expect(why).toContainText("words");
  await expect(why.getByRole("link", { name: "pool heavy" })).toBeVisible();
  await expect(box(page, "words")).toHaveAttribute("data-state", "ready");
  await expect(box(page, "report")).toHaveAttribute("data-state", "pending");
  await look(page);

  await why.getByRole("link", { name: "pool heavy" }).click();
  await page.getByRole("button", { name: "Change heavy" }).click();
  await page.getByRole("dialog").getByLabel("Slots").fill("2");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.goBack();
  await expect(page.locator('[data-run-state="succeeded"]')).toBeVisible({ timeout: 60_000 });
  await expect(why).toHaveCount(0);
  for (const task of ["clean", "engagement", "words", "report"]) {
    await expect(box(page, task)).toHaveAttribute("data-state", "succeeded");
  }
  // Seen live, in the order in which it happened.
  const { clean = [] } = await states();
  expect(clean.at(0)).toMatch(/pending|ready/);
  // It runs for a tenth of a second, so that its two states on the way may be drawn as one.
  expect(clean.slice(1, -1)).toContainEqual(expect.stringMatching(/leased|running/));
  expect(clean.at(-1)).toBe("succeeded");
});

test("everything about a task of that run", async ({ page, server }) => {
  await signIn(page, server);
  await open(page, "Runs");
  await look(page);
  await page.getByRole("link", { name: /^run_/ }).first().click();

  // By keyboard: the boxes of the graph are buttons.
  await box(page, "words").focus();
  await page.keyboard.press("Enter");
  const panel = page.getByRole("region", { name: "Task words" });
  await expect(panel.getByText("writing-patterns 1.0.0")).toBeVisible();
  await expect(panel.getByText("Where the time went")).toBeVisible();
  await look(page);

  await panel.getByRole("tab", { name: "Result" }).click();
  await expect(panel.getByRole("region", { name: "Result" })).toContainText("distinct_words");
  await panel.getByText("top_words").click();
  await expect(panel.getByRole("columnheader", { name: "word" })).toBeVisible();
  await look(page);
  await panel.getByRole("tab", { name: "Artifacts" }).click();
  const cloud = panel.getByRole("img", { name: "Artifact cloud" });
  await expect(cloud).toBeVisible();
  await expect
    .poll(() => cloud.evaluate((image: HTMLImageElement) => image.naturalWidth))
    .toBeGreaterThan(100);
  await panel.getByRole("tab", { name: "Receipt" }).click();
  await expect(panel.getByRole("region", { name: "Receipt" })).toContainText("sha256:");
  await look(page);

  await box(page, "report").click();
  await page.getByRole("tab", { name: "Artifacts" }).click();
  const report = page.frameLocator('iframe[title="Artifact report"]');
  await expect(report.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(report.locator("body")).toContainText("42");
  await expect(page.locator('iframe[title="Artifact report"]')).toHaveAttribute("sandbox", "");
  await look(page);

  await box(page, "clean").click();
  await page.getByRole("tab", { name: "Log" }).click();
  await expect(page.locator('[data-log-state="complete"]')).toBeVisible();
  await expect(page.getByRole("log")).toContainText("kept 42 of 44 rows");
  await look(page);

  // The table says what the graph says.
  await page.getByText("Table", { exact: true }).click();
  await expect(page.getByRole("row", { name: /report.*Succeeded/ })).toBeVisible();
  await look(page);
});

test("a DAG's own page, and cancelling a run", async ({ page, server }) => {
  await signIn(page, server);
  await page.getByRole("link", { name: "social-insights", exact: true }).click();
  await expect(page.getByRole("region", { name: "The YAML as it was applied" })).toContainText(
    "dag: social-insights",
  );
  await look(page);
  await page.getByRole("switch", { name: "social-insights is active" }).click();
  await expect(page.getByText("Paused", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "Trigger" }).click();
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await accessible(page);
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await expect(page.locator('[data-run-state="cancelled"]')).toBeVisible();
  server.cli("dag", "unpause", "social-insights");
});

/** Fills in the form for the hostile analysis, every kind of field in it. */
async function requestHostile(page: Page): Promise<void> {
  await open(page, "Requests");
  await page.getByRole("link", { name: "New request" }).click();
  await page.getByRole("combobox", { name: "Analysis" }).click();
  await page.getByRole("option", { name: "hostile-outputs" }).click();
  await expect(page.getByText("<b>Tries</b> to script")).toBeVisible();
  await page.getByRole("button", { name: "Send the request" }).click();
  await expect(page.getByText("Choose a dataset")).toBeVisible();
  await page.getByRole("combobox", { name: "data", exact: true }).click();
  await page.getByRole("option", { name: "posts" }).click();
  await page.getByLabel("Steps").fill("0");
  await expect(page.getByText("At least 1")).toBeVisible();
  await page.getByLabel("Steps").fill("60");
  await page.getByLabel("Pause").fill("50");
  await page.getByRole("combobox", { name: "Mood" }).click();
  await page.getByRole("option", { name: "cross" }).click();
  await page.getByRole("switch", { name: "Shout" }).click();
  await page.getByRole("combobox", { name: "Words" }).fill("<i>one</i>");
  await page.keyboard.press("Enter");
  await page.getByLabel("Nested").fill('{"deep": [1, {"er": null}]}');
  await page.getByLabel("What do you need the result for?").fill("To see <b>whether</b> the page stands it");
}

test("a request, its live log, and outputs that are hostile", async ({ page, server, complaints }) => {
  // What the hostile page asks for is refused aloud, in its own frame.
  complaints.allow(/Loading the image '[^']*\/artifacts\/x' violates .*\/artifacts\/page\?inline=1/);
  await signIn(page, server);
  await requestHostile(page);
  await look(page);
  await page.getByRole("button", { name: "Send the request" }).click();

  // The log is read while the program writes it.
  await expect(page).toHaveURL(/\/requests\/req_/);
  await page.getByRole("tab", { name: "Log" }).click();
  const log = page.getByRole("log");
  await expect(log).toContainText(/STEP \d+ OF 60/);
  await expect(page.locator('[data-request-state="running"]')).toBeVisible();
  await expect(page.locator('[data-log-state="live"]')).toBeVisible();
  await expect(page.locator('[data-request-state="succeeded"]')).toBeVisible();
  await expect(page.locator('[data-log-state="complete"]')).toBeVisible();
  await expect(log).toContainText("<img src=x onerror=");
  await expect(log.locator(".ansi-red-fg")).toHaveText("red");
  await expect(log.locator("img, script, a")).toHaveCount(0);
  await page.getByRole("searchbox", { name: "Search the log" }).fill("STEP 30 OF");
  await expect(page.getByText("1 of 1", { exact: true })).toBeVisible();
  await expect(log.locator(".hit.at")).toContainText("STEP 30 OF 60");
  await look(page);

  await page.getByRole("tab", { name: "Result" }).click();
  const result = page.getByRole("region", { name: "Result" });
  await expect(result).toContainText("9223372036854775807");
  await expect(result).toContainText("<b>one</b>");
  await expect(result.locator("b, script")).toHaveCount(0);
  await look(page);

  await page.getByRole("tab", { name: "Artifacts" }).click();
  await expect(page.frameLocator('iframe[title="Artifact page"]').getByText("A hostile page")).toBeVisible();
  await expect(page.getByRole("img", { name: "Artifact picture" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Artifact notes" })).toContainText(
    "Plain text with markup: <script>",
  );
  await expect(page.getByText("This file is not shown here")).toBeVisible();
  await notScripted(page);
  await look(page);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("article", { name: "Artifact blob" }).getByRole("link", { name: "Save" }).click(),
  ]);
  expect(download.suggestedFilename()).toBe("blob.bin");

  // Opened by itself, as somebody might who copies the address, it is as powerless.
  const source = await page.locator('iframe[title="Artifact page"]').getAttribute("src");
  const answer = await page.request.get(`${server.url}${source}`);
  expect(answer.headers()["content-security-policy"]).toContain("sandbox");
  expect(answer.headers()["x-content-type-options"]).toBe("nosniff");
});

test("datasets say who used them, and executors what they do", async ({ page, server }) => {
  await signIn(page, server);
  await open(page, "Requests");
  await expect(page.getByText("To see <b>whether</b> the page stands it")).toBeVisible();
  await look(page);
  await open(page, "Datasets");
  await look(page);
  await page.getByRole("link", { name: "posts", exact: true }).click();
  const uses = page.getByRole("region", { name: "Who used it for what" });
  await expect(uses.getByText("To see <b>whether</b> the page stands it")).toBeVisible();
  await expect(uses.getByRole("link", { name: /^req_/ })).toBeVisible();
  await expect(uses.getByRole("link", { name: /^run_/ }).first()).toBeVisible();
  await look(page);
  await uses
    .getByRole("link", { name: /^sha256:/ })
    .first()
    .click();
  await expect(page.getByRole("region", { name: "Receipt" })).toBeVisible();

  await open(page, "Executors");
  await expect(page.locator('[data-executor-state="online"]')).toBeVisible();
  await expect(page.getByText("gVisor", { exact: true })).toBeVisible();
  await expect(page.getByRole("row", { name: /heavy/ })).toContainText("0 of 2 held");
  await look(page);

  await page.goto(`${server.url}/no-such-page`);
  await expect(page.getByRole("heading", { name: "There is no such page" })).toBeVisible();
  await look(page);
});

test("on a phone", async ({ page, server }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await signIn(page, server);
  await page.getByRole("link", { name: /^Run / }).first().click();
  await expect(page.getByRole("region", { name: "Tasks as a table" })).toBeVisible();
  await accessible(page);
  await page.getByRole("button", { name: "Navigation" }).click();
  await page.getByRole("link", { name: "Executors" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Executors");
  // Nothing makes the whole page scroll sideways.
  for (const path of [
    "/dags",
    "/dags/social-insights",
    "/runs",
    "/requests",
    "/requests/new",
    "/datasets/posts",
    "/executors",
  ]) {
    await page.goto(`${server.url}${path}`);
    await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
    const wide = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(wide, path).toBeLessThanOrEqual(0);
  }
});

test("the page outlives its server", async ({ page, server, complaints }) => {
  await signIn(page, server);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  complaints.allow(
    /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|status of 503/,
  );
  await (server as Server).stop();
  await expect(page.getByText("The server does not answer")).toBeVisible();
  await (server as Server).start();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await expect(page.getByText("The server does not answer")).toHaveCount(0);
  // Still signed in, and live again.
  server.cli("dag", "pause", "social-insights");
  await expect(page.getByRole("article", { name: "social-insights" }).getByText("Paused")).toBeVisible();
  server.cli("dag", "unpause", "social-insights");
  await expect(page.getByRole("article", { name: "social-insights" }).getByText("Active")).toBeVisible();
});
