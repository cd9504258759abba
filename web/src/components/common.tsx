/** Small pieces that most pages share. */

import { ActionIcon, Alert, Button, CopyButton, Skeleton, Tooltip } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { ReactNode } from "react";
import { ApiProblem, notFound, passing } from "../api/problem";
import { useNow } from "../lib/clock";
import { ago, between, duration, moment, shortDigest } from "../lib/duration";
import { Icon, type IconName } from "./Icon";

/** A page's heading, with the document's title. */
export function PageHead(props: { title: string; sub?: ReactNode; above?: ReactNode; end?: ReactNode }) {
  useDocumentTitle(`${props.title} · Belljar`);
  return (
    <div className="page-head">
      <div style={{ minWidth: 0 }}>
        {props.above && <div className="crumbs">{props.above}</div>}
        <h1 className="hostile">{props.title}</h1>
        {props.sub && <div className="sub hostile">{props.sub}</div>}
      </div>
      {props.end && <div className="end">{props.end}</div>}
    </div>
  );
}

export function Card(props: { title?: ReactNode; end?: ReactNode; children: ReactNode; label?: string }) {
  return (
    <section className="card" aria-label={props.label}>
      {props.title && (
        <header>
          <h2>{props.title}</h2>
          {props.end && <div className="end">{props.end}</div>}
        </header>
      )}
      {props.children}
    </section>
  );
}

/** Wide tables scroll in here; the frame can be focused, so that they scroll by keyboard too. */
export function TableWrap({ label, children }: { label: string; children: ReactNode }) {
  return (
    <section className="table-wrap" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}

export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="empty">
      <h3>{title}</h3>
      {children}
    </div>
  );
}

export function Command({ children }: { children: string }) {
  return (
    <span style={{ display: "inline-flex", gap: 6, alignItems: "center", maxWidth: "100%" }}>
      <code className="cmd">{children}</code>
      <Copy text={children} label="Copy the command" />
    </span>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : label} withArrow>
          <ActionIcon variant="subtle" color="gray" size={24} my={-4} onClick={copy} aria-label={label}>
            <Icon name="copy" size={16} />
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** A digest's beginning; the whole of it on the clipboard. */
export function Digest({ digest }: { digest: string }) {
  return (
    <span style={{ display: "inline-flex", alignItems: "center", gap: 4 }}>
      <code title={digest} className="nowrap">
        {shortDigest(digest).replace("sha256:", "")}
      </code>
      <Copy text={digest} label="Copy the digest" />
    </span>
  );
}

/** What went wrong, in the server's words. */
export function ProblemNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = error instanceof ApiProblem ? error.problem : undefined;
  const gone = !problem && passing(error);
  const title = problem?.title ?? (gone ? "The server does not answer" : "Something went wrong");
  return (
    <Alert color="red" variant="light" title={title} icon={<Icon name="alert" />} role="alert">
      <div className="hostile">
        {problem?.detail ??
          (gone
            ? "This page tries again by itself."
            : error instanceof Error
              ? error.message
              : String(error))}
      </div>
      {problem?.errors && problem.errors.length > 0 && (
        <ul style={{ margin: "8px 0 0", paddingLeft: 18 }}>
          {problem.errors.map((each) => (
            <li key={`${each.code}${each.pointer}${each.message}`} className="hostile">
              {each.pointer && <code>{each.pointer}</code>} {each.message}
              {each.help ? `. ${each.help}` : ""}
            </li>
          ))}
        </ul>
      )}
      {problem && (
        <div style={{ marginTop: 8, fontSize: 12.5, opacity: 0.85 }}>
          {problem.code} · call <code>{problem.request_id}</code>
        </div>
      )}
      {retry && (
        <Button variant="default" size="xs" mt="sm" onClick={retry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}

/** A whole page that could not be read. */
export function PageProblem({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <>
      <PageHead title={notFound(error) ? "There is no such thing" : "This cannot be shown"} />
      <ProblemNote error={error} retry={retry} />
    </>
  );
}

/** Grey bars in the place of what is being read. */
export function Loading({ rows = 4 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" style={{ padding: 16, display: "grid", gap: 14 }}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: bars have no identity
        <Skeleton key={row} height={18} width={`${92 - ((row * 17) % 40)}%`} radius="sm" />
      ))}
    </div>
  );
}

/** Text as it is, in a frame that scrolls and can be focused. */
export function Code({ label, children, height }: { label: string; children: string; height?: number }) {
  return (
    <section
      className="code"
      aria-label={label}
      tabIndex={0}
      style={height ? { maxHeight: height } : undefined}
    >
      <pre>{children}</pre>
    </section>
  );
}

/** How long ago; the exact moment when asked. */
export function Ago({ time }: { time: string }) {
  const now = useNow();
  return (
    <time dateTime={time} title={moment(time)} className="nowrap nums">
      {ago(time, now)}
    </time>
  );
}

/** How long from one moment to another, or to now while it lasts. */
export function Took({ from, to }: { from?: string | null; to?: string | null }) {
  return to || !from ? <TookText ms={between(from, to, 0)} /> : <TookLive from={from} />;
}

function TookLive({ from }: { from: string }) {
  return <TookText ms={between(from, null, useNow())} />;
}

function TookText({ ms }: { ms?: number }) {
  return <span className="nowrap nums">{ms === undefined ? "–" : duration(ms)}</span>;
}

export function More({
  query,
}: {
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
}) {
  if (!query.hasNextPage) return null;
  return (
    <div style={{ padding: 12, textAlign: "center" }}>
      <Button
        variant="default"
        size="sm"
        loading={query.isFetchingNextPage}
        onClick={() => void query.fetchNextPage()}
      >
        Show more
      </Button>
    </div>
  );
}

/** A button with a drawing. */
export const leading = (name: IconName) => <Icon name={name} size={16} />;
