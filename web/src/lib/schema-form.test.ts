import { expect, test } from "vitest";
import { collect, type Drafts, type Field, formOf, initialDrafts } from "./schema-form";

function fieldsOf(properties: object, required: string[] = []): Field[] {
  const form = formOf({ type: "object", properties, required, additionalProperties: false });
  if (form.kind !== "fields") throw new Error(`${form.kind}, not fields`);
  return form.fields;
}

const one = (schema: object, draft: Drafts[string], required = false) =>
  collect(fieldsOf({ x: schema }, required ? ["x"] : []), { x: draft });

test("which schemas get a form, and which an editor", () => {
  expect(formOf(undefined).kind).toBe("empty");
  expect(formOf(null).kind).toBe("empty");
  expect(formOf({ type: "object", properties: {}, additionalProperties: false }).kind).toBe("empty");
  expect(formOf({ type: "object", additionalProperties: { type: "string" } }).kind).toBe("json");
  expect(formOf({ type: "array" }).kind).toBe("json");
  expect(formOf({ oneOf: [{ type: "object" }] }).kind).toBe("json");
  expect(formOf(true).kind).toBe("json");
});

test("kinds of fields, with label, description and what is required first", () => {
  const fields = fieldsOf(
    {
      zone: { type: "string", title: "Time zone", description: "IANA name", default: "UTC", maxLength: 64 },
      ratio: { type: "number", minimum: 0, maximum: 1 },
      count: { type: "integer" },
      loud: { type: "boolean", default: true },
      mood: { enum: ["calm", 3, null] },
      words: { type: "array", items: { type: "string" }, minItems: 1 },
      pairs: { type: "array", items: { type: "object" } },
      tuple: { type: "array", prefixItems: [{ type: "string" }] },
      either: { type: ["string", "null"] },
      linked: { $ref: "#/$defs/x" },
    },
    ["count"],
  );
  expect(fields.map(({ name, type }) => [name, type.kind])).toEqual([
    ["count", "integer"],
    ["zone", "string"],
    ["ratio", "number"],
    ["loud", "boolean"],
    ["mood", "enum"],
    ["words", "array"],
    ["pairs", "json"],
    ["tuple", "json"],
    ["either", "json"],
    ["linked", "json"],
  ]);
  expect(fields[1]).toMatchObject({
    label: "Time zone",
    description: "IANA name",
    initial: "UTC",
    required: false,
  });
  expect(fields[0]).toMatchObject({ label: "count", required: true });
});

test("defaults fill the form and come out as they were", () => {
  const fields = fieldsOf({
    a: { type: "string", default: "x" },
    b: { type: "integer", default: 0 },
    c: { type: "boolean", default: false },
    d: { enum: ["p", "q"], default: "q" },
    e: { type: "array", items: { type: "integer" }, default: [1, 2] },
    f: { type: "object", default: { k: [1] } },
    g: { type: "string" },
  });
  expect(collect(fields, initialDrafts(fields))).toEqual({
    params: { a: "x", b: 0, c: false, d: "q", e: [1, 2], f: { k: [1] } },
    errors: {},
  });
});

test("what is not given is left out, unless it is required", () => {
  expect(one({ type: "string" }, undefined)).toEqual({ params: {}, errors: {} });
  expect(one({ type: "array", items: { type: "string" } }, [])).toEqual({ params: {}, errors: {} });
  expect(one({ type: "string" }, "", true).errors).toEqual({ x: "This is required" });
  expect(one({ type: "array", items: { type: "string" } }, [], true).params).toEqual({ x: [] });
  const [flag] = fieldsOf({ x: { type: "boolean" } }, ["x"]);
  expect(flag && collect([flag], initialDrafts([flag])).params).toEqual({ x: false });
});

test.each([
  [{ type: "integer" }, "12", 12],
  [{ type: "integer" }, "1e3", 1000],
  [{ type: "number" }, "-.5", -0.5],
  [{ type: "boolean" }, true, true],
  [{ enum: [1, "1"] }, '"1"', "1"],
  [{ type: "array", items: { type: "number" } }, ["1", "2.5"], [1, 2.5]],
  [{ type: "object" }, '{"a":[null]}', { a: [null] }],
])("%j reads %j as %j", (schema, draft, value) => {
  expect(one(schema, draft)).toEqual({ params: { x: value }, errors: {} });
});

test.each([
  [{ type: "integer" }, "1.5"],
  [{ type: "integer" }, "9007199254740993"],
  [{ type: "integer", minimum: 3 }, "2"],
  [{ type: "number", maximum: 1 }, "1.1"],
  [{ type: "number" }, "1,5"],
  [{ type: "number" }, "Infinity"],
  [{ type: "string", minLength: 2 }, "🦀"],
  [{ type: "string", maxLength: 2 }, "abc"],
  [{ type: "array", items: { type: "integer" } }, ["1", "x"]],
  [{ type: "array", items: { type: "string" }, maxItems: 1 }, ["a", "b"]],
  [{ type: "object" }, "{"],
])("%j refuses %j", (schema, draft) => {
  const { params, errors } = one(schema, draft);
  expect(params).toEqual({});
  expect(errors.x).toBeTruthy();
});

test("characters are counted as people and JSON Schema do", () => {
  expect(one({ type: "string", maxLength: 1 }, "🦀").errors).toEqual({});
});

test("names that objects have by birth are names like others", () => {
  expect(Object.keys(one({ type: "string" }, "y").params)).toEqual(["x"]);
  const fields = fieldsOf({ constructor: { type: "string", default: "c" } });
  expect(collect(fields, initialDrafts(fields)).params).toEqual({ constructor: "c" });
});
