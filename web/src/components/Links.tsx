/** Links to the things that pages speak of, and the marks of runs. */

import { Tooltip } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { Run, Wait } from "../api/types";
import { useNow } from "../lib/clock";
import { ago, shortId } from "../lib/duration";
import { blocker, stateLook } from "../lib/state";
import { Icon } from "./Icon";
import { StateIcon } from "./StateIcon";

export function RunLink({ run, task }: { run: string; task?: string }) {
  return (
    <Link
      to="/runs/$run"
      params={{ run }}
      search={task ? { task } : {}}
      className="link mono nowrap"
      title={run}
    >
      {shortId(run)}
    </Link>
  );
}

/** A run's DAG; for a request, whose `dag` is the analysis's name, that name without a link. */
export function DagLink({ run }: { run: { dag: string; request?: string | null } }) {
  if (run.request) return <span className="hostile">{run.dag}</span>;
  return (
    <Link to="/dags/$dag" params={{ dag: run.dag }} className="link hostile">
      {run.dag}
    </Link>
  );
}

export function RequestLink({ request }: { request: string }) {
  return (
    <Link to="/requests/$request" params={{ request }} className="link mono nowrap" title={request}>
      {shortId(request)}
    </Link>
  );
}

export function DatasetLink({ dataset, children }: { dataset: string; children?: string }) {
  return (
    <Link to="/datasets/$dataset" params={{ dataset }} className="link hostile">
      {children ?? dataset}
    </Link>
  );
}

/** Where an input comes from: `dataset:posts@3` and `task:clean/posts.jsonl` become links. */
export function InputSource({ source, run }: { source: string; run?: string }) {
  const dataset = /^dataset:([^@]+)/.exec(source)?.[1];
  if (dataset) return <DatasetLink dataset={dataset}>{source}</DatasetLink>;
  const task = /^task:([^/]+)\//.exec(source)?.[1];
  if (task && run) {
    return (
      <Link to="/runs/$run" params={{ run }} search={{ task }} className="link hostile">
        {source}
      </Link>
    );
  }
  return <span className="hostile">{source}</span>;
}

/** The last runs, oldest first, as small marks that lead to them. */
export function RunMarks({ runs }: { runs: Run[] }) {
  const now = useNow();
  if (runs.length === 0)
    return <span style={{ color: "var(--mantine-color-dimmed)", fontSize: 13 }}>No runs yet</span>;
  return (
    <div className="marks">
      {[...runs].reverse().map((run) => {
        const text = `${stateLook(run.state).label}, ${ago(run.created_at, now)}`;
        return (
          <Tooltip key={run.run} label={text} withArrow>
            <Link
              to="/runs/$run"
              params={{ run: run.run }}
              className="mark"
              aria-label={`Run ${shortId(run.run)}: ${text}`}
            >
              <StateIcon state={run.state} />
            </Link>
          </Tooltip>
        );
      })}
    </div>
  );
}

/** Why something waits: the server's sentence and links to what stands in the way. */
export function WaitNote({ wait, run, subject }: { wait: Wait; run?: string; subject?: string }) {
  return (
    <div className="why" data-tone="warn" data-reason={wait.reason}>
      <Icon name="hourglass" size={16} />
      <div className="hostile">
        {subject && <strong>{subject}: </strong>}
        {wait.message}
        {wait.blocked_by.length > 0 && (
          <span>
            {" "}
            {wait.blocked_by.map((entry, index) => (
              <span key={entry}>
                {index > 0 ? ", " : "→ "}
                <Blocker wait={wait} entry={entry} run={run} />
              </span>
            ))}
          </span>
        )}
      </div>
    </div>
  );
}

function Blocker({ wait, entry, run }: { wait: Wait; entry: string; run?: string }) {
  const { kind, name } = blocker(wait.reason, entry);
  switch (kind) {
    case "task":
      return run ? (
        <Link to="/runs/$run" params={{ run }} search={{ task: name }}>
          task {name}
        </Link>
      ) : (
        <span>{name}</span>
      );
    case "pool":
      return <Link to="/executors">pool {name}</Link>;
    case "executor":
      return <Link to="/executors">{name}</Link>;
    case "dag":
      return (
        <Link to="/dags/$dag" params={{ dag: name }}>
          DAG {name}
        </Link>
      );
    case "run":
      return (
        <Link to="/runs/$run" params={{ run: name }}>
          {shortId(name)}
        </Link>
      );
    case "dataset":
      return (
        <Link to="/datasets/$dataset" params={{ dataset: name }}>
          {name}
        </Link>
      );
    default:
      return <strong>{name}</strong>;
  }
}
