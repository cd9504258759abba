/** One request: what was asked, and the result when it is there. */

import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { queries } from "../api/queries";
import type { Request } from "../api/types";
import { Ago, Card, Copy, Digest, Loading, PageHead, PageProblem, Took } from "../components/common";
import { Icon } from "../components/Icon";
import { brief } from "../components/JsonView";
import { InputSource, RunLink, WaitNote } from "../components/Links";
import { StateBadge } from "../components/StateIcon";
import { TaskPanel } from "../components/TaskPanel";
import { shortId } from "../lib/duration";
import { causeText, stateLook } from "../lib/state";
import type { Tab } from "../router";

const route = getRouteApi("/shell/requests/$request");

export function RequestPage() {
  const { request: id } = route.useParams();
  const query = useQuery(queries.request(id));
  if (query.isError && !query.data)
    return <PageProblem error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading rows={8} />;
  return <RequestView request={query.data} />;
}

function RequestView({ request }: { request: Request }) {
  const [tab, setTab] = useState<Tab>();
  const [attempt, setAttempt] = useState<number>();
  const run = useQuery(queries.run(request.run));
  const wait = run.data?.wait ?? run.data?.tasks[0]?.wait;
  // What a requester came for is the result.
  const opened = tab ?? (request.state === "succeeded" ? "result" : "overview");
  return (
    <div data-request-state={request.state}>
      <PageHead
        above={
          <Link to="/requests" className="link">
            Requests
          </Link>
        }
        title={`Request of ${request.analysis}`}
        sub={request.purpose || "No purpose was stated."}
        end={<StateBadge state={request.state} />}
      />
      <div className="stack">
        <Card label="About the request">
          <dl className="facts pad">
            <div>
              <dt>Request</dt>
              <dd>
                <code title={request.request}>{shortId(request.request)}</code>{" "}
                <Copy text={request.request} label="Copy the request's id" />
              </dd>
            </div>
            <div>
              <dt>Run</dt>
              <dd>
                <RunLink run={request.run} />
              </dd>
            </div>
            <div>
              <dt>Asked by</dt>
              <dd className="hostile">{request.principal}</dd>
            </div>
            <div>
              <dt>Made</dt>
              <dd>
                <Ago time={request.created_at} />
              </dd>
            </div>
            <div>
              <dt>Took</dt>
              <dd>
                <Took from={request.started_at} to={request.ended_at} />
              </dd>
            </div>
            <div>
              <dt>Exactly this version</dt>
              <dd>
                <Digest digest={request.analysis_digest} />
              </dd>
            </div>
            {Object.entries(request.inputs).map(([input, source]) => (
              <div key={input}>
                <dt className="hostile">Input {input}</dt>
                <dd>
                  <InputSource source={source} />
                </dd>
              </div>
            ))}
            <div>
              <dt>Parameters</dt>
              <dd className="hostile">
                <code style={{ whiteSpace: "pre-wrap" }}>{brief(request.params)}</code>
              </dd>
            </div>
          </dl>
        </Card>
        {wait && <WaitNote wait={wait} run={request.run} />}
        {(request.cause || request.message) && (
          <div className="why" data-tone={stateLook(request.state).tone}>
            <Icon name="info" size={16} />
            <div className="hostile">
              {request.cause && <strong>{causeText(request.cause)}: </strong>}
              {request.message}
            </div>
          </div>
        )}
        <TaskPanel
          at={{ run: request.run, task: request.task, index: -1 }}
          tab={opened}
          attempt={attempt}
          onTab={setTab}
          onAttempt={setAttempt}
        />
      </div>
    </div>
  );
}
