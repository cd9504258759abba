/** Making a request: which analysis, on which data, with which parameters, for what. */

import { Alert, Button, Select, Textarea } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useMemo, useState } from "react";
import { api, newKey } from "../api/client";
import { itemsOf, queries } from "../api/queries";
import type { AnalysisDetail, Dataset, RequestCreate } from "../api/types";
import { Card, Command, Digest, Empty, Loading, PageHead, ProblemNote } from "../components/common";
import { SchemaForm, useSchemaForm } from "../components/SchemaForm";
import { count, moment } from "../lib/duration";
import { type ManifestInput, manifestInputs, manifestParams } from "../lib/manifest";

const route = getRouteApi("/shell/requests/new");
const PURPOSE_CHARS = 500;

export function RequestNewPage() {
  const { analysis } = route.useSearch();
  const navigate = useNavigate();
  const analyses = useQuery(queries.analyses());
  const versions = useQuery({ ...queries.analysisVersions(analysis ?? ""), enabled: Boolean(analysis) });
  const [version, setVersion] = useState<{ of: string; version: string }>();
  const chosen =
    version?.of === analysis ? version?.version : versions.data?.items.find((one) => !one.withdrawn)?.version;
  const detail = useQuery({
    ...queries.analysis(analysis ?? "", chosen ?? ""),
    enabled: Boolean(analysis && chosen),
  });
  return (
    <div style={{ maxWidth: 760 }}>
      <PageHead
        above={
          <Link to="/requests" className="link">
            Requests
          </Link>
        }
        title="New request"
        sub="It is checked before it is taken, and becomes a run at once."
      />
      {analyses.isError && <ProblemNote error={analyses.error} retry={() => void analyses.refetch()} />}
      {analyses.isPending && <Loading />}
      {analyses.data?.items.length === 0 && (
        <Card>
          <Empty title="No analyses yet">
            <p>An analysis is a packaged program that anybody may ask for. Publish one to choose it here:</p>
            <Command>belljar analysis submit analyses/posts-clean</Command>
          </Empty>
        </Card>
      )}
      {analyses.data && analyses.data.items.length > 0 && (
        <div className="stack">
          <Card title="Analysis" label="Analysis">
            <div className="pad stack">
              <div style={{ display: "grid", gridTemplateColumns: "minmax(0, 2fr) minmax(0, 1fr)", gap: 12 }}>
                <Select
                  label="Analysis"
                  placeholder="Choose one"
                  data={analyses.data.items.map((one) => one.analysis)}
                  value={analysis ?? null}
                  onChange={(name) =>
                    void navigate({
                      to: "/requests/new",
                      search: { analysis: name ?? undefined },
                      replace: true,
                    })
                  }
                  searchable
                  withAsterisk
                />
                <Select
                  label="Version"
                  data={(versions.data?.items ?? []).map((one) => ({
                    value: one.version,
                    label: one.withdrawn ? `${one.version} (withdrawn)` : one.version,
                    disabled: one.withdrawn,
                  }))}
                  value={chosen ?? null}
                  onChange={(next) => next && analysis && setVersion({ of: analysis, version: next })}
                  disabled={!analysis}
                  allowDeselect={false}
                />
              </div>
              {detail.data && (
                <div>
                  <p style={{ margin: "0 0 4px" }} className="hostile">
                    {detail.data.analysis.summary}
                  </p>
                  <span style={{ color: "var(--mantine-color-dimmed)", fontSize: 13 }}>
                    by <span className="hostile">{detail.data.analysis.publisher}</span>,{" "}
                    {moment(detail.data.analysis.created_at)} ·{" "}
                    <Digest digest={detail.data.analysis.digest} />
                  </span>
                </div>
              )}
              {detail.isError && <ProblemNote error={detail.error} />}
            </div>
          </Card>
          {detail.data && <Order key={detail.data.analysis.digest} detail={detail.data} />}
        </div>
      )}
    </div>
  );
}

function Order({ detail }: { detail: AnalysisDetail }) {
  const inputs = useMemo(() => manifestInputs(detail.manifest), [detail]);
  const schema = useMemo(() => manifestParams(detail.manifest), [detail]);
  const datasets = useInfiniteQuery(queries.datasets());
  const form = useSchemaForm(schema, detail.analysis.digest);
  const [sources, setSources] = useState<Record<string, string>>({});
  const [purpose, setPurpose] = useState("");
  const [tried, setTried] = useState(false);
  const navigate = useNavigate();
  // One key for one wish; another wish is another key.
  const wish = JSON.stringify([sources, form.drafts, form.whole, purpose]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `wish` is what the key stands for
  const key = useMemo(newKey, [wish]);
  const create = useMutation({
    mutationFn: (body: RequestCreate) => api.requestCreate(body, key),
    onSuccess: (request) => navigate({ to: "/requests/$request", params: { request: request.request } }),
  });
  const missing = inputs.filter((input) => !input.optional && !sources[input.name]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    const params = form.read();
    if (!params || missing.length > 0) return;
    const { analysis, digest } = detail.analysis;
    // By digest: exactly the version that was chosen, whatever is published meanwhile.
    create.mutate({ analysis: `${analysis}@${digest}`, inputs: sources, params, purpose: purpose.trim() });
  };
  return (
    <form onSubmit={submit} className="stack" noValidate>
      <Card title="Data" label="Data">
        <div className="pad stack">
          {inputs.length === 0 && <p style={{ margin: 0 }}>This analysis reads no data.</p>}
          {inputs.map((input) => (
            <DatasetInput
              key={input.name}
              input={input}
              datasets={itemsOf(datasets.data)}
              value={sources[input.name]}
              error={tried && !input.optional && !sources[input.name] ? "Choose a dataset" : undefined}
              onChange={(source) =>
                setSources(({ [input.name]: _, ...rest }) =>
                  source ? { ...rest, [input.name]: source } : rest,
                )
              }
            />
          ))}
          {datasets.isError && <ProblemNote error={datasets.error} />}
        </div>
      </Card>
      <Card title="Parameters" label="Parameters">
        <div className="pad">
          <SchemaForm form={form} />
        </div>
      </Card>
      <Card title="Purpose" label="Purpose">
        <div className="pad">
          <Textarea
            label="What do you need the result for?"
            description="The owner of the data sees this beside every use of it."
            value={purpose}
            onChange={(event) => setPurpose(event.currentTarget.value)}
            maxLength={PURPOSE_CHARS}
            autosize
            minRows={2}
          />
          <div
            style={{ fontSize: 12.5, color: "var(--mantine-color-dimmed)", textAlign: "right", marginTop: 4 }}
          >
            {count(PURPOSE_CHARS - purpose.length)} characters left
          </div>
        </div>
      </Card>
      {create.isError && <ProblemNote error={create.error} />}
      {tried && (missing.length > 0 || Object.keys(form.errors).length > 0) && (
        <Alert color="red" variant="light" role="alert">
          Something above is missing or wrong.
        </Alert>
      )}
      <div style={{ display: "flex", gap: 8, justifyContent: "flex-end" }}>
        <Button component={Link} to="/requests" variant="default">
          Back
        </Button>
        <Button type="submit" loading={create.isPending}>
          Send the request
        </Button>
      </div>
    </form>
  );
}

interface DatasetInputProps {
  input: ManifestInput;
  datasets: Dataset[];
  value: string | undefined;
  error: string | undefined;
  onChange: (source: string | undefined) => void;
}

function DatasetInput({ input, datasets, value, error, onChange }: DatasetInputProps) {
  const [name, version] = (value ?? "").split("@");
  const dataset = datasets.find((one) => one.dataset === name);
  const detail = useQuery({ ...queries.dataset(name ?? ""), enabled: Boolean(name) });
  const versions = detail.data?.versions ?? [];
  const read = versions.find((one) => one.number === Number(version)) ?? versions[0];
  const unlike = read && input.mediaType && read.media_type !== input.mediaType;
  return (
    <div>
      <div
        style={{
          display: "grid",
          gridTemplateColumns: "minmax(0, 2fr) minmax(0, 1fr)",
          gap: 12,
          alignItems: "end",
        }}
      >
        <Select
          label={input.name}
          description={[input.description, input.mediaType].filter(Boolean).join(" · ")}
          placeholder={datasets.length === 0 ? "There are no datasets yet" : "Choose a dataset"}
          data={datasets.map((one) => one.dataset)}
          value={name || null}
          onChange={(next) => onChange(next ?? undefined)}
          error={error}
          withAsterisk={!input.optional}
          searchable
          clearable
        />
        <Select
          label="Version"
          aria-label={`Version of ${input.name}`}
          data={[
            { value: "", label: dataset ? `newest (${dataset.latest})` : "newest" },
            ...versions.map((one) => ({ value: String(one.number), label: String(one.number) })),
          ]}
          value={version ?? ""}
          onChange={(next) => onChange(next ? `${name}@${next}` : name)}
          disabled={!name}
          allowDeselect={false}
        />
      </div>
      {unlike && (
        <div style={{ marginTop: 6, fontSize: 13, color: "var(--bj-warn-ink)" }}>
          This version is <code>{read.media_type}</code>; the analysis reads <code>{input.mediaType}</code>.
        </div>
      )}
    </div>
  );
}
