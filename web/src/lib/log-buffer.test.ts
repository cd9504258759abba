import { expect, test } from "vitest";
import { LINE_CHARS, LogBuffer, search } from "./log-buffer";

const encode = (text: string) => new TextEncoder().encode(text);
const texts = (buffer: LogBuffer) => buffer.lines.map(({ text }) => text);

test("lines, however the bytes are cut, characters of several bytes included", () => {
  const bytes = encode("žluť 🦀\nzwei\r\n\nlast");
  for (let size = 1; size <= bytes.length; size += 1) {
    const buffer = new LogBuffer();
    for (let at = 0; at < bytes.length; at += size) {
      buffer.append(bytes.slice(at, at + size), Math.min(at + size, bytes.length));
    }
    buffer.finish();
    expect(texts(buffer)).toEqual(["žluť 🦀", "zwei", "", "last"]);
    expect(buffer.lines.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(buffer.offset).toBe(bytes.length);
  }
});

test("a line is shown before it is finished, and is still one line", () => {
  const buffer = new LogBuffer();
  buffer.append(encode("10 %"), 4);
  expect(texts(buffer)).toEqual(["10 %"]);
  buffer.append(encode("\r20 %"), 9);
  expect(texts(buffer)).toEqual(["20 %"]);
  buffer.append(encode("\nnext"), 14);
  expect(texts(buffer)).toEqual(["20 %", "next"]);
});

test("bytes that are no UTF-8 do not stop anything", () => {
  const buffer = new LogBuffer();
  buffer.append(new Uint8Array([0x61, 0xff, 0x62, 0x0a]), 4);
  expect(texts(buffer)).toEqual(["a\ufffdb"]);
});

test("colours become looks and carry over to the next line", () => {
  const buffer = new LogBuffer();
  buffer.append(encode("\x1b[1;31mred\nstill\x1b[0m plain\x1b[38;2;1;2;3mrgb\n"), 0);
  expect(buffer.lines[0]?.pieces).toEqual([{ text: "red", classes: "ansi-bold ansi-red-fg" }]);
  expect(buffer.lines[1]?.pieces).toEqual([
    { text: "still", classes: "ansi-bold ansi-red-fg" },
    { text: " plain", classes: "" },
    { text: "rgb", classes: "", color: "rgb(1,2,3)" },
  ]);
});

test("hostile text stays text, and nothing in it hides", () => {
  const buffer = new LogBuffer();
  buffer.append(
    encode("<script>alert(1)</script> &amp; \u202eevil \x07\x1b]8;;javascript:x\x07link\x1b]8;;\x07\n"),
    0,
  );
  const text = buffer.lines[0]?.text ?? "";
  expect(text).toContain("<script>alert(1)</script> &amp;");
  expect(text).toContain("link");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  expect(text).not.toMatch(/[\u202e\u0007\u001b]/);
});

test("a sequence that never ends costs its line, not the log", () => {
  const buffer = new LogBuffer();
  buffer.append(encode(`\x1b[${"1;".repeat(3000)}\nafter\n`), 0);
  expect(texts(buffer).at(-1)).toBe("after");
});

test("a long line is cut and says so", () => {
  const buffer = new LogBuffer();
  buffer.append(encode(`${"x".repeat(LINE_CHARS + 7)}\n`), 0);
  expect(buffer.lines[0]?.text.length).toBe(LINE_CHARS);
  expect(buffer.lines[0]?.cut).toBe(7);
});

test("searching", () => {
  const buffer = new LogBuffer();
  buffer.append(encode("one\nTwo\nthree two\n"), 0);
  expect(search(buffer.lines, "two")).toEqual([1, 2]);
  expect(search(buffer.lines, "")).toEqual([]);
});
