/** A run, live: its tasks as a graph and as a table, why anything waits, and one task in depth. */

import { Button, Modal, SegmentedControl } from "@mantine/core";
import { useDisclosure, useMediaQuery } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useRef } from "react";
import { api } from "../api/client";
import { queries } from "../api/queries";
import type { Run, RunDetail, RunTask } from "../api/types";
import {
  Ago,
  Card,
  Copy,
  Loading,
  PageHead,
  PageProblem,
  ProblemNote,
  TableWrap,
  Took,
} from "../components/common";
import { brief } from "../components/JsonView";
import { DagLink, RequestLink, WaitNote } from "../components/Links";
import { StateBadge } from "../components/StateIcon";
import { TaskPanel } from "../components/TaskPanel";
import { chooseTask } from "../lib/choose";
import { shortId } from "../lib/duration";
import { causeText, stateLook } from "../lib/state";

const Graph = lazy(() => import("../components/Graph"));
const route = getRouteApi("/shell/runs/$run");

const nameOf = (task: RunTask) => (task.map_index < 0 ? task.task : `${task.task}[${task.map_index}]`);

export function RunPage() {
  const { run: id } = route.useParams();
  const query = useQuery(queries.run(id));
  if (query.isError && !query.data)
    return <PageProblem error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading rows={8} />;
  return <RunView detail={query.data} />;
}

function RunView({ detail }: { detail: RunDetail }) {
  const { run, tasks } = detail;
  const search = route.useSearch();
  const navigate = useNavigate();
  const panel = useRef<HTMLDivElement>(null);
  const chosen =
    tasks.find(({ task, map_index }) => task === search.task && map_index === (search.index ?? -1)) ??
    chooseTask(tasks);
  const go = (next: Partial<typeof search>, replace = false) =>
    void navigate({
      to: "/runs/$run",
      params: { run: run.run },
      search: { ...search, ...next },
      replace,
      resetScroll: false,
    });
  const select = (task: RunTask) => {
    go({ task: task.task, index: task.map_index < 0 ? undefined : task.map_index, attempt: undefined });
    panel.current?.scrollIntoView({ block: "nearest" });
  };
  return (
    <div data-run-state={run.state}>
      <PageHead
        above={
          <>
            <Link to="/runs" className="link">
              Runs
            </Link>{" "}
            / <DagLink run={run} />
          </>
        }
        title={run.request ? `Request of ${run.dag}` : `Run of ${run.dag}`}
        end={
          <>
            <StateBadge state={run.state} />
            {!stateLook(run.state).ended && <CancelButton run={run} />}
          </>
        }
      />
      <div className="stack">
        <Head detail={detail} />
        <Waits detail={detail} />
        <Tasks
          detail={detail}
          chosen={chosen}
          view={search.view}
          onView={(view) => go({ view }, true)}
          onSelect={select}
        />
        <div ref={panel}>
          {chosen && (
            <TaskPanel
              key={`${chosen.task}/${chosen.map_index}`}
              at={{ run: run.run, task: chosen.task, index: chosen.map_index }}
              tab={search.tab}
              attempt={search.attempt}
              onTab={(tab) =>
                go(
                  { tab, task: chosen.task, index: chosen.map_index < 0 ? undefined : chosen.map_index },
                  true,
                )
              }
              onAttempt={(attempt) => go({ attempt }, true)}
            />
          )}
        </div>
      </div>
    </div>
  );
}

function Head({ detail }: { detail: RunDetail }) {
  const { run, params } = detail;
  const given = typeof params === "object" && params !== null && Object.keys(params).length > 0;
  return (
    <Card label="About the run">
      <dl className="facts pad">
        <div>
          <dt>Run</dt>
          <dd>
            <code title={run.run}>{shortId(run.run)}</code> <Copy text={run.run} label="Copy the run's id" />
          </dd>
        </div>
        {run.request && (
          <div>
            <dt>Request</dt>
            <dd>
              <RequestLink request={run.request} />
            </dd>
          </div>
        )}
        <div>
          <dt>Started by</dt>
          <dd className="hostile">{run.principal}</dd>
        </div>
        <div>
          <dt>Made</dt>
          <dd>
            <Ago time={run.created_at} />
          </dd>
        </div>
        <div>
          <dt>{run.ended_at ? "Took" : "Running for"}</dt>
          <dd>
            <Took from={run.started_at} to={run.ended_at} />
          </dd>
        </div>
        {given && (
          <div>
            <dt>Parameters</dt>
            <dd>
              <code style={{ whiteSpace: "pre-wrap" }}>{brief(params)}</code>
            </dd>
          </div>
        )}
      </dl>
    </Card>
  );
}

/** The most sentences on waiting that stand above the graph; each task's own is in its panel too. */
const WAITS_SHOWN = 4;

function Waits({ detail }: { detail: RunDetail }) {
  // "Waits for what is upstream" needs no sentence: the graph shows it.
  const waiting = detail.tasks.filter(({ wait }) => wait && wait.reason !== "upstream");
  if (!detail.wait && waiting.length === 0) return null;
  return (
    <section aria-label="Why it waits" style={{ display: "grid", gap: 8 }}>
      {detail.wait && <WaitNote wait={detail.wait} subject="The run" />}
      {waiting
        .slice(0, WAITS_SHOWN)
        .map((task) =>
          task.wait ? (
            <WaitNote key={nameOf(task)} wait={task.wait} run={detail.run.run} subject={nameOf(task)} />
          ) : null,
        )}
      {waiting.length > WAITS_SHOWN && <div>and {waiting.length - WAITS_SHOWN} more; see the table</div>}
    </section>
  );
}

interface TasksProps {
  detail: RunDetail;
  chosen: RunTask | undefined;
  view: "table" | "graph" | undefined;
  onView: (view: "table" | "graph") => void;
  onSelect: (task: RunTask) => void;
}

function Tasks({ detail, chosen, view, onView, onSelect }: TasksProps) {
  // On a phone a graph is a keyhole; the table says the same.
  const narrow = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false });
  const shown = view ?? (narrow ? "table" : "graph");
  return (
    <Card
      title="Tasks"
      label="Tasks"
      end={
        <SegmentedControl
          size="xs"
          value={shown}
          onChange={(next) => onView(next as "table" | "graph")}
          data={[
            { value: "graph", label: "Graph" },
            { value: "table", label: "Table" },
          ]}
          aria-label="How to show the tasks"
        />
      }
    >
      {shown === "graph" ? (
        <Suspense fallback={<Loading rows={3} />}>
          <Graph
            nodes={detail.tasks.map((task) => ({ id: nameOf(task), title: nameOf(task), state: task.state }))}
            edges={detail.edges}
            label="Graph of tasks"
            selected={chosen && nameOf(chosen)}
            onSelect={(name) => {
              const task = detail.tasks.find((each) => nameOf(each) === name);
              if (task) onSelect(task);
            }}
          />
        </Suspense>
      ) : (
        <TaskTable detail={detail} chosen={chosen} onSelect={onSelect} />
      )}
    </Card>
  );
}

function TaskTable({ detail, chosen, onSelect }: Pick<TasksProps, "detail" | "chosen" | "onSelect">) {
  return (
    <TableWrap label="Tasks as a table">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">State</th>
            <th scope="col" className="wide">
              Why
            </th>
            <th scope="col" className="wide">
              Analysis
            </th>
            <th scope="col" className="num wide">
              Tries
            </th>
            <th scope="col" className="num">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {detail.tasks.map((task) => (
            <tr
              key={nameOf(task)}
              className={task === chosen ? "selected" : undefined}
              data-task={nameOf(task)}
            >
              <td>
                <Button
                  variant="subtle"
                  size="compact-sm"
                  onClick={() => onSelect(task)}
                  aria-pressed={task === chosen}
                  styles={{ root: { marginLeft: -8 } }}
                >
                  {nameOf(task)}
                </Button>
              </td>
              <td>
                <StateBadge state={task.state} />
              </td>
              <td className="wide hostile" style={{ maxWidth: 360 }}>
                {task.wait?.message ??
                  (task.cause ? `${causeText(task.cause)}${task.message ? `: ${task.message}` : ""}` : "–")}
              </td>
              <td className="wide hostile">
                {task.analysis} {task.analysis_version}
              </td>
              <td className="num wide">
                {task.tries} of {task.max_attempts}
              </td>
              <td className="num">
                <Took from={task.started_at} to={task.ended_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableWrap>
  );
}

function CancelButton({ run }: { run: Run }) {
  const [open, { open: ask, close }] = useDisclosure(false);
  const cache = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => api.runCancel(run.run),
    onSuccess: () => {
      close();
      void cache.invalidateQueries({ queryKey: ["run", run.run] });
    },
  });
  return (
    <>
      <Button variant="default" onClick={ask} disabled={run.state === "cancelling"}>
        Cancel
      </Button>
      <Modal opened={open} onClose={close} title="Cancel this run?" centered>
        <p style={{ marginTop: 0 }}>
          Containers that run for it are killed, and what has not started will not. What has succeeded stays.
          This cannot be undone.
        </p>
        {cancel.isError && <ProblemNote error={cancel.error} />}
        <div style={{ display: "flex", gap: 8, justifyContent: "flex-end", marginTop: 16 }}>
          <Button variant="default" onClick={close} data-autofocus>
            Let it run
          </Button>
          <Button color="red.9" loading={cancel.isPending} onClick={() => cancel.mutate()}>
            Cancel the run
          </Button>
        </div>
      </Modal>
    </>
  );
}
