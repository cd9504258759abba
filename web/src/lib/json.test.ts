import { expect, test } from "vitest";
import { brief, pretty } from "../components/JsonView";
import { ExactNumber, tableColumns } from "./json";

test("lists that are tables", () => {
  expect(
    tableColumns([
      { a: 1, b: "x" },
      { b: null, a: 2 },
    ]),
  ).toEqual(["a", "b"]);
  expect(tableColumns([{ a: 1 }])).toBeUndefined();
  expect(tableColumns([{ a: 1 }, { a: [] }])).toBeUndefined();
  expect(tableColumns([{ a: 1 }, { b: 1 }])).toBeUndefined();
  expect(tableColumns([1, 2])).toBeUndefined();
});

test("indented JSON keeps long numbers", () => {
  const value = { big: new ExactNumber("9223372036854775807"), list: [1, "<b>"], empty: {} };
  expect(pretty(value)).toBe(
    '{\n  "big": 9223372036854775807,\n  "list": [\n    1,\n    "<b>"\n  ],\n  "empty": {}\n}',
  );
});

test("parameters in a few words", () => {
  expect(brief({ timezone: "UTC", steps: 4 })).toBe('timezone: "UTC"\nsteps: 4');
  expect(brief({})).toBe("none");
});
