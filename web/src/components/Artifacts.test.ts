import { expect, test } from "vitest";
import { showAs } from "./Artifacts";

test.each([
  ["image/svg+xml", true, 10, "picture"],
  ["image/png; x=y", true, 10, "picture"],
  ["image/tiff", false, 10, "none"],
  ["text/html", true, 10, "page"],
  ["TEXT/HTML", true, 10, "page"],
  ["text/html", false, 10, "none"],
  ["text/csv", false, 10, "text"],
  ["application/x-ndjson", false, 10, "text"],
  ["application/json", true, 10, "text"],
  ["text/plain", true, 10 << 20, "none"],
  ["application/javascript", false, 10, "none"],
  ["application/xhtml+xml", false, 10, "none"],
] as const)("%s (inline %s, %d bytes) is shown as %s", (media_type, inline, size, how) => {
  expect(showAs({ media_type, inline, size })).toBe(how);
});
