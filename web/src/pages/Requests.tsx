/** Every request: one analysis, on given data, ordered by somebody. */

import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { itemsOf, queries } from "../api/queries";
import type { Request } from "../api/types";
import {
  Ago,
  Card,
  Command,
  Empty,
  Loading,
  leading,
  More,
  PageHead,
  ProblemNote,
  TableWrap,
  Took,
} from "../components/common";
import { RequestLink } from "../components/Links";
import { StateBadge } from "../components/StateIcon";

export function RequestsPage() {
  const query = useInfiniteQuery(queries.requests());
  const requests = itemsOf(query.data);
  return (
    <>
      <PageHead
        title="Requests"
        sub="One analysis, on data you may use, for a purpose you state."
        end={
          <Button component={Link} to="/requests/new" leftSection={leading("plus")}>
            New request
          </Button>
        }
      />
      {query.isError && <ProblemNote error={query.error} retry={() => void query.refetch()} />}
      <Card label="Requests">
        {query.isPending && <Loading />}
        {query.data && requests.length === 0 && (
          <Empty title="No requests yet">
            <p>
              A request runs one analysis on one set of inputs and keeps its result. Make one above, or from
              the command line:
            </p>
            <Command>belljar request create posts-clean --input export=posts</Command>
          </Empty>
        )}
        {requests.length > 0 && <RequestTable requests={requests} />}
        <More query={query} />
      </Card>
    </>
  );
}

function RequestTable({ requests }: { requests: Request[] }) {
  return (
    <TableWrap label="Requests as a table">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Analysis</th>
            <th scope="col">Request</th>
            <th scope="col" className="wide">
              Purpose
            </th>
            <th scope="col" className="wide">
              By
            </th>
            <th scope="col">Made</th>
            <th scope="col" className="num wide">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {requests.map((request) => (
            <tr key={request.request}>
              <td>
                <StateBadge state={request.state} />
              </td>
              <td className="hostile">{request.analysis}</td>
              <td>
                <RequestLink request={request.request} />
              </td>
              <td className="wide hostile" style={{ maxWidth: 320 }}>
                {request.purpose || "–"}
              </td>
              <td className="wide hostile">{request.principal}</td>
              <td>
                <Ago time={request.created_at} />
              </td>
              <td className="num wide">
                <Took from={request.started_at} to={request.ended_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableWrap>
  );
}
