/** Runs as a table. */

import type { Run } from "../api/types";
import { Ago, TableWrap, Took } from "./common";
import { DagLink, RequestLink, RunLink } from "./Links";
import { StateBadge } from "./StateIcon";

export function RunsTable({ runs, dag = true }: { runs: Run[]; dag?: boolean }) {
  return (
    <TableWrap label="Runs as a table">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">{dag ? "DAG or request" : "Run"}</th>
            <th scope="col" className="wide">
              Started by
            </th>
            <th scope="col">Made</th>
            <th scope="col" className="num">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.run}>
              <td>
                <StateBadge state={run.state} />
              </td>
              <td>
                {dag && <DagLink run={run} />}
                <div style={dag ? { fontSize: 13 } : undefined}>
                  <RunLink run={run.run} />
                  {dag && run.request && (
                    <>
                      {" · "}
                      <RequestLink request={run.request} />
                    </>
                  )}
                </div>
              </td>
              <td className="wide hostile">{run.principal}</td>
              <td>
                <Ago time={run.created_at} />
              </td>
              <td className="num">
                <Took from={run.started_at} to={run.ended_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableWrap>
  );
}
