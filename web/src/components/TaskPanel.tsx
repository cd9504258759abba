/** One task instance: what it is, how each attempt went, its log, result, artifacts and receipt. */

import { Progress, Select, Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense } from "react";
import { urls } from "../api/client";
import { queries } from "../api/queries";
import type { Attempt, Instance, TaskDetail } from "../api/types";
import { bytes, count, duration } from "../lib/duration";
import { causeText, stateLook } from "../lib/state";
import type { Tab } from "../router";
import { Artifacts } from "./Artifacts";
import { Ago, Card, Digest, Empty, Loading, ProblemNote, TableWrap, Took } from "./common";
import { Icon } from "./Icon";
import { brief } from "./JsonView";
import { InputSource, WaitNote } from "./Links";
import { JsonDocument } from "./Receipt";
import { StateBadge } from "./StateIcon";

const LogView = lazy(() => import("./LogView").then(({ LogView }) => ({ default: LogView })));

interface Props {
  at: Instance;
  tab: Tab | undefined;
  attempt: number | undefined;
  onTab: (tab: Tab) => void;
  onAttempt: (fence: number) => void;
}

export function TaskPanel({ at, tab, attempt, onTab, onAttempt }: Props) {
  const query = useQuery(queries.task(at));
  const name = at.index < 0 ? at.task : `${at.task}[${at.index}]`;
  return (
    <Card
      label={`Task ${name}`}
      title={<span className="hostile">Task {name}</span>}
      end={query.data && <StateBadge state={query.data.task.state} />}
    >
      {query.isError && (
        <div className="pad">
          <ProblemNote error={query.error} retry={() => void query.refetch()} />
        </div>
      )}
      {query.isPending && <Loading />}
      {query.data && (
        <TaskTabs
          detail={query.data}
          at={at}
          tab={tab}
          attempt={attempt}
          onTab={onTab}
          onAttempt={onAttempt}
        />
      )}
    </Card>
  );
}

function TaskTabs({ detail, at, tab, attempt, onTab, onAttempt }: Props & { detail: TaskDetail }) {
  const chosen = detail.attempts.find(({ fence }) => fence === attempt) ?? detail.attempts[0];
  const artifacts = detail.artifacts.length;
  return (
    <Tabs value={tab ?? "overview"} onChange={(next) => next && onTab(next as Tab)} keepMounted={false}>
      <Tabs.List style={{ padding: "0 8px", flexWrap: "nowrap", overflowX: "auto", overflowY: "hidden" }}>
        <Tabs.Tab value="overview">Overview</Tabs.Tab>
        <Tabs.Tab value="log">Log</Tabs.Tab>
        <Tabs.Tab value="result">Result</Tabs.Tab>
        <Tabs.Tab value="artifacts">Artifacts{artifacts > 0 ? ` (${artifacts})` : ""}</Tabs.Tab>
        <Tabs.Tab value="receipt">Receipt</Tabs.Tab>
      </Tabs.List>
      <Tabs.Panel value="overview" className="pad">
        <Overview detail={detail} at={at} />
      </Tabs.Panel>
      <Tabs.Panel value="log" className="pad">
        <OfAttempt detail={detail} chosen={chosen} onAttempt={onAttempt}>
          {(one) => (
            <Suspense fallback={<Loading />}>
              <LogView key={one.fence} at={at} attempt={one} />
            </Suspense>
          )}
        </OfAttempt>
      </Tabs.Panel>
      <Tabs.Panel value="result" className="pad">
        <JsonDocument
          blob={detail.result}
          url={urls.result(at)}
          name={`${at.run}-${at.task}-result.json`}
          label="Result"
          missing={{ title: "No result", text: "A task has a result when it has succeeded." }}
        />
      </Tabs.Panel>
      <Tabs.Panel value="artifacts" className="pad">
        <Artifacts at={at} artifacts={detail.artifacts} />
      </Tabs.Panel>
      <Tabs.Panel value="receipt" className="pad">
        <OfAttempt detail={detail} chosen={chosen} onAttempt={onAttempt}>
          {(one) => (
            <JsonDocument
              blob={one.receipt}
              url={urls.receipt(at, one.fence)}
              name={`${at.run}-${at.task}-${one.fence}-receipt.json`}
              label="Receipt"
              missing={{
                title: "No receipt yet",
                text: "The record of what ran is written when the attempt has ended.",
              }}
            />
          )}
        </OfAttempt>
      </Tabs.Panel>
    </Tabs>
  );
}

interface OfAttemptProps {
  detail: TaskDetail;
  chosen: Attempt | undefined;
  onAttempt: (fence: number) => void;
  children: (attempt: Attempt) => ReactNode;
}

/** What belongs to one attempt, with a choice where there are several. */
function OfAttempt({ detail, chosen, onAttempt, children }: OfAttemptProps) {
  if (!chosen) {
    return (
      <Empty title="No attempt yet">
        <p>{stateLook(detail.task.state).meaning}</p>
      </Empty>
    );
  }
  return (
    <div className="stack">
      {detail.attempts.length > 1 && (
        <Select
          label="Attempt"
          w={280}
          data={detail.attempts.map((one) => ({
            value: String(one.fence),
            label: `Try ${one.try_number}${one.outcome ? `, ${stateLook(one.outcome).label.toLowerCase()}` : ", running"}`,
          }))}
          value={String(chosen.fence)}
          onChange={(fence) => fence && onAttempt(Number(fence))}
          allowDeselect={false}
        />
      )}
      {children(chosen)}
    </div>
  );
}

function Overview({ detail, at }: { detail: TaskDetail; at: Instance }) {
  const { task, resources, attempts } = detail;
  const newest = attempts[0];
  const look = stateLook(task.state);
  return (
    <div className="stack" style={{ gap: 24 }}>
      {/* Any other reason stands at the head of the page already. */}
      {task.wait?.reason === "upstream" && <WaitNote wait={task.wait} run={at.run} />}
      {(task.cause || task.message) && (
        <CauseNote tone={look.tone === "good" ? "calm" : look.tone} task={task} />
      )}
      <dl className="facts">
        <Fact term="Analysis">
          {task.analysis} {task.analysis_version}
          <div>
            <Digest digest={detail.analysis_digest} />
          </div>
        </Fact>
        <Fact term="Took">
          <Took from={task.started_at} to={task.ended_at} />
        </Fact>
        <Fact term="Tries">
          {task.tries} of {task.max_attempts}
          {task.losses > 0 && `, lost ${task.losses} times by the infrastructure`}
        </Fact>
        {newest?.exit_code !== undefined && newest?.exit_code !== null && (
          <Fact term="Exit code">
            <code>{newest.exit_code}</code>
          </Fact>
        )}
        {newest && <Fact term="Executor">{newest.executor.name ?? newest.executor.executor}</Fact>}
        <Fact term="Pools">
          {task.pools.map(({ pool, slots }) => `${pool} (${slots})`).join(", ") || "none"}
        </Fact>
      </dl>
      {newest && <Usage attempt={newest} detail={detail} />}
      {newest && Object.keys(newest.timings_ms).length > 0 && <Timings timings={newest.timings_ms} />}
      <div>
        <h3 style={{ fontSize: 14, margin: "0 0 8px" }}>Inputs and limits</h3>
        <dl className="facts">
          {Object.entries(detail.inputs).map(([input, source]) => (
            <Fact key={input} term={`/in/${input}`}>
              <InputSource source={source} run={at.run} />
            </Fact>
          ))}
          <Fact term="Time limit">{duration(resources.timeout_ms)}</Fact>
          <Fact term="/out and /tmp">
            {bytes(resources.disk_bytes)} and {bytes(resources.tmp_bytes)}
          </Fact>
          <Fact term="Parameters">
            <code style={{ whiteSpace: "pre-wrap" }}>{brief(detail.params)}</code>
          </Fact>
        </dl>
      </div>
      <Attempts attempts={attempts} />
    </div>
  );
}

function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div>
      <dt className="hostile">{term}</dt>
      <dd className="hostile">{children}</dd>
    </div>
  );
}

function CauseNote({
  tone,
  task,
}: {
  tone: string;
  task: { cause?: string | null; message?: string | null };
}) {
  return (
    <div className="why" data-tone={tone}>
      <Icon name="info" size={16} />
      <div className="hostile">
        {task.cause && <strong>{causeText(task.cause)}</strong>}
        {task.cause && task.message && ": "}
        {task.message}
      </div>
    </div>
  );
}

function Usage({ attempt, detail }: { attempt: Attempt; detail: TaskDetail }) {
  const { peaks } = attempt;
  const { memory_bytes: limit } = detail.resources;
  if (!peaks.memory_bytes && !peaks.cpu_ms) return null;
  // The sandbox's own memory counts in the peak and is added to the limit; the bar is of what people set.
  const share = peaks.memory_bytes ? Math.min(100, (100 * peaks.memory_bytes) / limit) : 0;
  return (
    <div>
      <h3 style={{ fontSize: 14, margin: "0 0 8px" }}>What it used at most, the sandbox's own included</h3>
      <dl className="facts">
        {peaks.memory_bytes !== undefined && peaks.memory_bytes !== null && (
          <Fact term="Memory">
            {bytes(peaks.memory_bytes)}
            <Progress
              value={share}
              size="sm"
              mt={6}
              aria-label={`Memory: ${Math.round(share)} % of the limit`}
            />
            <span style={{ fontSize: 12.5, color: "var(--mantine-color-dimmed)" }}>
              the program may use {bytes(limit)}
            </span>
          </Fact>
        )}
        {peaks.cpu_ms !== undefined && peaks.cpu_ms !== null && (
          <Fact term="Processor time">{duration(peaks.cpu_ms)}</Fact>
        )}
        {peaks.pids !== undefined && peaks.pids !== null && (
          <Fact term="Processes and threads">{count(peaks.pids)}</Fact>
        )}
        {attempt.dropped_files > 0 && (
          <Fact term="Files that nothing declared">{count(attempt.dropped_files)}, dropped</Fact>
        )}
      </dl>
    </div>
  );
}

const SHADES = ["#0b6e8f", "#b05e00", "#6b5bd2", "#1a7f37", "#a63a79", "#67737f", "#2563d6", "#8a6d00"];

/** The steps of an attempt in the order in which they happen; ones that are not known come last. */
const STEPS = [
  "claim",
  "fetch",
  "load",
  "prepare",
  "create",
  "start",
  "run",
  "kill",
  "collect",
  "upload",
  "report",
];
const place = (step: string) => (STEPS.includes(step) ? STEPS.indexOf(step) : STEPS.length);

function Timings({ timings }: { timings: Record<string, number> }) {
  const steps = Object.entries(timings).sort(([a], [b]) => place(a) - place(b));
  const total = steps.reduce((sum, [, ms]) => sum + ms, 0);
  return (
    <div>
      <h3 style={{ fontSize: 14, margin: "0 0 8px" }}>Where the time went</h3>
      <div className="bar" aria-hidden="true">
        {steps.map(([step, ms], index) => (
          <span
            key={step}
            style={{ flexGrow: ms / Math.max(1, total), background: SHADES[index % SHADES.length] }}
          />
        ))}
      </div>
      <ul className="legend">
        {steps.map(([step, ms], index) => (
          <li key={step} className="hostile">
            <i style={{ background: SHADES[index % SHADES.length] }} aria-hidden="true" />
            {step.replaceAll("_", " ")} <span className="nums">{duration(ms)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Attempts({ attempts }: { attempts: Attempt[] }) {
  if (attempts.length === 0) return null;
  return (
    <div>
      <h3 style={{ fontSize: 14, margin: "0 0 4px" }}>Attempts</h3>
      <TableWrap label="Attempts">
        <table className="list">
          <thead>
            <tr>
              <th scope="col">Try</th>
              <th scope="col">State</th>
              <th scope="col">Cause</th>
              <th scope="col">Started</th>
              <th scope="col" className="num">
                Took
              </th>
              <th scope="col" className="num wide">
                Exit code
              </th>
              <th scope="col" className="wide">
                Executor
              </th>
            </tr>
          </thead>
          <tbody>
            {attempts.map((one) => (
              <tr key={one.fence}>
                <td className="nums">{one.try_number}</td>
                <td>
                  <StateBadge state={one.outcome ?? (one.started_at ? "running" : "leased")} />
                </td>
                <td className="hostile">
                  {one.cause ? causeText(one.cause) : "–"}
                  {one.message && (
                    <div style={{ fontSize: 12.5, color: "var(--mantine-color-dimmed)" }}>{one.message}</div>
                  )}
                </td>
                <td>
                  <Ago time={one.started_at ?? one.granted_at} />
                </td>
                <td className="num">
                  <Took from={one.started_at} to={one.ended_at} />
                </td>
                <td className="num wide">{one.exit_code ?? "–"}</td>
                <td className="wide hostile">{one.executor.name ?? one.executor.executor}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </TableWrap>
    </div>
  );
}
