/** Every DAG: what it is, how its last runs went, whether it is paused, and a button to run it. */

import { TextInput } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { itemsOf, queries } from "../api/queries";
import type { Dag, Run } from "../api/types";
import { Card, Command, Empty, Loading, leading, More, PageHead, ProblemNote } from "../components/common";
import { PauseSwitch, TriggerButton } from "../components/DagControls";
import { RunMarks } from "../components/Links";

const route = getRouteApi("/shell/dags");
/** How many marks of runs a row has. */
const MARKS = 10;

export function DagsPage() {
  const { q } = route.useSearch();
  const navigate = useNavigate();
  const query = useInfiniteQuery(queries.dags());
  const recent = useQuery(queries.recentRuns());
  const all = itemsOf(query.data);
  const wanted = (q ?? "").toLowerCase();
  const shown = all.filter(({ dag, description }) =>
    `${dag} ${description ?? ""}`.toLowerCase().includes(wanted),
  );
  return (
    <>
      <PageHead
        title="DAGs"
        sub="Workflows of analyses. Each run takes the newest version and is pinned to exact code and data."
        end={
          all.length > 0 && (
            <TextInput
              aria-label="Search DAGs"
              placeholder="Search"
              type="search"
              leftSection={leading("search")}
              value={q ?? ""}
              onChange={(event) => {
                const next = event.currentTarget.value;
                void navigate({ to: "/dags", search: { q: next || undefined }, replace: true });
              }}
            />
          )
        }
      />
      {query.isError && <ProblemNote error={query.error} retry={() => void query.refetch()} />}
      {query.data && (
        <Card label="DAGs">
          {all.length === 0 && <NoDags />}
          {all.length > 0 && shown.length === 0 && (
            <Empty title="Nothing matches">
              <p>No DAG has “{q}” in its name or description.</p>
            </Empty>
          )}
          {shown.map((dag) => (
            <DagRow key={dag.dag} dag={dag} runs={runsOf(dag, recent.data?.items ?? [])} />
          ))}
          <More query={query} />
        </Card>
      )}
      {query.isPending && (
        <Card>
          <Loading />
        </Card>
      )}
    </>
  );
}

/** A DAG's last runs: out of the newest of all, and its very last one where that is older. */
function runsOf(dag: Dag, recent: Run[]): Run[] {
  const own = recent.filter((run) => run.dag === dag.dag && !run.request).slice(0, MARKS);
  return own.length === 0 && dag.last_run ? [dag.last_run] : own;
}

function DagRow({ dag, runs }: { dag: Dag; runs: Run[] }) {
  return (
    <article className="dag-row" aria-label={dag.dag}>
      <div className="what" style={{ minWidth: 0 }}>
        <Link to="/dags/$dag" params={{ dag: dag.dag }} className="link strong name hostile">
          {dag.dag}
        </Link>
        <p className="hostile">{dag.description || "No description"}</p>
      </div>
      <div className="runs">
        <RunMarks runs={runs} />
      </div>
      <PauseSwitch dag={dag} />
      <TriggerButton dag={dag} />
    </article>
  );
}

function NoDags() {
  return (
    <Empty title="No DAGs yet">
      <p>
        A DAG is a YAML file that says which analyses run on which data, in which order. Apply one to see it
        here:
      </p>
      <Command>belljar dag apply dag-specs/examples/social-insights.yaml</Command>
      <p>
        <code>belljar dag validate FILE</code> checks a file without a server and shows every problem at once.
      </p>
    </Empty>
  );
}
