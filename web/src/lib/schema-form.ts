/**
 * From a JSON Schema (draft 2020-12) of an object to fields of a form, and from what was typed back to JSON.
 *
 * Handles what a form can show well: strings, numbers, integers, booleans, enums and lists of simple values.
 * A property of any other kind becomes a JSON editor, and so does the whole where it is not a plain object.
 * The server validates; this only keeps people from obvious mistakes.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Schema = { [key: string]: unknown };
export type Simple = "string" | "integer" | "number";

export type FieldKind =
  | { kind: "string"; minLength?: number; maxLength?: number; pattern?: string; format?: string }
  | { kind: "number" | "integer"; minimum?: number; maximum?: number }
  | { kind: "boolean" }
  | { kind: "enum"; options: Json[] }
  | { kind: "array"; item: Simple; minItems?: number; maxItems?: number }
  | { kind: "json" };

export interface Field {
  name: string;
  label: string;
  description?: string;
  required: boolean;
  /** Undefined where the schema gives none. */
  initial?: Json;
  type: FieldKind;
}

export type Form = { kind: "fields"; fields: Field[] } | { kind: "json" } | { kind: "empty" };

/** What a field holds while it is edited; undefined is "not given". */
export type Draft = string | boolean | string[] | undefined;
export type Drafts = Record<string, Draft>;

const COMPOSED = [
  "$ref",
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
  "patternProperties",
  "dependentSchemas",
  "$dynamicRef",
];

const isObject = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const num = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

/** The form that a schema asks for. */
export function formOf(schema: unknown): Form {
  if (schema === undefined || schema === null) return { kind: "empty" };
  if (!isObject(schema)) return { kind: "json" };
  if (COMPOSED.some((word) => word in schema)) return { kind: "json" };
  if (schema.type !== undefined && schema.type !== "object") return { kind: "json" };
  const properties = isObject(schema.properties) ? schema.properties : {};
  const names = Object.keys(properties);
  if (names.length === 0) return open(schema) ? { kind: "json" } : { kind: "empty" };
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fields = names.map((name) => field(name, properties[name], required.includes(name)));
  // What must be given comes first; else as the schema has it.
  return { kind: "fields", fields: fields.sort((a, b) => Number(b.required) - Number(a.required)) };
}

/** Whether an object without named properties says that it takes others. */
function open(schema: Schema): boolean {
  return isObject(schema.additionalProperties) || schema.additionalProperties === true;
}

function field(name: string, raw: unknown, required: boolean): Field {
  const schema = isObject(raw) ? raw : {};
  return {
    name,
    label: text(schema.title) ?? name,
    description: text(schema.description),
    required,
    initial: schema.default as Json | undefined,
    type: kindOf(schema),
  };
}

function kindOf(schema: Schema): FieldKind {
  if (COMPOSED.some((word) => word in schema)) return { kind: "json" };
  if (Array.isArray(schema.enum) && schema.enum.length > 0)
    return { kind: "enum", options: schema.enum as Json[] };
  switch (schema.type) {
    case "string":
      return {
        kind: "string",
        minLength: num(schema.minLength),
        maxLength: num(schema.maxLength),
        pattern: text(schema.pattern),
        format: text(schema.format),
      };
    case "integer":
    case "number":
      return { kind: schema.type, minimum: num(schema.minimum), maximum: num(schema.maximum) };
    case "boolean":
      return { kind: "boolean" };
    case "array":
      return listOf(schema);
    default:
      return { kind: "json" };
  }
}

function listOf(schema: Schema): FieldKind {
  const items = isObject(schema.items) ? schema.items : {};
  const simple = items.type === "string" || items.type === "integer" || items.type === "number";
  if (!simple || "prefixItems" in schema || COMPOSED.some((word) => word in items) || "enum" in items) {
    return { kind: "json" };
  }
  return {
    kind: "array",
    item: items.type as Simple,
    minItems: num(schema.minItems),
    maxItems: num(schema.maxItems),
  };
}

/** What the fields hold at first: the defaults. */
export function initialDrafts(fields: Field[]): Drafts {
  return Object.fromEntries(fields.map((field) => [field.name, draftOf(field)]));
}

function draftOf({ initial, type, required }: Field): Draft {
  if (initial === undefined) {
    if (type.kind === "boolean" && required) return false;
    if (type.kind === "array") return [];
    return undefined;
  }
  if (type.kind === "json") return JSON.stringify(initial, null, 2);
  if (type.kind === "enum") return JSON.stringify(initial);
  if (type.kind === "boolean") return initial === true;
  if (type.kind === "array") return Array.isArray(initial) ? initial.map(String) : [];
  return initial === null ? undefined : String(initial);
}

export interface Collected {
  params: { [key: string]: Json };
  /** By field, one sentence on what is wrong. */
  errors: Record<string, string>;
}

/** The JSON of what was typed, or what is wrong with it. Fields that are not given are left out. */
export function collect(fields: Field[], drafts: Drafts): Collected {
  const collected: Collected = { params: {}, errors: {} };
  for (const field of fields) {
    const outcome = read(field, drafts[field.name]);
    if ("error" in outcome) collected.errors[field.name] = outcome.error;
    else if (outcome.value !== undefined) collected.params[field.name] = outcome.value;
  }
  return collected;
}

type Outcome = { value: Json | undefined } | { error: string };

function read({ type, required }: Field, draft: Draft): Outcome {
  const missing =
    draft === undefined || draft === "" || (Array.isArray(draft) && draft.length === 0 && !required);
  if (missing) return required ? { error: "This is required" } : { value: undefined };
  switch (type.kind) {
    case "boolean":
      return { value: draft === true };
    case "enum":
      return parse(String(draft));
    case "json":
      return parse(String(draft));
    case "array":
      return readList(type, draft as string[]);
    case "string":
      return readString(type, String(draft));
    default:
      return readNumber(type.kind, String(draft), type.minimum, type.maximum);
  }
}

/** JSON that was typed. */
export function parse(text: string): { value: Json } | { error: string } {
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    return { error: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function readString(type: Extract<FieldKind, { kind: "string" }>, value: string): Outcome {
  // JSON Schema counts characters, not UTF-16 units.
  const length = [...value].length;
  if (type.minLength !== undefined && length < type.minLength) {
    return { error: `At least ${type.minLength} characters` };
  }
  if (type.maxLength !== undefined && length > type.maxLength) {
    return { error: `At most ${type.maxLength} characters` };
  }
  return { value };
}

function readNumber(kind: "integer" | "number", value: string, minimum?: number, maximum?: number): Outcome {
  const trimmed = value.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return { error: "This is not a number" };
  const number = Number(trimmed);
  if (kind === "integer" && !Number.isInteger(number)) return { error: "This is not a whole number" };
  if (kind === "integer" && !Number.isSafeInteger(number)) {
    return { error: "A page can send whole numbers of at most 15 digits; use the command line" };
  }
  if (minimum !== undefined && number < minimum) return { error: `At least ${minimum}` };
  if (maximum !== undefined && number > maximum) return { error: `At most ${maximum}` };
  return { value: number };
}

function readList(type: Extract<FieldKind, { kind: "array" }>, values: string[]): Outcome {
  if (type.minItems !== undefined && values.length < type.minItems)
    return { error: `At least ${type.minItems}` };
  if (type.maxItems !== undefined && values.length > type.maxItems)
    return { error: `At most ${type.maxItems}` };
  const list: Json[] = [];
  for (const value of values) {
    const outcome = type.item === "string" ? { value } : readNumber(type.item, value);
    if ("error" in outcome) return { error: `“${value}”: ${outcome.error.toLowerCase()}` };
    list.push(outcome.value as Json);
  }
  return { value: list };
}
