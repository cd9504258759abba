/** One dataset: its versions, and who used it for what. */

import { Button, Select } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { ApiProblem } from "../api/problem";
import { itemsOf, queries } from "../api/queries";
import type { DatasetDetail, DatasetUse } from "../api/types";
import {
  Ago,
  Card,
  Command,
  Digest,
  Empty,
  Loading,
  More,
  PageHead,
  PageProblem,
  ProblemNote,
  TableWrap,
} from "../components/common";
import { DagLink, RequestLink, RunLink } from "../components/Links";
import { StateBadge } from "../components/StateIcon";
import { bytes, shortDigest } from "../lib/duration";

const route = getRouteApi("/shell/datasets/$dataset");

export function DatasetPage() {
  const { dataset: name } = route.useParams();
  const query = useQuery(queries.dataset(name));
  if (query.isError && !query.data)
    return <PageProblem error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading rows={8} />;
  const { dataset } = query.data;
  return (
    <>
      <PageHead
        above={
          <Link to="/datasets" className="link">
            Datasets
          </Link>
        }
        title={dataset.dataset}
        sub={dataset.description || `Owned by ${dataset.owner}`}
        end={
          <Button variant="default" component={Link} to="/requests/new">
            Request an analysis
          </Button>
        }
      />
      <div className="stack">
        <Versions detail={query.data} />
        <Uses name={name} detail={query.data} />
      </div>
    </>
  );
}

function Versions({ detail }: { detail: DatasetDetail }) {
  return (
    <Card
      title="Versions"
      label="Versions"
      end={<span className="hostile">owned by {detail.dataset.owner}</span>}
    >
      <TableWrap label="Versions as a table">
        <table className="list">
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col">SHA-256</th>
              <th scope="col" className="num">
                Size
              </th>
              <th scope="col" className="wide">
                Media type
              </th>
              <th scope="col" className="wide">
                Put in by
              </th>
              <th scope="col">When</th>
            </tr>
          </thead>
          <tbody>
            {detail.versions.map((one) => (
              <tr key={one.number}>
                <td className="nums">
                  <strong>{one.number}</strong>
                </td>
                <td>
                  <Digest digest={one.digest} />
                </td>
                <td className="num">{bytes(one.size)}</td>
                <td className="wide hostile">{one.media_type}</td>
                <td className="wide hostile">{one.created_by}</td>
                <td>
                  <Ago time={one.created_at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </TableWrap>
    </Card>
  );
}

function Uses({ name, detail }: { name: string; detail: DatasetDetail }) {
  const { version } = route.useSearch();
  const navigate = useNavigate();
  const query = useInfiniteQuery(queries.uses(name, version));
  const uses = itemsOf(query.data);
  const forbidden = query.error instanceof ApiProblem && query.error.status === 403;
  return (
    <Card
      title="Who used it for what"
      label="Who used it for what"
      end={
        <Select
          size="xs"
          aria-label="Uses of which version"
          data={[
            { value: "", label: "Every version" },
            ...detail.versions.map(({ number }) => ({ value: String(number), label: `Version ${number}` })),
          ]}
          value={version === undefined ? "" : String(version)}
          onChange={(next) =>
            void navigate({
              to: "/datasets/$dataset",
              params: { dataset: name },
              search: { version: next ? Number(next) : undefined },
              replace: true,
            })
          }
          allowDeselect={false}
          w={150}
        />
      }
    >
      {query.isPending && <Loading />}
      {forbidden && (
        <Empty title="Only the owner sees the uses">
          <p>Ask {detail.dataset.owner}.</p>
        </Empty>
      )}
      {query.isError && !forbidden && (
        <div className="pad">
          <ProblemNote error={query.error} retry={() => void query.refetch()} />
        </div>
      )}
      {query.data && uses.length === 0 && (
        <Empty title="Nobody has read it">
          <p>
            Every run, request and receipt that reads a version is listed here. The same from the command
            line:
          </p>
          <Command>{`belljar dataset show ${name}`}</Command>
        </Empty>
      )}
      {uses.length > 0 && <UseTable uses={uses} />}
      <More query={query} />
    </Card>
  );
}

function UseTable({ uses }: { uses: DatasetUse[] }) {
  return (
    <TableWrap label="Uses as a table">
      <table className="list top">
        <thead>
          <tr>
            <th scope="col" className="wide">
              Version
            </th>
            <th scope="col">Who and why</th>
            <th scope="col">Analysis</th>
            <th scope="col">Run or request</th>
            <th scope="col">State</th>
            <th scope="col" className="wide">
              Receipts
            </th>
            <th scope="col" className="wide">
              When
            </th>
          </tr>
        </thead>
        <tbody>
          {uses.map((use) => (
            <tr key={`${use.run}/${use.task}/${use.input}/${use.version}`}>
              <td className="nums wide">{use.version}</td>
              <td style={{ maxWidth: 260 }}>
                <strong className="hostile">{use.principal}</strong>
                <div className="hostile" style={{ fontSize: 13, color: "var(--mantine-color-dimmed)" }}>
                  {use.purpose || "no purpose stated"}
                </div>
              </td>
              <td className="hostile">
                <span>
                  {use.analysis} {use.analysis_version}
                </span>
                <div style={{ fontSize: 13, color: "var(--mantine-color-dimmed)" }}>as {use.input}</div>
              </td>
              <td>
                <DagLink run={use} />
                <div style={{ fontSize: 13 }}>
                  {use.request ? (
                    <RequestLink request={use.request} />
                  ) : (
                    <RunLink run={use.run} task={use.task} />
                  )}
                </div>
              </td>
              <td>
                <StateBadge state={use.state} />
              </td>
              <td className="wide">
                <Receipts use={use} />
              </td>
              <td className="wide">
                <Ago time={use.at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableWrap>
  );
}

function Receipts({ use }: { use: DatasetUse }) {
  const known = use.attempts.filter((attempt) => attempt.receipt);
  if (known.length === 0) return <>–</>;
  return (
    <>
      {known.map((attempt) => (
        <div key={attempt.fence}>
          <Link
            to="/runs/$run"
            params={{ run: use.run }}
            search={{ task: use.task, tab: "receipt", attempt: attempt.fence }}
            className="link mono nowrap"
            title={attempt.receipt ?? undefined}
          >
            {shortDigest(attempt.receipt ?? "")}
          </Link>
        </div>
      ))}
    </>
  );
}
