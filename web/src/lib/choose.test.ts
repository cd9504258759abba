import { expect, test } from "vitest";
import type { RunTask, TaskState, WaitReason } from "../api/types";
import { chooseTask } from "./choose";

const task = (name: string, state: TaskState, reason?: WaitReason) =>
  ({ task: name, state, wait: reason ? { reason } : null }) as RunTask;

test("what one most likely wants to see", () => {
  const choose = (...tasks: RunTask[]) => chooseTask(tasks)?.task;
  expect(choose(task("a", "succeeded"), task("b", "failed"), task("c", "running"))).toBe("b");
  expect(choose(task("a", "succeeded"), task("b", "running"), task("c", "pending", "upstream"))).toBe("b");
  expect(choose(task("a", "succeeded"), task("b", "ready", "pool_slots"))).toBe("b");
  expect(choose(task("a", "succeeded"), task("b", "succeeded"))).toBe("b");
  expect(choose(task("a", "pending", "upstream"))).toBe("a");
  expect(choose()).toBeUndefined();
});
