/** A server for all tests of a file, and a page that must stay free of errors. */

import { AxeBuilder } from "@axe-core/playwright";
import { test as base, expect, type Page } from "@playwright/test";
import { furnish, Server } from "./server";

/** What a page complained of. */
export class Complaints {
  private readonly list: string[] = [];
  /** Asking who one is before signing in is answered with 401, and every browser notes that. */
  private readonly allowed = [
    /status of 401 .*\/api\/v1\/whoami/,
    // What the sandbox of a shown artifact refuses is refused aloud; that it was refused is tested.
    /Blocked script execution in '[^']*\/artifacts\/[^']*\?inline=1' because the document's frame is sandboxed/,
  ];

  constructor(page: Page) {
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        this.list.push(`${message.type()}: ${message.text()} (${message.location().url})`);
      }
    });
    page.on("pageerror", (error) => this.list.push(`uncaught: ${error.message}`));
  }

  /** From now on these are expected, because the test itself brings them about. */
  allow(pattern: RegExp): void {
    this.allowed.push(pattern);
  }

  /** Fails where there was anything else. Violations of the content security policy are console errors. */
  check(): void {
    expect(this.list.filter((text) => !this.allowed.some((pattern) => pattern.test(text)))).toEqual([]);
  }
}

export const test = base.extend<{ complaints: Complaints }, { server: Server }>({
  server: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures out of the pattern
    async ({}, use) => {
      const server = new Server();
      try {
        await server.start();
        furnish(server);
        await use(server);
      } finally {
        await server.remove();
      }
    },
    { scope: "worker", timeout: 180_000 },
  ],
  complaints: [
    async ({ page }, use) => {
      const complaints = new Complaints(page);
      await use(complaints);
      complaints.check();
    },
    { auto: true },
  ],
});

export { expect };

/** Signs in by the form. */
export async function signIn(page: Page, server: Server): Promise<void> {
  await page.goto(`${server.url}/`);
  await page.getByLabel("Token").fill(server.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "DAGs", level: 1 })).toBeVisible();
}

export type Scheme = "light" | "dark";

/** Chooses the colours by the page's own menu. */
export async function scheme(page: Page, choice: Scheme): Promise<void> {
  await page.getByRole("button", { name: "Colours" }).click();
  await page.getByRole("menuitem", { name: choice === "dark" ? "Dark" : "Light" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", choice);
  await expect(page.getByRole("menuitem")).toHaveCount(0);
}

/** No finding of axe in the colours that are on. What is inside artifacts is somebody else's. */
export async function accessible(page: Page): Promise<void> {
  // A tooltip under the pointer belongs to no landmark, and comes and goes.
  await page.mouse.move(0, 0);
  await expect(page.getByRole("tooltip")).toHaveCount(0);
  const { violations } = await new AxeBuilder({ page }).exclude("iframe").analyze();
  const found = violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map((node) => `${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`).join(" | ")}`,
  );
  expect(found).toEqual([]);
}
