import { expect, test } from "vitest";
import { ago, between, bytes, count, duration, shortDigest, shortId } from "./duration";

test.each([
  [0, "0 ms"],
  [-5, "0 ms"],
  [Number.NaN, "0 ms"],
  [999.4, "999 ms"],
  [1000, "1.0 s"],
  [9949, "9.9 s"],
  [9960, "10 s"],
  [59_400, "59 s"],
  [59_600, "1 min"],
  [125_000, "2 min 5 s"],
  [3_599_400, "59 min 59 s"],
  [3_599_600, "1 h"],
  [6_000_000, "1 h 40 min"],
  [86_399_000, "1 d"],
  [273_600_000, "3 d 4 h"],
])("%d ms is %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test("ages", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  expect(ago("2026-01-01T23:59:59Z", now)).toBe("just now");
  expect(ago("2026-01-02T00:00:30Z", now)).toBe("just now");
  expect(ago("2026-01-01T23:59:01Z", now)).toBe("59 s ago");
  expect(ago("2026-01-01T23:01:00Z", now)).toBe("59 min ago");
  expect(ago("2026-01-01T01:00:00Z", now)).toBe("23 h ago");
  expect(ago("2025-12-30T00:00:00Z", now)).toBe("3 d ago");
});

test("from one moment to another, or to now", () => {
  const now = Date.parse("2026-01-01T00:00:10Z");
  expect(between("2026-01-01T00:00:00Z", "2026-01-01T00:00:04Z", now)).toBe(4000);
  expect(between("2026-01-01T00:00:00Z", null, now)).toBe(10_000);
  expect(between(null, null, now)).toBeUndefined();
  // A clock that is behind the server's gives no negative time.
  expect(between("2026-01-01T00:00:20Z", null, now)).toBe(0);
});

test("sizes, counts and names", () => {
  expect([0, 1023, 1024, 1536, 10 * 1024, 96 * 2 ** 20, 2 ** 60].map(bytes)).toEqual([
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "10 KiB",
    "96 MiB",
    "1024 PiB",
  ]);
  expect(count(1234567)).toBe("1\u202f234\u202f567");
  expect(shortDigest(`sha256:${"ab".repeat(32)}`)).toBe("sha256:abababababab");
  expect(shortId("run_01a1f96b8ca972f983bb5a2fd31a77d2")).toBe("run_…d31a77d2");
  expect(shortId("run_1")).toBe("run_1");
});
