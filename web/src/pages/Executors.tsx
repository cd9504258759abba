/** Executors and pools: who runs what, and who holds the slots that others wait for. */

import { ActionIcon, Button, Modal, NumberInput, Progress, TextInput, Tooltip } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api } from "../api/client";
import { queries } from "../api/queries";
import type { Executor, Pool } from "../api/types";
import {
  Ago,
  Card,
  Command,
  Empty,
  Loading,
  leading,
  PageHead,
  ProblemNote,
  TableWrap,
} from "../components/common";
import { Icon } from "../components/Icon";
import { JsonView } from "../components/JsonView";
import { RunLink } from "../components/Links";
import { bytes, duration } from "../lib/duration";
import { isPlain } from "../lib/json";

export function ExecutorsPage() {
  const query = useQuery(queries.executors());
  return (
    <>
      <PageHead
        title="Executors"
        sub="The processes that pull tasks and run them under glass, and the pools that limit them."
        end={
          <Tooltip label="How long ago an executor was heard of is as old as this page's last look" withArrow>
            <Button
              variant="default"
              leftSection={leading("refresh")}
              loading={query.isFetching}
              onClick={() => void query.refetch()}
            >
              Look again
            </Button>
          </Tooltip>
        }
      />
      <div className="stack">
        {query.isError && <ProblemNote error={query.error} retry={() => void query.refetch()} />}
        {query.isPending && <Loading />}
        {query.data?.items.length === 0 && (
          <Card>
            <Empty title="No executor has registered">
              <p>
                Nothing can run without one. <code>belljar standalone</code> started as root brings its own;
                apart it is:
              </p>
              <Command>sudo belljar executor</Command>
              <p>
                <code>belljar doctor</code> says what a machine lacks.
              </p>
            </Empty>
          </Card>
        )}
        {query.data?.items.map((executor) => (
          <ExecutorCard key={executor.executor} executor={executor} />
        ))}
        <Pools />
      </div>
    </>
  );
}

const STATES = {
  online: ["good", "Online"],
  unavailable: ["warn", "Takes no work"],
  offline: ["bad", "Not heard of"],
} as const;

function ExecutorCard({ executor }: { executor: Executor }) {
  const [tone, label] = STATES[executor.state];
  return (
    <Card
      label={`Executor ${executor.name}`}
      title={
        <span className="hostile">
          {executor.name}{" "}
          <code style={{ fontWeight: 400, color: "var(--mantine-color-dimmed)" }} title={executor.executor}>
            {executor.executor.slice(0, 12)}…
          </code>
        </span>
      }
      end={
        <span
          className="state"
          data-tone={tone}
          data-executor-state={executor.state}
          style={{ paddingLeft: 10 }}
        >
          {label}
        </span>
      }
    >
      <div className="pad stack">
        {executor.unavailable && (
          <div className="why" data-tone="warn">
            <Icon name="alert" size={16} />
            <div className="hostile">{executor.unavailable}</div>
          </div>
        )}
        <dl className="facts">
          <div>
            <dt>Slots</dt>
            <dd className="nums">
              {executor.slots_used} of {executor.slots} in use
              <Progress
                value={(100 * executor.slots_used) / Math.max(1, executor.slots)}
                size="sm"
                mt={6}
                aria-label={`${executor.slots_used} of ${executor.slots} slots in use`}
              />
            </dd>
          </div>
          <div>
            <dt>Sandbox</dt>
            <dd style={{ display: "flex", alignItems: "center", gap: 6 }}>
              <Icon name={executor.gvisor ? "shield" : "alert"} size={16} />
              {executor.gvisor ? "gVisor" : "no gVisor: trusted analyses only"}
            </dd>
          </div>
          <div>
            <dt>Heard of</dt>
            <dd>
              {executor.last_heard_ms === null || executor.last_heard_ms === undefined
                ? "not since the scheduler started"
                : `${duration(executor.last_heard_ms)} before this look`}
            </dd>
          </div>
          <div>
            <dt>Started</dt>
            <dd>
              <Ago time={executor.registered_at} />, incarnation {executor.epoch}
            </dd>
          </div>
          <Info info={executor.info} />
        </dl>
        <Leases executor={executor} />
        <details>
          <summary style={{ cursor: "pointer", fontSize: 14 }}>Everything it said of itself</summary>
          <div style={{ marginTop: 12 }}>
            <JsonView
              text={JSON.stringify(executor.info, null, 2)}
              value={executor.info}
              label={`What ${executor.name} said of itself`}
            />
          </div>
        </details>
      </div>
    </Card>
  );
}

/** What the card says in its own words already, or nobody reads. */
const TOLD = ["gvisor", "boot_id"];

/** The simple entries of what an executor says of itself, as facts. */
function Info({ info }: { info: unknown }) {
  if (!isPlain(info)) return null;
  const simple = Object.entries(info).filter(
    ([name, value]) => !TOLD.includes(name) && ["string", "number", "boolean"].includes(typeof value),
  );
  return (
    <>
      {simple.slice(0, 12).map(([name, value]) => (
        <div key={name}>
          <dt className="hostile cap">{name.replace(/_bytes$/, "").replaceAll("_", " ")}</dt>
          <dd className="hostile">{infoText(name, value)}</dd>
        </div>
      ))}
    </>
  );
}

function infoText(name: string, value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" && name.endsWith("_bytes") ? bytes(value) : String(value);
}

function Leases({ executor }: { executor: Executor }) {
  if (executor.leases.length === 0) {
    return (
      <p style={{ margin: 0, color: "var(--mantine-color-dimmed)", fontSize: 14 }}>It holds no leases.</p>
    );
  }
  return (
    <TableWrap label={`Leases of ${executor.name}`}>
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">Run</th>
            <th scope="col">Since</th>
            <th scope="col" className="wide">
              Stands
            </th>
          </tr>
        </thead>
        <tbody>
          {executor.leases.map((lease) => (
            <tr key={lease.fence}>
              <td className="hostile">
                {lease.map_index < 0 ? lease.task : `${lease.task}[${lease.map_index}]`}
              </td>
              <td>
                <RunLink run={lease.run} task={lease.task} />
              </td>
              <td>
                <Ago time={lease.granted_at} />
              </td>
              <td className="wide">{lease.started_at ? "running" : "starting"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableWrap>
  );
}

function Pools() {
  const query = useQuery(queries.pools());
  const [editing, setEditing] = useState<Pool | "new">();
  return (
    <Card
      title="Pools"
      label="Pools"
      end={
        <Button variant="default" size="xs" leftSection={leading("plus")} onClick={() => setEditing("new")}>
          New pool
        </Button>
      }
    >
      {query.isError && (
        <div className="pad">
          <ProblemNote error={query.error} retry={() => void query.refetch()} />
        </div>
      )}
      {query.isPending && <Loading rows={2} />}
      {query.data?.items.length === 0 && (
        <Empty title="No pools yet">
          <p>
            A pool is a limit that tasks share, whatever DAG they are of. A task that names one waits for its
            slots.
          </p>
          <Command>belljar pool set heavy --slots 2</Command>
        </Empty>
      )}
      {query.data && query.data.items.length > 0 && (
        <TableWrap label="Pools as a table">
          <table className="list top">
            <thead>
              <tr>
                <th scope="col">Pool</th>
                <th scope="col">Slots</th>
                <th scope="col">Held by</th>
                <th scope="col">
                  <span className="visually-hidden">Change</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {query.data.items.map((pool) => (
                <PoolRow key={pool.pool} pool={pool} onEdit={() => setEditing(pool)} />
              ))}
            </tbody>
          </table>
        </TableWrap>
      )}
      <PoolModal editing={editing} onClose={() => setEditing(undefined)} />
    </Card>
  );
}

function PoolRow({ pool, onEdit }: { pool: Pool; onEdit: () => void }) {
  const detail = useQuery({ ...queries.pool(pool.pool), enabled: pool.used > 0 });
  const holders = pool.used > 0 ? (detail.data?.holders ?? []) : [];
  return (
    <tr data-pool={pool.pool}>
      <td style={{ maxWidth: 320 }}>
        <strong className="hostile">{pool.pool}</strong>
        <div className="hostile" style={{ fontSize: 13, color: "var(--mantine-color-dimmed)" }}>
          {pool.description}
        </div>
      </td>
      <td className="nums" style={{ minWidth: 110 }}>
        {pool.used} of {pool.slots} held
        <Progress
          value={pool.slots === 0 ? (pool.used > 0 ? 100 : 0) : Math.min(100, (100 * pool.used) / pool.slots)}
          size="sm"
          mt={6}
          aria-label={`${pool.used} of ${pool.slots} slots of ${pool.pool} held`}
        />
      </td>
      <td>
        {holders.length === 0 && <span style={{ color: "var(--mantine-color-dimmed)" }}>nobody</span>}
        {holders.map((holder) => (
          <div key={`${holder.run}/${holder.task}/${holder.map_index}`} className="hostile">
            <Link
              to="/runs/$run"
              params={{ run: holder.run }}
              search={{ task: holder.task }}
              className="link"
            >
              {holder.task}
            </Link>{" "}
            ({holder.slots}) on {holder.executor.name ?? holder.executor.executor},{" "}
            <Ago time={holder.since} />
          </div>
        ))}
      </td>
      <td className="num">
        <ActionIcon variant="subtle" color="gray" aria-label={`Change ${pool.pool}`} onClick={onEdit}>
          <Icon name="edit" size={16} />
        </ActionIcon>
      </td>
    </tr>
  );
}

function PoolModal({ editing, onClose }: { editing: Pool | "new" | undefined; onClose: () => void }) {
  const pool = editing === "new" ? undefined : editing;
  return (
    <Modal
      opened={editing !== undefined}
      onClose={onClose}
      title={pool ? `Change ${pool.pool}` : "New pool"}
      centered
    >
      {editing && <PoolForm key={pool?.pool ?? ""} pool={pool} onClose={onClose} />}
    </Modal>
  );
}

function PoolForm({ pool, onClose }: { pool: Pool | undefined; onClose: () => void }) {
  const cache = useQueryClient();
  const [name, setName] = useState(pool?.pool ?? "");
  const [slots, setSlots] = useState<number | string>(pool?.slots ?? 1);
  const [description, setDescription] = useState(pool?.description ?? "");
  const save = useMutation({
    mutationFn: () => api.poolSet(name.trim(), Number(slots), description),
    onSuccess: () => {
      void cache.invalidateQueries({ queryKey: ["pools"] });
      void cache.invalidateQueries({ queryKey: ["pool", name.trim()] });
      onClose();
    },
  });
  const ready = name.trim() !== "" && slots !== "" && Number.isInteger(Number(slots));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) save.mutate();
  };
  return (
    <form onSubmit={submit} className="stack">
      {!pool && (
        <TextInput
          label="Name"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          withAsterisk
          data-autofocus
        />
      )}
      <NumberInput
        label="Slots"
        description="0 lets nothing through. What holds slots now keeps them until it ends."
        value={slots}
        onChange={setSlots}
        min={0}
        max={1_000_000}
        allowDecimal={false}
        data-autofocus={pool ? true : undefined}
      />
      <TextInput
        label="Description"
        description="What it stands for, for example an API that takes only so many calls."
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      {save.isError && <ProblemNote error={save.error} />}
      <div style={{ display: "flex", gap: 8, justifyContent: "flex-end" }}>
        <Button variant="default" onClick={onClose}>
          Close
        </Button>
        <Button type="submit" loading={save.isPending} disabled={!ready}>
          Save
        </Button>
      </div>
    </form>
  );
}
