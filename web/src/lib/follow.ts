/** Reads a log by offset until its end, holding the call open while nothing comes. */

import { fetchBytes, urls } from "../api/client";
import { notFound, passing } from "../api/problem";
import type { Instance } from "../api/types";
import { LogBuffer } from "./log-buffer";

export type LogState = "reading" | "live" | "complete" | "lost" | "failed";

export interface LogView {
  buffer: LogBuffer;
  state: LogState;
  error: unknown;
}

const CHUNK_BYTES = 1 << 20;

/** Follows one stream of one attempt; `changed` is called whenever there is something new to draw. */
export async function follow(
  at: Instance,
  attempt: number,
  stream: "stdout" | "stderr",
  signal: AbortSignal,
  changed: (view: LogView) => void,
): Promise<void> {
  const buffer = new LogBuffer();
  let failures = 0;
  while (!signal.aborted) {
    try {
      const url = urls.log(at, attempt, stream, { offset: buffer.offset, limit: CHUNK_BYTES, follow: "25s" });
      const response = await fetchBytes(url, signal);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (signal.aborted) return;
      const next = Number(response.headers.get("belljar-log-next-offset") ?? buffer.offset + bytes.length);
      const complete = response.headers.get("belljar-log-complete") === "true";
      buffer.append(bytes, next);
      if (complete) buffer.finish();
      failures = 0;
      changed({
        buffer,
        state: complete ? "complete" : bytes.length === CHUNK_BYTES ? "reading" : "live",
        error: undefined,
      });
      if (complete) return;
    } catch (error) {
      if (signal.aborted) return;
      if (!passing(error) && !notFound(error)) {
        changed({ buffer, state: "failed", error });
        return;
      }
      changed({ buffer, state: "lost", error });
      await pause(Math.min(500 * 2 ** failures, 8000), signal);
      failures += 1;
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
