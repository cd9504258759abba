import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Connection, EventStream } from "./events";
import type { Event } from "./types";

/** A server that answers each call with the next of these: a stream's text, a status, or nothing at all. */
function serverOf(answers: (string | number | "down")[]) {
  const headers: (string | null)[] = [];
  const call = vi.fn(async (_url: unknown, init?: RequestInit) => {
    headers.push(new Headers(init?.headers).get("last-event-id"));
    const answer = answers.shift() ?? 401;
    if (answer === "down") throw new TypeError("refused");
    return typeof answer === "number" ? new Response("", { status: answer }) : new Response(answer);
  });
  return { call: call as unknown as typeof fetch, headers };
}

const line = (seq: number) => `id: ${seq}\nevent: task.ready\ndata: {"seq":${seq},"kind":"task.ready"}\n\n`;

async function follow(answers: (string | number | "down")[]) {
  const server = serverOf(answers);
  const seen: { events: number[]; resets: number; states: Connection[] } = {
    events: [],
    resets: 0,
    states: [],
  };
  const stream = new EventStream(
    {
      onEvent: (event: Event) => seen.events.push(event.seq),
      onReset: () => {
        seen.resets += 1;
      },
      onConnection: (state) => seen.states.push(state),
    },
    server.call,
  );
  const ended = stream.run();
  await vi.runAllTimersAsync();
  await ended;
  return { ...seen, headers: server.headers };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test("goes on after the last event it saw", async () => {
  const seen = await follow([line(4) + line(5), line(6)]);
  expect(seen.events).toEqual([4, 5, 6]);
  expect(seen.headers).toEqual([null, "5", "6"]);
  expect(seen.states).toEqual(["live", "lost", "live", "lost", "signed_out"]);
});

test("outlives a server that is down, or not ready", async () => {
  const seen = await follow([line(1), "down", 503, "down", line(2)]);
  expect(seen.events).toEqual([1, 2]);
  expect(seen.headers).toEqual([null, "1", "1", "1", "1", "2"]);
});

test("reads anew at first, after an outage, and when told to", async () => {
  expect((await follow([line(1)])).resets).toBe(1);
  expect((await follow([line(1), line(2)])).resets).toBe(2);
  const told = await follow([`${line(1)}event: reset\ndata: {"seq":90}\n\n`]);
  expect(told.resets).toBe(2);
  expect(told.headers).toEqual([null, "90"]);
});

test("a broken event is passed over", async () => {
  expect((await follow([`id: 3\ndata: {nonsense\n\n${line(4)}`])).events).toEqual([4]);
});

test("a line that has gone silent is given up", async () => {
  const silent = new ReadableStream<Uint8Array>({});
  const states: Connection[] = [];
  let calls = 0;
  const stream = new EventStream(
    { onEvent: () => {}, onReset: () => {}, onConnection: (state) => states.push(state) },
    (async (_url: unknown, init?: RequestInit) => {
      calls += 1;
      if (calls > 1) return new Response("", { status: 401 });
      // As fetch does: aborting the call breaks its body.
      const [body] = [silent];
      const broken = new ReadableStream<Uint8Array>({
        start(controller) {
          init?.signal?.addEventListener("abort", () => controller.error(new DOMException("", "AbortError")));
        },
      });
      void body;
      return new Response(broken);
    }) as typeof fetch,
  );
  const ended = stream.run();
  await vi.runAllTimersAsync();
  await ended;
  expect(states).toEqual(["live", "lost", "signed_out"]);
});
