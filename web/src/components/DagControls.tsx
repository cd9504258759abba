/** Pausing a DAG and starting a run of it. */

import { Button, Modal, Switch, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, newKey } from "../api/client";
import { passing } from "../api/problem";
import { queries } from "../api/queries";
import type { Dag } from "../api/types";
import { Loading, leading, ProblemNote } from "./common";
import { SchemaForm, useSchemaForm } from "./SchemaForm";

export function PauseSwitch({ dag }: { dag: Dag }) {
  const cache = useQueryClient();
  const change = useMutation({
    mutationFn: (paused: boolean) => api.dagPause(dag.dag, paused),
    onSettled: () => {
      void cache.invalidateQueries({ queryKey: ["dags"] });
      void cache.invalidateQueries({ queryKey: ["dag", dag.dag] });
    },
  });
  const paused = change.isPending ? change.variables : dag.paused;
  return (
    <Tooltip
      label={
        change.isError ? "That did not work" : paused ? "Queued runs stay queued" : "Runs start as they come"
      }
      withArrow
    >
      <Switch
        checked={!paused}
        onChange={(event) => change.mutate(!event.currentTarget.checked)}
        label={paused ? "Paused" : "Active"}
        aria-label={`${dag.dag} is ${paused ? "paused" : "active"}`}
        styles={{ label: { minWidth: 54 } }}
      />
    </Tooltip>
  );
}

export function TriggerButton({ dag }: { dag: Dag }) {
  const [open, { open: show, close }] = useDisclosure(false);
  return (
    <>
      <Button leftSection={leading("play")} onClick={show} aria-label={`Trigger ${dag.dag}`}>
        Trigger
      </Button>
      <Modal opened={open} onClose={close} title={`Start a run of ${dag.dag}`} centered size="lg">
        {open && <TriggerForm dag={dag} onClose={close} />}
      </Modal>
    </>
  );
}

function TriggerForm({ dag, onClose }: { dag: Dag; onClose: () => void }) {
  const detail = useQuery(queries.dag(dag.dag));
  if (detail.isError) return <ProblemNote error={detail.error} retry={() => void detail.refetch()} />;
  if (!detail.data) return <Loading rows={2} />;
  return <TriggerFields dag={dag} schema={detail.data.params_schema} onClose={onClose} />;
}

function TriggerFields({ dag, schema, onClose }: { dag: Dag; schema: unknown; onClose: () => void }) {
  const form = useSchemaForm(schema, dag.version);
  // One key for one wish: pressed twice, or sent again after a lost answer, it is still one run.
  const [key, setKey] = useState(newKey);
  const navigate = useNavigate();
  const cache = useQueryClient();
  const start = useMutation({
    mutationFn: (params: Record<string, unknown>) => api.runStart(dag.dag, params, key),
    onSuccess: async (run) => {
      void cache.invalidateQueries({ queryKey: ["recent-runs"] });
      onClose();
      await navigate({ to: "/runs/$run", params: { run: run.run } });
    },
    // A problem means that nothing was stored; where no answer came, the same key must go with the next try.
    onError: (error) => {
      if (!passing(error)) setKey(newKey());
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const params = form.read();
    if (params) start.mutate(params);
  };
  return (
    <form onSubmit={submit} className="stack" noValidate>
      <SchemaForm form={form} />
      {dag.paused && (
        <div className="why" data-tone="warn">
          This DAG is paused: the run will be queued until somebody unpauses it.
        </div>
      )}
      {start.isError && <ProblemNote error={start.error} />}
      <div style={{ display: "flex", gap: 8, justifyContent: "flex-end" }}>
        <Button variant="default" onClick={onClose}>
          Close
        </Button>
        <Button type="submit" loading={start.isPending} leftSection={leading("play")}>
          Start the run
        </Button>
      </div>
    </form>
  );
}
