/** What each state is called, how it looks and what it means: the one place that maps them. */

import type { RunState, TaskState, WaitReason } from "../api/types";

/** Any state that is shown. */
export type State = RunState | TaskState;

/** The colour family of a state; never the only signal. */
export type Tone = "good" | "bad" | "busy" | "warn" | "calm";

/** The drawing of a state: each silhouette stands for one kind of standing. */
export type Glyph =
  | "check"
  | "cross"
  | "clock-out"
  | "bolt"
  | "up"
  | "slash"
  | "slash-open"
  | "skip"
  | "minus"
  | "spin"
  | "half"
  | "dot"
  | "dashed"
  | "clock"
  | "pause"
  | "retry";

export interface Look {
  label: string;
  tone: Tone;
  glyph: Glyph;
  /** One sentence for the tooltip. */
  meaning: string;
  /** Whether nothing more will happen. */
  ended: boolean;
}

const look = (label: string, tone: Tone, glyph: Glyph, ended: boolean, meaning: string): Look => ({
  label,
  tone,
  glyph,
  meaning,
  ended,
});

const LOOKS: Record<State, Look> = {
  queued: look("Queued", "calm", "clock", false, "The run has been made and may not start yet."),
  pending: look("Pending", "calm", "dashed", false, "Something upstream has not ended yet."),
  ready: look("Ready", "calm", "dot", false, "It may run as soon as there is room for it."),
  leased: look("Starting", "busy", "half", false, "An executor has it and prepares the container."),
  running: look("Running", "busy", "spin", false, "It is running."),
  waiting: look("Waiting", "calm", "pause", false, "It waits for a timer, an event or a person."),
  retry_wait: look("Retry soon", "warn", "retry", false, "The last try failed; the next one is due soon."),
  cancelling: look("Cancelling", "warn", "slash-open", false, "It is being stopped."),
  succeeded: look("Succeeded", "good", "check", true, "It ended well."),
  failed: look("Failed", "bad", "cross", true, "It ended without success."),
  timed_out: look("Timed out", "bad", "clock-out", true, "It took longer than it was allowed to."),
  crashed: look("Crashed", "bad", "bolt", true, "The infrastructure lost it too often."),
  skipped: look("Skipped", "calm", "skip", true, "It did not have to run."),
  upstream_failed: look(
    "Upstream failed",
    "bad",
    "up",
    true,
    "Something that it depends on did not succeed.",
  ),
  cancelled: look("Cancelled", "calm", "slash", true, "Somebody cancelled it."),
  removed: look("Removed", "calm", "minus", true, "It is no longer part of the run."),
};

/** How a state is shown. One that a newer server added is shown by its name, so nothing breaks. */
export function stateLook(state: State): Look {
  return LOOKS[state] ?? look(String(state), "calm", "dot", false, "A state that this page does not know.");
}

/** Every run state, in the order of a run's life. */
export const RUN_STATES: RunState[] = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"];

/** Every task state that has a look. */
export const ALL_STATES = Object.keys(LOOKS) as State[];

/** What stands in the way, so that it can be linked. */
export interface Blocker {
  kind: "task" | "pool" | "dag" | "executor" | "run" | "dataset" | "other";
  name: string;
}

const KINDS = ["pool", "dag", "executor", "dataset", "run"] as const;

/** Reads an entry of `blocked_by`: `pool/heavy`, `dag/name`, or the bare name of a task where something upstream is meant. */
export function blocker(reason: WaitReason, entry: string): Blocker {
  const slash = entry.indexOf("/");
  const kind = KINDS.find((each) => each === entry.slice(0, Math.max(0, slash)));
  if (kind) return { kind, name: entry.slice(slash + 1) };
  if (reason === "upstream") return { kind: "task", name: entry };
  if (entry.startsWith("run_")) return { kind: "run", name: entry.split("/")[0] ?? entry };
  if (entry.startsWith("exe_")) return { kind: "executor", name: entry };
  return { kind: "other", name: entry };
}

/** A cause in words: `exit_code` → `exit code`. */
export function causeText(cause: string): string {
  return cause.replaceAll("_", " ");
}
