/**
 * A Belljar of the test's own: a real server with a real executor on a free port and in a folder of its own.
 * Builds nothing. Everything that it starts it also stops, by process id.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const PROJECT = resolve(import.meta.dirname, "../..");
const READY_MS = 60_000;
const STOP_MS = 30_000;

/** What a test needs of a server that runs. */
export interface Running {
  url: string;
  token: string;
  /** Runs the command line against this server and gives its standard output. */
  cli(...args: string[]): string;
}

/** The program under test. */
function program(): string {
  const path = process.env.BELLJAR_BIN;
  if (!path) throw new Error("BELLJAR_BIN must name the belljar program (make build makes it)");
  if (!existsSync(path)) throw new Error(`BELLJAR_BIN is ${path}, which does not exist: make build`);
  return path;
}

/** The executor needs root; where the test has it not, it asks without a password or fails. */
const asRoot = (): string[] =>
  process.getuid?.() === 0 ? [] : ["sudo", "-n", "--preserve-env=BELLJAR_DATA_DIR"];

async function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer();
    probe.once("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address ? address.port : 0;
      probe.close(() => found(port));
    });
  });
}

export class Server implements Running {
  readonly dir = mkdtempSync(join(tmpdir(), "belljar-web-"));
  readonly log = join(this.dir, "server.log");
  url = "";
  token = "";
  private process: ChildProcess | undefined;

  async start(): Promise<void> {
    const bin = program();
    // The server gives up root and must still reach its folder.
    chmodSync(this.dir, 0o711);
    if (!this.url) this.url = `http://127.0.0.1:${await freePort()}`;
    const [command = bin, ...args] = [
      ...asRoot(),
      bin,
      "standalone",
      ...["--data-dir", join(this.dir, "data"), "--listen", this.url.slice("http://".length)],
    ];
    const out = openSync(this.log, "a");
    const child = spawn(command, args, { stdio: ["ignore", out, out], cwd: PROJECT });
    closeSync(out);
    this.process = child;
    await this.ready(child);
    this.token = this.read(join(this.dir, "data", "token")).trim();
  }

  /** SIGTERM, as an operator's stop; the data stays. */
  async stop(): Promise<void> {
    const child = this.process;
    this.process = undefined;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    // sudo passes the signal on to what it started.
    child.kill("SIGTERM");
    const late = AbortSignal.timeout(STOP_MS);
    await Promise.race([
      ended,
      new Promise((_, fail) =>
        late.addEventListener("abort", () => {
          child.kill("SIGKILL");
          fail(new Error(`the server did not stop within ${STOP_MS} ms; its log:\n${this.tail()}`));
        }),
      ),
    ]);
  }

  /** Stops it and removes its folder; a mount that is left below it is a failure. */
  async remove(): Promise<void> {
    await this.stop();
    const left = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .filter((line) => line.includes(this.dir));
    if (left.length > 0) throw new Error(`mounts are left:\n${left.join("\n")}`);
    const [sudo, ...rest] = asRoot();
    if (sudo) execFileSync(sudo, [...rest, "rm", "-rf", this.dir]);
    else rmSync(this.dir, { recursive: true, force: true });
  }

  cli(...args: string[]): string {
    const env = { ...process.env, BELLJAR_SERVER: this.url, BELLJAR_TOKEN: this.token };
    const { status, stdout, stderr } = spawnSync(program(), args, { env, cwd: PROJECT, encoding: "utf8" });
    if (status !== 0)
      throw new Error(`belljar ${args.join(" ")} exited with ${status}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** Publishes an analysis; building its image talks to Docker. */
  submit(folder: string): void {
    this.cli("analysis", "submit", resolve(PROJECT, folder));
  }

  private read(path: string): string {
    const [sudo, ...rest] = asRoot();
    return sudo
      ? execFileSync(sudo, [...rest, "cat", path], { encoding: "utf8" })
      : readFileSync(path, "utf8");
  }

  private tail(): string {
    return existsSync(this.log) ? readFileSync(this.log, "utf8").split("\n").slice(-30).join("\n") : "";
  }

  private async ready(child: ChildProcess): Promise<void> {
    const until = Date.now() + READY_MS;
    while (Date.now() < until) {
      if (child.exitCode !== null)
        throw new Error(`the server ended with ${child.exitCode}; its log:\n${this.tail()}`);
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      await new Promise((later) => setTimeout(later, 100));
    }
    throw new Error(`the server was not ready within ${READY_MS} ms; its log:\n${this.tail()}`);
  }
}

/** What every test starts from: the demo's analyses, data, pool and DAG, and an analysis that is hostile. */
export function furnish(server: Server): void {
  for (const name of ["posts-clean", "social-engagement", "writing-patterns", "insights-report"]) {
    server.submit(`analyses/${name}`);
  }
  server.submit("web/e2e/hostile");
  server.cli("dataset", "put", "posts", "analyses/posts-clean/sample/export", "--media-type", "text/csv");
  server.cli("pool", "set", "heavy", "--slots", "2", "--description", "Analyses that need much memory");
  server.cli("dag", "apply", "dag-specs/examples/social-insights.yaml");
}
