/** A log while it is written: only the lines in sight are drawn, and all of them as text. */

import { ActionIcon, Button, SegmentedControl, Switch, TextInput, Tooltip } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { urls } from "../api/client";
import type { Attempt, Instance } from "../api/types";
import { bytes } from "../lib/duration";
import { type LogView as Followed, follow, type LogState } from "../lib/follow";
import { type LogLine, search } from "../lib/log-buffer";
import { leading, ProblemNote } from "./common";
import { Icon } from "./Icon";

type Stream = "stdout" | "stderr";

export function LogView({ at, attempt }: { at: Instance; attempt: Attempt }) {
  const [chosen, setChosen] = useState<Stream>();
  // A program that failed mostly says why on stderr.
  const stream =
    chosen ?? (attempt.logs.stdout.size === 0 && attempt.logs.stderr.size > 0 ? "stderr" : "stdout");
  const log = attempt.logs[stream];
  return (
    <StreamView
      key={`${attempt.fence}/${stream}`}
      at={at}
      attempt={attempt}
      stream={stream}
      truncated={log.truncated}
      picker={
        <SegmentedControl
          size="xs"
          value={stream}
          onChange={(next) => setChosen(next as Stream)}
          aria-label="Which stream"
          data={(["stdout", "stderr"] as const).map((name) => ({
            value: name,
            label: label(name, attempt.logs[name].size),
          }))}
        />
      }
    />
  );
}

const label = (name: Stream, size: number) => (size > 0 ? `${name} · ${bytes(size)}` : name);

function useLog(
  at: Instance,
  fence: number,
  stream: Stream,
): { view: Followed | undefined; version: number } {
  const [view, setView] = useState<{ view: Followed; version: number }>();
  const { run, task, index } = at;
  useEffect(() => {
    const stop = new AbortController();
    let frame = 0;
    let version = 0;
    void follow({ run, task, index }, fence, stream, stop.signal, (next) => {
      version += 1;
      cancelAnimationFrame(frame);
      // Many pieces in one frame are drawn once.
      frame = requestAnimationFrame(() => setView({ view: next, version }));
    });
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, [run, task, index, fence, stream]);
  return { view: view?.view, version: view?.version ?? 0 };
}

const STATE_TEXT: Record<LogState, [string, string]> = {
  reading: ["busy", "Reading"],
  live: ["good", "Following"],
  complete: ["calm", "Complete"],
  lost: ["warn", "Waiting for the server"],
  failed: ["bad", "Cannot be read"],
};

interface StreamProps {
  at: Instance;
  attempt: Attempt;
  stream: Stream;
  truncated: boolean;
  picker: React.ReactNode;
}

function StreamView({ at, attempt, stream, truncated, picker }: StreamProps) {
  const { view, version } = useLog(at, attempt.fence, stream);
  const [needle, setNeedle] = useState("");
  const [hit, setHit] = useState(0);
  const [wrap, setWrap] = useState(false);
  const [stick, setStick] = useState(true);
  const lines = view?.buffer.lines ?? [];
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` says that the lines are others
  const hits = useMemo(() => search(lines, needle), [version, needle]);
  const at_ = hits.length === 0 ? undefined : hits[((hit % hits.length) + hits.length) % hits.length];
  const [tone, text] = STATE_TEXT[view?.state ?? "reading"];
  const step = (by: number) => {
    setStick(false);
    setHit((old) => old + by);
  };
  return (
    <div>
      <div style={{ display: "flex", flexWrap: "wrap", gap: 10, alignItems: "center", marginBottom: 12 }}>
        {picker}
        <span className="live" data-tone={tone} role="status" data-log-state={view?.state ?? "reading"}>
          <i aria-hidden="true" />
          {text}
        </span>
        <span style={{ marginLeft: "auto", display: "flex", gap: 8, alignItems: "center", flexWrap: "wrap" }}>
          <TextInput
            size="xs"
            type="search"
            aria-label="Search the log"
            placeholder="Search"
            leftSection={leading("search")}
            value={needle}
            onChange={(event) => {
              setNeedle(event.currentTarget.value);
              setHit(0);
              setStick(false);
            }}
            onKeyDown={(event) => event.key === "Enter" && step(event.shiftKey ? -1 : 1)}
            w={170}
          />
          {needle !== "" && (
            <>
              <span className="nums" role="status" style={{ fontSize: 13 }}>
                {hits.length === 0
                  ? "none"
                  : `${(((hit % hits.length) + hits.length) % hits.length) + 1} of ${hits.length}`}
              </span>
              <ActionIcon
                variant="default"
                aria-label="Previous match"
                onClick={() => step(-1)}
                disabled={hits.length === 0}
              >
                <Icon name="up" size={16} />
              </ActionIcon>
              <ActionIcon
                variant="default"
                aria-label="Next match"
                onClick={() => step(1)}
                disabled={hits.length === 0}
              >
                <Icon name="down" size={16} />
              </ActionIcon>
            </>
          )}
          <Tooltip label={wrap ? "Long lines scroll" : "Wrap long lines"} withArrow>
            <ActionIcon
              variant={wrap ? "filled" : "default"}
              aria-label="Wrap long lines"
              aria-pressed={wrap}
              onClick={() => setWrap(!wrap)}
            >
              <Icon name="wrap" size={16} />
            </ActionIcon>
          </Tooltip>
          <Switch
            size="sm"
            label="Follow"
            checked={stick}
            onChange={(event) => setStick(event.currentTarget.checked)}
          />
          <Button
            component="a"
            href={urls.log(at, attempt.fence, stream, { limit: 4_194_304 })}
            download={`${at.run}-${at.task}-${attempt.fence}-${stream}.log`}
            variant="default"
            size="xs"
            leftSection={leading("download")}
          >
            Save
          </Button>
        </span>
      </div>
      {view?.state === "failed" && <ProblemNote error={view.error} />}
      <Lines
        lines={lines}
        version={version}
        wrap={wrap}
        stick={stick}
        onScrollAway={() => setStick(false)}
        at={at_}
        hits={hits}
      />
      {lines.length === 0 && view?.state === "complete" && (
        <p style={{ margin: "8px 0 0", color: "var(--mantine-color-dimmed)", fontSize: 13 }}>
          The program wrote nothing to {stream}.
        </p>
      )}
      {truncated && (
        <p style={{ margin: "8px 0 0", color: "var(--bj-warn-ink)", fontSize: 13 }}>
          The program wrote more than is kept; the rest is gone.
        </p>
      )}
    </div>
  );
}

const LINE_PX = 20;

interface LinesProps {
  lines: LogLine[];
  version: number;
  wrap: boolean;
  stick: boolean;
  onScrollAway: () => void;
  at: number | undefined;
  hits: number[];
}

function Lines({ lines, version, wrap, stick, onScrollAway, at, hits }: LinesProps) {
  const frame = useRef<HTMLDivElement>(null);
  const marked = useMemo(() => new Set(hits), [hits]);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => LINE_PX,
    overscan: 24,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines move the end
  useEffect(() => {
    if (stick && lines.length > 0) rows.scrollToIndex(lines.length - 1, { align: "end" });
  }, [version, stick, wrap]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only another match moves the view
  useEffect(() => {
    if (at !== undefined) rows.scrollToIndex(at, { align: "center" });
  }, [at]);
  return (
    <div
      ref={frame}
      className={wrap ? "log wrap" : "log"}
      role="log"
      aria-label="Log"
      aria-live="off"
      tabIndex={0}
      style={{ height: `clamp(120px, ${lines.length * LINE_PX + 24}px, min(56vh, 620px))` }}
      onWheel={(event) => event.deltaY < 0 && onScrollAway()}
      onKeyDown={(event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && onScrollAway()}
    >
      <div
        style={{
          height: rows.getTotalSize(),
          position: "relative",
          minWidth: "100%",
          width: wrap ? "100%" : "max-content",
        }}
      >
        {rows.getVirtualItems().map((row) => {
          const line = lines[row.index];
          if (!line) return null;
          const look = marked.has(row.index) ? (row.index === at ? "line hit at" : "line hit") : "line";
          return (
            <div
              key={row.key}
              ref={rows.measureElement}
              data-index={row.index}
              className={look}
              style={{ transform: `translateY(${row.start}px)` }}
            >
              <span className="no" aria-hidden="true">
                {line.number}
              </span>
              <bdi>
                {line.pieces.map((piece, index) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no other identity
                  <span key={index} className={piece.classes || undefined} style={styleOf(piece)}>
                    {piece.text}
                  </span>
                ))}
                {line.cut > 0 && <span className="cut">… {line.cut} more characters</span>}
              </bdi>
            </div>
          );
        })}
      </div>
    </div>
  );
}

function styleOf({
  color,
  background,
}: {
  color?: string;
  background?: string;
}): React.CSSProperties | undefined {
  return color || background ? { color, background } : undefined;
}
