import { QueryClient } from "@tanstack/react-query";
import { afterEach, expect, test, vi } from "vitest";
import { instanceOf, patch, Refresher, touched } from "./cache";
import type { Event, Page, Run, RunDetail } from "./types";

const RUN = "run_1";

const event = (kind: string, subject: string, data: object): Event => ({
  seq: 1,
  kind,
  subject,
  run: subject.startsWith("run_") ? RUN : undefined,
  time: "2026-01-01T00:00:00Z",
  data,
});

const run = (state: Run["state"]): Run => ({
  run: RUN,
  dag: "mine",
  dag_version: "sha256:0",
  state,
  principal: "me",
  created_at: "2026-01-01T00:00:00Z",
});

const task = (name: string, index = -1) => ({
  task: name,
  map_index: index,
  state: "ready",
  wait: { reason: "pool_slots" },
});

function filled(): QueryClient {
  const cache = new QueryClient();
  cache.setQueryData(["run", RUN], { run: run("running"), tasks: [task("a"), task("b"), task("b", 3)] });
  cache.setQueryData(["runs", { dag: "mine" }], { pages: [{ items: [run("running")] }], pageParams: [] });
  cache.setQueryData(["recent-runs"], { items: [run("running")] });
  cache.setQueryData(["dags"], {
    pages: [{ items: [{ dag: "mine", paused: false, last_run: run("running") }] }],
    pageParams: [],
  });
  cache.setQueryData(["request", "req_1"], { run: RUN, state: "running" });
  return cache;
}

afterEach(() => vi.useRealTimers());

test("subjects name instances", () => {
  expect(instanceOf("run_1/clean")).toEqual({ task: "clean", index: -1 });
  expect(instanceOf("run_1/page[12]")).toEqual({ task: "page", index: 12 });
  expect(instanceOf("run_1")).toBeUndefined();
});

test("a task's event changes that task alone, and it waits no more", () => {
  const cache = filled();
  patch(cache, event("task.running", "run_1/b[3]", { task: "b", state: "running", tries: 1 }));
  const { tasks } = cache.getQueryData(["run", RUN]) as RunDetail;
  expect(tasks.map(({ state }) => state)).toEqual(["ready", "ready", "running"]);
  expect(tasks[2]).toMatchObject({ wait: null, tries: 1, started_at: "2026-01-01T00:00:00Z" });
  expect(tasks[0]?.wait).toBeTruthy();
});

test("a failed task says why at once", () => {
  const cache = filled();
  patch(cache, event("task.failed", "run_1/a", { state: "failed", cause: "memory", message: "too much" }));
  const { tasks } = cache.getQueryData(["run", RUN]) as RunDetail;
  expect(tasks[0]).toMatchObject({ state: "failed", cause: "memory", message: "too much" });
});

test("a run's event changes it wherever it is shown", () => {
  const cache = filled();
  patch(cache, event("run.succeeded", "run_1", { dag: "mine", state: "succeeded" }));
  expect((cache.getQueryData(["run", RUN]) as RunDetail).run.state).toBe("succeeded");
  expect(
    cache.getQueryData<{ pages: Page<Run>[] }>(["runs", { dag: "mine" }])?.pages[0]?.items[0]?.state,
  ).toBe("succeeded");
  expect(cache.getQueryData<Page<Run>>(["recent-runs"])?.items[0]?.state).toBe("succeeded");
  expect(cache.getQueryData<{ state: string }>(["request", "req_1"])?.state).toBe("succeeded");
  const dags = cache.getQueryData<{ pages: Page<{ last_run: Run }>[] }>(["dags"]);
  expect(dags?.pages[0]?.items[0]?.last_run.state).toBe("succeeded");
});

test("pausing shows at once", () => {
  const cache = filled();
  patch(cache, event("dag.paused", "dag/mine", { dag: "mine" }));
  expect(
    cache.getQueryData<{ pages: Page<{ paused: boolean }>[] }>(["dags"])?.pages[0]?.items[0]?.paused,
  ).toBe(true);
});

test("events of what was never read change nothing", () => {
  const cache = new QueryClient();
  for (const kind of ["task.running", "run.failed", "dag.paused", "nonsense", "task"]) {
    patch(cache, event(kind, "run_1/a", { state: "running" }));
  }
  expect(cache.getQueryCache().getAll()).toEqual([]);
});

test("each kind of event makes what it concerns old", () => {
  expect(touched(event("dataset.put", "dataset/d", { dataset: "d" }))).toEqual([
    ["datasets"],
    ["dataset", "d"],
  ]);
  expect(touched(event("pool.set", "pool/p", { pool: "p" }))).toContainEqual(["waits"]);
  expect(touched(event("token.created", "token/t", {}))).toEqual([]);
});

test("a burst of events reads each thing again once, and others' news reach what waits", async () => {
  vi.useFakeTimers();
  const cache = filled();
  cache.setQueryData(["run", "run_2"], { run: run("running"), tasks: [task("z")] });
  cache.setQueryData(["run", "run_3"], { run: run("running"), tasks: [{ ...task("z"), wait: null }] });
  const refresher = new Refresher(cache, 200);
  const invalidate = vi.spyOn(cache, "invalidateQueries");
  for (let burst = 0; burst < 50; burst += 1) {
    refresher.event(event("task.running", "run_1/a", { state: "running" }));
  }
  expect(invalidate).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(200);
  expect(invalidate.mock.calls.length).toBeLessThan(10);
  const old = (key: string[]) => cache.getQueryState(key)?.isInvalidated;
  expect([old(["run", RUN]), old(["run", "run_2"]), old(["run", "run_3"])]).toEqual([true, true, false]);
});

test("a reset makes everything old but what is named by its digest", () => {
  const cache = filled();
  cache.setQueryData(["document", "sha256:0"], {});
  new Refresher(cache).reset();
  expect(cache.getQueryState(["run", RUN])?.isInvalidated).toBe(true);
  expect(cache.getQueryState(["document", "sha256:0"])?.isInvalidated).toBe(false);
});
