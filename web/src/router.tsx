/** Every page's address. What is filtered or selected is in the address too, so that links and "back" work. */

import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { signedOut } from "./api/problem";
import { queries } from "./api/queries";
import type { RunState } from "./api/types";
import { Shell } from "./components/Shell";
import { RUN_STATES } from "./lib/state";
import { Broken, Missing } from "./pages/Missing";
import { SignInPage } from "./pages/SignIn";

interface Context {
  cache: QueryClient;
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;
const oneOf = <T extends string>(value: unknown, all: readonly T[]): T | undefined =>
  all.find((each) => each === value);

const root = createRootRouteWithContext<Context>()({ notFoundComponent: Missing, errorComponent: Broken });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: SignInPage,
  validateSearch: (search): { next?: string } => ({ next: text(search.next) }),
});

const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  component: Shell,
  notFoundComponent: Missing,
  beforeLoad: async ({ context, location }) => {
    try {
      await context.cache.ensureQueryData(queries.whoami());
    } catch (error) {
      if (signedOut(error)) throw redirect({ to: "/sign-in", search: { next: location.href } });
      // A server that does not answer is no reason to show nothing: the shell says so and comes back.
    }
  },
});

const index = createRoute({
  getParentRoute: () => shell,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/dags" });
  },
});

const dags = createRoute({
  getParentRoute: () => shell,
  path: "/dags",
  component: lazyRouteComponent(() => import("./pages/Dags"), "DagsPage"),
  validateSearch: (search): { q?: string } => ({ q: text(search.q) }),
});

const dag = createRoute({
  getParentRoute: () => shell,
  path: "/dags/$dag",
  component: lazyRouteComponent(() => import("./pages/DagPage"), "DagPage"),
});

const runs = createRoute({
  getParentRoute: () => shell,
  path: "/runs",
  component: lazyRouteComponent(() => import("./pages/Runs"), "RunsPage"),
  validateSearch: (search): { dag?: string; state?: RunState } => ({
    dag: text(search.dag),
    state: oneOf(search.state, RUN_STATES),
  }),
});

const TABS = ["overview", "log", "result", "artifacts", "receipt"] as const;
export type Tab = (typeof TABS)[number];

const run = createRoute({
  getParentRoute: () => shell,
  path: "/runs/$run",
  component: lazyRouteComponent(() => import("./pages/RunPage"), "RunPage"),
  validateSearch: (
    search,
  ): { task?: string; index?: number; tab?: Tab; attempt?: number; view?: "table" | "graph" } => ({
    task: text(search.task),
    index: Number.isInteger(search.index) ? (search.index as number) : undefined,
    tab: oneOf(search.tab, TABS),
    attempt: Number.isInteger(search.attempt) ? (search.attempt as number) : undefined,
    view: oneOf(search.view, ["table", "graph"] as const),
  }),
});

const requests = createRoute({
  getParentRoute: () => shell,
  path: "/requests",
  component: lazyRouteComponent(() => import("./pages/Requests"), "RequestsPage"),
});

const requestNew = createRoute({
  getParentRoute: () => shell,
  path: "/requests/new",
  component: lazyRouteComponent(() => import("./pages/RequestNew"), "RequestNewPage"),
  validateSearch: (search): { analysis?: string } => ({ analysis: text(search.analysis) }),
});

const request = createRoute({
  getParentRoute: () => shell,
  path: "/requests/$request",
  component: lazyRouteComponent(() => import("./pages/RequestPage"), "RequestPage"),
});

const datasets = createRoute({
  getParentRoute: () => shell,
  path: "/datasets",
  component: lazyRouteComponent(() => import("./pages/Datasets"), "DatasetsPage"),
});

const dataset = createRoute({
  getParentRoute: () => shell,
  path: "/datasets/$dataset",
  component: lazyRouteComponent(() => import("./pages/DatasetPage"), "DatasetPage"),
  validateSearch: (search): { version?: number } => ({
    version: Number.isInteger(search.version) ? (search.version as number) : undefined,
  }),
});

const executors = createRoute({
  getParentRoute: () => shell,
  path: "/executors",
  component: lazyRouteComponent(() => import("./pages/Executors"), "ExecutorsPage"),
});

/** Any other address, inside the frame. */
const missing = createRoute({ getParentRoute: () => shell, path: "$", component: Missing });

const routeTree = root.addChildren([
  signIn,
  shell.addChildren([
    index,
    dags,
    dag,
    runs,
    run,
    requests,
    requestNew,
    request,
    datasets,
    dataset,
    executors,
    missing,
  ]),
]);

export function newRouter(cache: QueryClient) {
  return createRouter({
    routeTree,
    context: { cache },
    defaultPreload: "intent",
    scrollRestoration: false,
    defaultErrorComponent: Broken,
    defaultNotFoundComponent: Missing,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof newRouter>;
  }
}
