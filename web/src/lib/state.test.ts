import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { TaskState } from "../api/types";
import { ALL_STATES, blocker, RUN_STATES, stateLook } from "./state";

/** The names of an enum in the OpenAPI document, out of the types that are generated from it. */
function names(type: string): string[] {
  const text = readFileSync("src/api/schema.d.ts", "utf8");
  const line = new RegExp(`\\n\\s+${type}:((?:\\s*\\|?\\s*"[a-z_]+")+);`).exec(text)?.[1] ?? "";
  return [...line.matchAll(/"([a-z_]+)"/g)].map(([, name]) => name ?? "");
}

test("every state of the API has a look, and no other", () => {
  const all = new Set([...names("TaskState"), ...names("RunState")]);
  expect(all.size).toBeGreaterThan(10);
  expect(new Set(ALL_STATES)).toEqual(all);
  expect(new Set(RUN_STATES)).toEqual(new Set(names("RunState")));
});

test("no two states look alike: colour is never the only signal", () => {
  const shapes = ALL_STATES.map((state) => stateLook(state).glyph);
  expect(new Set(shapes).size).toBe(shapes.length);
  const labels = ALL_STATES.map((state) => stateLook(state).label);
  expect(new Set(labels).size).toBe(labels.length);
});

test("a state that a newer server knows is shown by its name", () => {
  expect(stateLook("brand_new" as TaskState)).toMatchObject({ label: "brand_new", ended: false });
});

test("what stands in the way", () => {
  expect(blocker("pool_slots", "pool/heavy")).toEqual({ kind: "pool", name: "heavy" });
  expect(blocker("dag_paused", "dag/mine")).toEqual({ kind: "dag", name: "mine" });
  expect(blocker("upstream", "clean")).toEqual({ kind: "task", name: "clean" });
  expect(blocker("previous_run", "run_12")).toEqual({ kind: "run", name: "run_12" });
  expect(blocker("executors_full", "exe_12")).toEqual({ kind: "executor", name: "exe_12" });
  expect(blocker("key_limit", "a/b")).toEqual({ kind: "other", name: "a/b" });
});
