/** One DAG: its tasks as a graph, its last runs, its YAML. */

import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { queries } from "../api/queries";
import {
  Ago,
  Card,
  Code,
  Copy,
  Digest,
  Empty,
  Loading,
  PageHead,
  PageProblem,
  TableWrap,
} from "../components/common";
import { PauseSwitch, TriggerButton } from "../components/DagControls";
import { RunsTable } from "../components/RunsTable";

const Graph = lazy(() => import("../components/Graph"));
const route = getRouteApi("/shell/dags/$dag");

export function DagPage() {
  const { dag: name } = route.useParams();
  const query = useQuery(queries.dag(name));
  if (query.isError) return <PageProblem error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading rows={8} />;
  const { dag, tasks, edges, recent_runs, source } = query.data;
  return (
    <div>
      <PageHead
        above={
          <Link to="/dags" className="link">
            DAGs
          </Link>
        }
        title={dag.dag}
        sub={dag.description}
        end={
          <>
            <PauseSwitch dag={dag} />
            <TriggerButton dag={dag} />
          </>
        }
      />
      <div className="stack">
        <Card title="Tasks" label="Tasks">
          <Suspense fallback={<Loading rows={3} />}>
            <Graph
              nodes={tasks.map((task) => ({ id: task.task, title: task.task, note: task.analysis }))}
              edges={edges}
              label="Graph of tasks"
            />
          </Suspense>
          <TableWrap label="Tasks as a table">
            <table className="list">
              <thead>
                <tr>
                  <th scope="col">Task</th>
                  <th scope="col">Analysis</th>
                  <th scope="col">Inputs</th>
                  <th scope="col" className="wide">
                    Pools
                  </th>
                  <th scope="col" className="num wide">
                    Tries
                  </th>
                  <th scope="col" className="num wide">
                    Priority
                  </th>
                </tr>
              </thead>
              <tbody>
                {tasks.map((task) => (
                  <tr key={task.task}>
                    <td className="hostile">
                      <strong>{task.task}</strong>
                    </td>
                    <td className="mono hostile">{task.analysis}</td>
                    <td className="mono hostile">
                      {Object.entries(task.inputs).map(([input, from]) => (
                        <div key={input}>
                          {input} ← {from}
                        </div>
                      ))}
                    </td>
                    <td className="wide hostile">
                      {task.pools.map((pool) => `${pool.pool} (${pool.slots})`).join(", ") || "–"}
                    </td>
                    <td className="num wide">{task.max_attempts}</td>
                    <td className="num wide">{task.priority}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableWrap>
        </Card>
        <Card
          title="Last runs"
          label="Last runs"
          end={
            <Link to="/runs" search={{ dag: dag.dag }} className="link">
              All runs
            </Link>
          }
        >
          {recent_runs.length === 0 ? (
            <Empty title="No runs yet">
              <p>Trigger one above; this page shows it live.</p>
            </Empty>
          ) : (
            <RunsTable runs={recent_runs} dag={false} />
          )}
        </Card>
        <Card
          title={`Version ${dag.number}`}
          label="Version"
          end={<Copy text={source} label="Copy the YAML" />}
        >
          <div className="pad stack">
            <dl className="facts">
              <div>
                <dt>Canonical hash</dt>
                <dd>
                  <Digest digest={dag.version} />
                </dd>
              </div>
              <div>
                <dt>Applied first by</dt>
                <dd className="hostile">{dag.owner}</dd>
              </div>
              <div>
                <dt>Changed</dt>
                <dd>
                  <Ago time={dag.updated_at} />
                </dd>
              </div>
            </dl>
            <Code label="The YAML as it was applied">{source}</Code>
          </div>
        </Card>
      </div>
    </div>
  );
}
