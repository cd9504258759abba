/** The one stream of events that a page keeps open, with its reconnecting. */

import { SseParser } from "../lib/sse";
import { API } from "./client";
import type { Event } from "./types";

export type Connection = "connecting" | "live" | "lost" | "signed_out";

export interface StreamHandlers {
  onEvent(event: Event): void;
  /** What was missed is not known: everything is to be read anew. */
  onReset(): void;
  onConnection(connection: Connection): void;
}

/** Without any byte for this long the connection is taken for dead; the server sends a comment every 15 s. */
const SILENCE_MS = 40_000;
const BACKOFF_MS = [250, 500, 1000, 2000, 4000, 8000];

/** Follows `GET /events` until stopped; resumes by the last event's id. */
export class EventStream {
  private stop = new AbortController();
  private lastId: string | undefined;
  private failures = 0;
  private everLive = false;
  private wake: (() => void) | undefined;

  constructor(
    private readonly handlers: StreamHandlers,
    private readonly fetchLike: typeof fetch = (input, init) => fetch(input, init),
  ) {}

  /** Runs until `close`. */
  async run(): Promise<void> {
    const signal = this.stop.signal;
    while (!signal.aborted) {
      const outcome = await this.once(signal).catch(() => "lost" as const);
      if (signal.aborted) return;
      this.handlers.onConnection(outcome);
      if (outcome === "signed_out") return;
      await this.pause(BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] ?? 8000, signal);
      this.failures += 1;
    }
  }

  close(): void {
    this.stop.abort();
    this.wake?.();
  }

  /** Tries again at once, for example because the network is back. */
  hurry(): void {
    this.wake?.();
  }

  private async once(outer: AbortSignal): Promise<"lost" | "signed_out"> {
    const inner = new AbortController();
    const abort = () => inner.abort();
    outer.addEventListener("abort", abort);
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(abort, SILENCE_MS);
    };
    try {
      alive();
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (this.lastId !== undefined) headers["last-event-id"] = this.lastId;
      const response = await this.fetchLike(`${API}/events`, {
        headers,
        signal: inner.signal,
        cache: "no-store",
      });
      if (response.status === 401) return "signed_out";
      if (!response.ok || !response.body) return "lost";
      this.opened();
      await this.read(response.body, alive);
      return "lost";
    } finally {
      clearTimeout(watchdog);
      outer.removeEventListener("abort", abort);
    }
  }

  private opened(): void {
    this.failures = 0;
    this.handlers.onConnection("live");
    // Without a place to resume from, what happened between reading and listening is not known. After an
    // outage, what no event tells of (how long ago an executor was heard of) has aged.
    if (this.lastId === undefined || this.everLive) this.handlers.onReset();
    this.everLive = true;
  }

  private async read(body: ReadableStream<Uint8Array>, alive: () => void): Promise<void> {
    const parser = new SseParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        if (event.event === "reset") {
          this.lastId = resetPlace(event.data) ?? this.lastId;
          this.handlers.onReset();
          continue;
        }
        if (event.id !== undefined) this.lastId = event.id;
        const parsed = parseEvent(event.data);
        if (parsed) this.handlers.onEvent(parsed);
      }
    }
  }

  private pause(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      // Up to a quarter more, so that many pages do not come back in the same instant.
      const timer = setTimeout(done, ms * (1 + Math.random() / 4));
      const self = this;
      function done() {
        clearTimeout(timer);
        self.wake = undefined;
        resolve();
      }
      this.wake = done;
    });
  }
}

function parseEvent(data: string): Event | undefined {
  try {
    return JSON.parse(data) as Event;
  } catch {
    return undefined;
  }
}

function resetPlace(data: string): string | undefined {
  try {
    const { seq } = JSON.parse(data) as { seq?: number };
    return seq === undefined ? undefined : String(seq);
  } catch {
    return undefined;
  }
}
