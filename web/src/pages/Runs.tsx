/** Every run, newest first, filtered by DAG and state. */

import { Button, Select } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { itemsOf, queries } from "../api/queries";
import type { RunState } from "../api/types";
import { Card, Command, Empty, Loading, More, PageHead, ProblemNote } from "../components/common";
import { RunsTable } from "../components/RunsTable";
import { RUN_STATES, stateLook } from "../lib/state";

const route = getRouteApi("/shell/runs");

export function RunsPage() {
  const filter = route.useSearch();
  const navigate = useNavigate();
  const query = useInfiniteQuery(queries.runs(filter));
  const dags = itemsOf(useInfiniteQuery(queries.dags()).data).map(({ dag }) => dag);
  const names = filter.dag && !dags.includes(filter.dag) ? [...dags, filter.dag] : dags;
  const runs = itemsOf(query.data);
  const filtered = Boolean(filter.dag || filter.state);
  const choose = (next: { dag?: string; state?: RunState }) =>
    void navigate({ to: "/runs", search: next, replace: true });
  return (
    <>
      <PageHead
        title="Runs"
        sub="Every execution of a DAG or a request, newest first."
        end={
          <>
            <Select
              aria-label="Only runs of this DAG"
              placeholder="Every DAG"
              data={names}
              value={filter.dag ?? null}
              onChange={(dag) => choose({ ...filter, dag: dag ?? undefined })}
              searchable
              clearable
              miw={140}
            />
            <Select
              aria-label="Only runs in this state"
              placeholder="Every state"
              data={RUN_STATES.map((state) => ({ value: state, label: stateLook(state).label }))}
              value={filter.state ?? null}
              onChange={(state) => choose({ ...filter, state: (state as RunState | null) ?? undefined })}
              clearable
              miw={140}
            />
          </>
        }
      />
      {query.isError && <ProblemNote error={query.error} retry={() => void query.refetch()} />}
      <Card label="Runs">
        {query.isPending && <Loading />}
        {query.data && runs.length > 0 && <RunsTable runs={runs} />}
        {query.data && runs.length === 0 && filtered && (
          <Empty title="No run matches">
            <Button variant="default" component={Link} to="/runs">
              Show every run
            </Button>
          </Empty>
        )}
        {query.data && runs.length === 0 && !filtered && (
          <Empty title="No runs yet">
            <p>Trigger a DAG on its page, or start one from the command line:</p>
            <Command>belljar dag run social-insights</Command>
          </Empty>
        )}
        <More query={query} />
      </Card>
    </>
  );
}
