/** Which task of a run one most likely wants to see. */

import type { RunTask, TaskState } from "../api/types";

const FAILED: TaskState[] = ["failed", "timed_out", "crashed"];

/** What broke first; else what runs; else what waits for anything but others; else the last that ended well. */
export function chooseTask(tasks: RunTask[]): RunTask | undefined {
  return (
    tasks.find(({ state }) => FAILED.includes(state)) ??
    tasks.find(({ state }) => state === "running") ??
    tasks.find(({ state }) => state === "leased" || state === "retry_wait") ??
    tasks.find(({ state, wait }) => state === "ready" || (wait && wait.reason !== "upstream")) ??
    tasks.findLast(({ state }) => state === "succeeded") ??
    tasks[0]
  );
}
