/** Every call that the pages make, through the client that is generated from the OpenAPI document. */

import createClient from "openapi-fetch";
import { problemOf } from "./problem";
import type { paths } from "./schema";
import type { Instance, RequestCreate, RunState } from "./types";

/** Where the API is. */
export const API = "/api/v1";

const http = createClient<paths>({ baseUrl: API, credentials: "same-origin" });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer, or its problem thrown. */
async function ok<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw problemOf(response.status, error);
  return data as T;
}

/** `index` of a task instance in a query; not given where the task is not mapped. */
const indexOf = (instance: Instance) => (instance.index < 0 ? {} : { index: instance.index });
const pathOf = (instance: Instance) => ({ run: instance.run, task: instance.task });

export const api = {
  signIn: (token: string) => ok(http.POST("/session", { body: { token } })),
  signOut: () => ok(http.DELETE("/session")),
  whoami: (signal?: AbortSignal) => ok(http.GET("/whoami", { signal })),
  version: () => ok(http.GET("/version")),

  dags: (cursor?: string) => ok(http.GET("/dags", { params: { query: { cursor, limit: 100 } } })),
  dag: (dag: string) => ok(http.GET("/dags/{dag}", { params: { path: { dag } } })),
  dagPause: (dag: string, paused: boolean) =>
    paused
      ? ok(http.POST("/dags/{dag}/pause", { params: { path: { dag } } }))
      : ok(http.POST("/dags/{dag}/unpause", { params: { path: { dag } } })),
  runStart: (dag: string, params: Record<string, unknown>, key: string) =>
    ok(
      http.POST("/dags/{dag}/runs", {
        params: { path: { dag } },
        headers: { "idempotency-key": key },
        body: { params } as never,
      }),
    ),

  runs: (filter: { dag?: string; state?: RunState }, cursor?: string, limit = 50) =>
    ok(http.GET("/runs", { params: { query: { ...filter, cursor, limit } } })),
  run: (run: string) => ok(http.GET("/runs/{run}", { params: { path: { run } } })),
  runCancel: (run: string) => ok(http.POST("/runs/{run}/cancel", { params: { path: { run } } })),
  task: (at: Instance) =>
    ok(http.GET("/runs/{run}/tasks/{task}", { params: { path: pathOf(at), query: indexOf(at) } })),

  analyses: () => ok(http.GET("/analyses", { params: { query: { limit: 200 } } })),
  analysisVersions: (name: string) =>
    ok(http.GET("/analyses/{name}", { params: { path: { name }, query: { limit: 100 } } })),
  analysis: (name: string, version: string) =>
    ok(http.GET("/analyses/{name}/{version}", { params: { path: { name, version } } })),

  datasets: (cursor?: string) => ok(http.GET("/datasets", { params: { query: { cursor, limit: 100 } } })),
  dataset: (name: string) => ok(http.GET("/datasets/{name}", { params: { path: { name } } })),
  datasetUses: (name: string, version?: number, cursor?: string) =>
    ok(http.GET("/datasets/{name}/uses", { params: { path: { name }, query: { version, cursor } } })),

  requests: (cursor?: string) => ok(http.GET("/requests", { params: { query: { cursor } } })),
  request: (id: string) => ok(http.GET("/requests/{id}", { params: { path: { id } } })),
  requestCreate: (body: RequestCreate, key: string) =>
    ok(http.POST("/requests", { headers: { "idempotency-key": key }, body: body as never })),
  requestCancel: (id: string) => ok(http.POST("/requests/{id}/cancel", { params: { path: { id } } })),

  pools: () => ok(http.GET("/pools", { params: { query: { limit: 200 } } })),
  pool: (name: string) => ok(http.GET("/pools/{name}", { params: { path: { name } } })),
  poolSet: (name: string, slots: number, description?: string) =>
    ok(http.PUT("/pools/{name}", { params: { path: { name } }, body: { slots, description } })),
  executors: () => ok(http.GET("/executors", { params: { query: { limit: 200 } } })),
};

const query = (entries: Record<string, string | number | undefined>): string => {
  const given = Object.entries(entries).filter(([, value]) => value !== undefined);
  return given.length === 0
    ? ""
    : `?${new URLSearchParams(given.map(([key, value]) => [key, String(value)]))}`;
};

const taskUrl = (at: Instance) =>
  `${API}/runs/${encodeURIComponent(at.run)}/tasks/${encodeURIComponent(at.task)}`;

/** Addresses of what is read as bytes, not through the typed client. */
export const urls = {
  result: (at: Instance) => `${taskUrl(at)}/result${query(indexOf(at))}`,
  artifact: (at: Instance, name: string, inline: boolean) =>
    `${taskUrl(at)}/artifacts/${encodeURIComponent(name)}${query({ ...indexOf(at), inline: inline ? 1 : undefined })}`,
  receipt: (at: Instance, fence: number) => `${taskUrl(at)}/attempts/${fence}/receipt${query(indexOf(at))}`,
  log: (
    at: Instance,
    attempt: number,
    stream: string,
    rest: { offset?: number; limit?: number; follow?: string },
  ) => `${taskUrl(at)}/logs${query({ ...indexOf(at), attempt, stream, ...rest })}`,
};

/** Reads bytes from one of `urls`. */
export async function fetchBytes(url: string, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(url, { signal, credentials: "same-origin" });
  if (response.ok) return response;
  const body = await response.json().catch(() => undefined);
  throw problemOf(response.status, body);
}

/** A key for one submission. Not `randomUUID`, which browsers keep from pages that are not served by TLS. */
export function newKey(): string {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `web-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
