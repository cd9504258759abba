/** What pages read, each under the key by which `cache.ts` finds it. */

import { infiniteQueryOptions, QueryClient, queryOptions } from "@tanstack/react-query";
import { parseExact } from "../lib/json";
import { api, fetchBytes } from "./client";
import { passing } from "./problem";
import type { Dag, Dataset, DatasetUse, Instance, Page, Request, Run, RunState } from "./types";

/** The most bytes of a JSON document that a page draws; larger ones are for saving. */
export const JSON_SHOWN = 2 << 20;

export function newCache(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // Events say what changed; this is for what no event tells of.
        staleTime: 60_000,
        retry: (failures, error) => failures < 4 && passing(error),
        retryDelay: (failures) => Math.min(250 * 2 ** failures, 4000),
      },
      mutations: { retry: false },
    },
  });
}

const paged = <T>(key: unknown[], read: (cursor?: string) => Promise<Page<T>>) =>
  infiniteQueryOptions({
    queryKey: key,
    queryFn: ({ pageParam }) => read(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last: Page<T>) => last.next_cursor ?? undefined,
  });

/** The items of all pages that were read. */
export const itemsOf = <T>(data: { pages: Page<T>[] } | undefined): T[] =>
  data?.pages.flatMap((page) => page.items) ?? [];

export const queries = {
  whoami: () =>
    queryOptions({ queryKey: ["whoami"], queryFn: ({ signal }) => api.whoami(signal), retry: false }),
  version: () =>
    queryOptions({ queryKey: ["version"], queryFn: api.version, staleTime: Number.POSITIVE_INFINITY }),
  dags: () => paged<Dag>(["dags"], (cursor) => api.dags(cursor)),
  dag: (dag: string) => queryOptions({ queryKey: ["dag", dag], queryFn: () => api.dag(dag) }),
  recentRuns: () => queryOptions({ queryKey: ["recent-runs"], queryFn: () => api.runs({}, undefined, 200) }),
  runs: (filter: { dag?: string; state?: RunState }) =>
    paged<Run>(["runs", filter], (cursor) => api.runs(filter, cursor)),
  run: (run: string) => queryOptions({ queryKey: ["run", run], queryFn: () => api.run(run) }),
  task: (at: Instance) =>
    queryOptions({ queryKey: ["task", at.run, at.task, at.index], queryFn: () => api.task(at) }),
  analyses: () => queryOptions({ queryKey: ["analyses"], queryFn: api.analyses }),
  analysisVersions: (name: string) =>
    queryOptions({ queryKey: ["analysis", name], queryFn: () => api.analysisVersions(name) }),
  analysis: (name: string, version: string) =>
    queryOptions({ queryKey: ["analysis", name, version], queryFn: () => api.analysis(name, version) }),
  datasets: () => paged<Dataset>(["datasets"], (cursor) => api.datasets(cursor)),
  dataset: (name: string) => queryOptions({ queryKey: ["dataset", name], queryFn: () => api.dataset(name) }),
  uses: (name: string, version?: number) =>
    paged<DatasetUse>(["uses", name, version ?? null], (cursor) => api.datasetUses(name, version, cursor)),
  requests: () => paged<Request>(["requests"], (cursor) => api.requests(cursor)),
  request: (id: string) => queryOptions({ queryKey: ["request", id], queryFn: () => api.request(id) }),
  pools: () => queryOptions({ queryKey: ["pools"], queryFn: api.pools }),
  pool: (name: string) => queryOptions({ queryKey: ["pool", name], queryFn: () => api.pool(name) }),
  executors: () => queryOptions({ queryKey: ["executors"], queryFn: api.executors }),
  /** A JSON document by its digest: it never changes. */
  document: (digest: string, url: string) =>
    queryOptions({
      queryKey: ["document", digest, url],
      queryFn: async ({ signal }) => {
        const text = await (await fetchBytes(url, signal)).text();
        return { text, value: parseExact(text) };
      },
      staleTime: Number.POSITIVE_INFINITY,
    }),
  /** A small text file by its digest. */
  text: (digest: string, url: string) =>
    queryOptions({
      queryKey: ["document", digest, url, "text"],
      queryFn: async ({ signal }) => (await fetchBytes(url, signal)).text(),
      staleTime: Number.POSITIVE_INFINITY,
    }),
};
