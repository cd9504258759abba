/**
 * What an event changes in what the page has already read.
 *
 * State changes are written into the cache at once, so that they are seen at once; then what only the server
 * knows exactly (times, wait reasons, attempts) is read again, many events in one go. Nothing is polled.
 */

import type { InfiniteData, QueryClient, QueryKey } from "@tanstack/react-query";
import type { Dag, Event, Page, Request, Run, RunDetail, RunState, TaskDetail, TaskState } from "./types";

type Pages<T> = InfiniteData<Page<T>>;

/** Writes the event's state into the cache. */
export function patch(cache: QueryClient, event: Event): void {
  const data = event.data as Record<string, unknown>;
  const [family, verb = ""] = split(event.kind);
  const run = event.run ?? undefined;
  if (family === "task" && run) patchTask(cache, run, event, data);
  if (family === "run" && run && typeof data.state === "string") patchRun(cache, run, data.state as RunState);
  if (family === "dag" && (verb === "paused" || verb === "unpaused")) {
    patchDag(cache, String(data.dag), verb === "paused");
  }
}

function split(kind: string): [string, string] {
  const dot = kind.indexOf(".");
  return dot < 0 ? [kind, ""] : [kind.slice(0, dot), kind.slice(dot + 1)];
}

/** Task and index out of a subject such as `run_…/clean` or `run_…/page[3]`. */
export function instanceOf(subject: string): { task: string; index: number } | undefined {
  const match = /^[^/]+\/([^[]+)(?:\[(\d+)\])?$/.exec(subject);
  return match?.[1] ? { task: match[1], index: match[2] === undefined ? -1 : Number(match[2]) } : undefined;
}

function patchTask(cache: QueryClient, run: string, event: Event, data: Record<string, unknown>): void {
  const at = instanceOf(event.subject);
  const state = data.state as TaskState | undefined;
  if (!at || !state) return;
  const news = {
    state,
    ...(typeof data.cause === "string" ? { cause: data.cause } : {}),
    ...(typeof data.message === "string" ? { message: data.message } : {}),
    ...(typeof data.tries === "number" ? { tries: data.tries } : {}),
    ...(state === "running" ? { started_at: event.time } : {}),
    // Whatever it waited for, it waits no more once an executor has it or it has ended.
    ...(state === "ready" || state === "pending" || state === "retry_wait" ? {} : { wait: null }),
  };
  cache.setQueryData<RunDetail>(
    ["run", run],
    (old) =>
      old && {
        ...old,
        tasks: old.tasks.map((task) =>
          task.task === at.task && task.map_index === at.index ? { ...task, ...news } : task,
        ),
      },
  );
  cache.setQueryData<TaskDetail>(
    ["task", run, at.task, at.index],
    (old) => old && { ...old, task: { ...old.task, ...news } },
  );
}

function patchRun(cache: QueryClient, run: string, state: RunState): void {
  cache.setQueryData<RunDetail>(["run", run], (old) => old && { ...old, run: { ...old.run, state } });
  const inPages = <T>(prefix: string, same: (item: T) => boolean, change: (item: T) => T) =>
    cache.setQueriesData<Pages<T>>(
      { queryKey: [prefix] },
      (old) =>
        old?.pages && {
          ...old,
          pages: old.pages.map((page) => ({
            ...page,
            items: page.items.map((item) => (same(item) ? change(item) : item)),
          })),
        },
    );
  inPages<Run>(
    "runs",
    (item) => item.run === run,
    (item) => ({ ...item, state }),
  );
  inPages<Request>(
    "requests",
    (item) => item.run === run,
    (item) => ({ ...item, state }),
  );
  inPages<Dag>(
    "dags",
    (item) => item.last_run?.run === run,
    (item) => ({ ...item, last_run: item.last_run && { ...item.last_run, state } }),
  );
  cache.setQueryData<Page<Run>>(
    ["recent-runs"],
    (old) =>
      old && { ...old, items: old.items.map((item) => (item.run === run ? { ...item, state } : item)) },
  );
  cache.setQueriesData<Request>({ queryKey: ["request"] }, (old) =>
    old?.run === run ? { ...old, state } : old,
  );
}

function patchDag(cache: QueryClient, dag: string, paused: boolean): void {
  cache.setQueriesData<Pages<Dag>>(
    { queryKey: ["dags"] },
    (old) =>
      old?.pages && {
        ...old,
        pages: old.pages.map((page) => ({
          ...page,
          items: page.items.map((item) => (item.dag === dag ? { ...item, paused } : item)),
        })),
      },
  );
  cache.setQueryData<{ dag: Dag }>(["dag", dag], (old) => old && { ...old, dag: { ...old.dag, paused } });
}

/** What an event makes worth reading again, as beginnings of query keys. */
export function touched(event: Event): QueryKey[] {
  const data = event.data as Record<string, unknown>;
  const [family] = split(event.kind);
  const run = event.run ?? undefined;
  switch (family) {
    case "task":
      return [["run", run], ["task", run], ["executors"], ["pools"], ["pool"], ["uses"]];
    case "run":
      return [
        ["run", run],
        ["runs"],
        ["recent-runs"],
        ["dags"],
        ["dag", String(data.dag)],
        ["requests"],
        ["request"],
        ["uses"],
      ];
    case "dag":
      return [["dags"], ["dag", String(data.dag)], ["waits"]];
    case "dataset":
      return [["datasets"], ["dataset", String(data.dataset)]];
    case "analysis":
      return [["analyses"], ["analysis"]];
    case "pool":
      return [["pools"], ["pool", String(data.pool)], ["waits"]];
    case "executor":
      return [["executors"], ["waits"]];
    default:
      return [];
  }
}

/** Whether a run or task that was read has something in it that waits, so that others' news concern it. */
function waits(data: unknown): boolean {
  const known = data as
    | { tasks?: { wait?: unknown }[]; wait?: unknown; task?: { wait?: unknown } }
    | undefined;
  return Boolean(known?.wait || known?.task?.wait || known?.tasks?.some((task) => task.wait));
}

/** Collects what is to be read again and does it in one go. */
export class Refresher {
  private keys = new Map<string, QueryKey>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly cache: QueryClient,
    private readonly delayMs = 200,
  ) {}

  /** An event came. */
  event(event: Event): void {
    patch(this.cache, event);
    for (const key of touched(event)) this.keys.set(JSON.stringify(key), key);
    // A task that left its slot, or took one, changes why others wait.
    if (event.kind.startsWith("task.") || event.kind.startsWith("run.")) this.keys.set("waits", ["waits"]);
    if (this.keys.size > 0) this.timer ??= setTimeout(() => this.flush(), this.delayMs);
  }

  /** Everything is to be read again. */
  reset(): void {
    this.drop();
    // Documents are named by their digest and never change.
    void this.cache.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "document" });
  }

  drop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.keys.clear();
  }

  private flush(): void {
    const keys = [...this.keys.values()];
    this.drop();
    for (const queryKey of keys) {
      if (queryKey[0] === "waits") this.flushWaits();
      else void this.cache.invalidateQueries({ queryKey });
    }
  }

  private flushWaits(): void {
    void this.cache.invalidateQueries({
      predicate: (query) => ["run", "task"].includes(String(query.queryKey[0])) && waits(query.state.data),
    });
  }
}
