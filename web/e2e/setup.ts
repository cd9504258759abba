/** Fails at once, and says why, where something is missing that the browser test needs. */

import { existsSync } from "node:fs";

export default function setup(): void {
  const missing: string[] = [];
  if (!process.env.BELLJAR_BIN)
    missing.push("BELLJAR_BIN must name the belljar program (make build makes it)");
  const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(chromium)) missing.push(`there is no Chromium at ${chromium} (make setup installs it)`);
  if (!existsSync("/var/run/docker.sock"))
    missing.push("there is no Docker at /var/run/docker.sock (make setup)");
  if (missing.length > 0) throw new Error(`the browser test cannot run:\n  ${missing.join("\n  ")}`);
}
