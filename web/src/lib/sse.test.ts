import { expect, test } from "vitest";
import { SseParser } from "./sse";

test("events, however the text is cut", () => {
  const text =
    'id: 7\nevent: task.running\ndata: {"a":\ndata: 1}\n\n: quiet\n\nevent: reset\ndata: {"seq":9}\n\n';
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    expect(events).toEqual([
      { id: "7", event: "task.running", data: '{"a":\n1}' },
      { id: undefined, event: "reset", data: '{"seq":9}' },
    ]);
  }
});

test("every kind of line end, also across pieces", () => {
  const parser = new SseParser();
  expect(parser.push("data: a\r")).toEqual([]);
  expect(parser.push("\ndata: b\r\n\r\n")).toEqual([{ id: undefined, event: "message", data: "a\nb" }]);
});

test("an event without data is none, and an unfinished one waits", () => {
  const parser = new SseParser();
  expect(parser.push("id: 1\nevent: x\n\ndata: y\n")).toEqual([]);
  expect(parser.push("\n")).toEqual([{ id: undefined, event: "message", data: "y" }]);
});
