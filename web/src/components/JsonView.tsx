/** JSON as a tree that unfolds, with tables where a list is one, and as text. All of it is text, never markup. */

import { Button, SegmentedControl } from "@mantine/core";
import { useState } from "react";
import { visible } from "../lib/ansi";
import { ExactNumber, isPlain, tableColumns } from "../lib/json";
import { Code, Copy, leading } from "./common";

/** The most entries of one list or object that are drawn before one asks for more. */
const ENTRIES = 100;

export function JsonView(props: {
  text: string;
  value: unknown;
  download?: { url: string; name: string };
  label: string;
}) {
  const [mode, setMode] = useState<"tree" | "text">("tree");
  return (
    <div>
      <div style={{ display: "flex", gap: 8, flexWrap: "wrap", alignItems: "center", marginBottom: 12 }}>
        <SegmentedControl
          size="xs"
          value={mode}
          onChange={(next) => setMode(next as "tree" | "text")}
          data={[
            { value: "tree", label: "Tree" },
            { value: "text", label: "JSON" },
          ]}
          aria-label="How to show it"
        />
        <span style={{ marginLeft: "auto", display: "flex", gap: 6, alignItems: "center" }}>
          <Copy text={props.text} label="Copy the JSON" />
          {props.download && (
            <Button
              component="a"
              href={props.download.url}
              download={props.download.name}
              variant="default"
              size="xs"
              leftSection={leading("download")}
            >
              Save
            </Button>
          )}
        </span>
      </div>
      {mode === "tree" ? (
        <section className="code tree" aria-label={props.label} tabIndex={0} style={{ whiteSpace: "normal" }}>
          <Node value={props.value} depth={0} />
        </section>
      ) : (
        <Code label={props.label}>{visible(pretty(props.value)).replaceAll("\u240a", "\n")}</Code>
      )}
    </div>
  );
}

/** Parameters in a few words: `timezone: "UTC"`, one a line; as JSON where they are nested. */
export function brief(value: unknown): string {
  if (!isPlain(value)) return pretty(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return "none";
  return entries.map(([key, item]) => `${visible(key)}: ${visible(JSON.stringify(item) ?? "")}`).join("\n");
}

/** Indented JSON with long numbers as they were written. */
export function pretty(value: unknown, indent = ""): string {
  if (value instanceof ExactNumber) return value.source;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => deeper + pretty(item, deeper)).join(",\n")}\n${indent}]`;
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return "{}";
  return `{\n${entries.map(([key, item]) => `${deeper}${JSON.stringify(key)}: ${pretty(item, deeper)}`).join(",\n")}\n${indent}}`;
}

function Node({ value, depth }: { value: unknown; depth: number }) {
  if (Array.isArray(value)) return <ListNode list={value} depth={depth} />;
  if (isPlain(value)) return <ObjectNode object={value} depth={depth} />;
  return <Leaf value={value} />;
}

function Leaf({ value }: { value: unknown }) {
  if (value instanceof ExactNumber) return <span className="num">{value.source}</span>;
  if (typeof value === "string") return <span className="str">{visible(value)}</span>;
  if (typeof value === "number") return <span className="num">{String(value)}</span>;
  return <span className="lit">{String(value)}</span>;
}

function ObjectNode({ object, depth }: { object: Record<string, unknown>; depth: number }) {
  const entries = Object.entries(object);
  const [shown, setShown] = useState(ENTRIES);
  if (entries.length === 0) return <span className="dim">{"{ }"}</span>;
  const list = (
    <ul style={depth === 0 ? { paddingLeft: 0, border: 0 } : undefined}>
      {entries.slice(0, shown).map(([key, item]) => (
        <li key={key}>
          <Entry name={key} value={item} depth={depth} />
        </li>
      ))}
      <MoreEntries count={entries.length} shown={shown} onMore={setShown} />
    </ul>
  );
  return list;
}

function Entry({ name, value, depth }: { name: string; value: unknown; depth: number }) {
  const size = Array.isArray(value) ? value.length : isPlain(value) ? Object.keys(value).length : -1;
  const label = <span className="key hostile">{visible(name)}</span>;
  if (size <= 0) {
    return (
      <>
        {label}: <Node value={value} depth={depth + 1} />
      </>
    );
  }
  return (
    <details open={depth < 1 && size <= 24}>
      <summary>
        {label}{" "}
        <span className="dim">
          {Array.isArray(value) ? `list of ${size}` : `${size} ${size === 1 ? "entry" : "entries"}`}
        </span>
      </summary>
      <Node value={value} depth={depth + 1} />
    </details>
  );
}

function ListNode({ list, depth }: { list: unknown[]; depth: number }) {
  const [shown, setShown] = useState(ENTRIES);
  if (list.length === 0) return <span className="dim">[ ]</span>;
  const columns = tableColumns(list);
  if (columns)
    return (
      <ListTable list={list as Record<string, unknown>[]} columns={columns} shown={shown} onMore={setShown} />
    );
  return (
    <ul>
      {list.slice(0, shown).map((item, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a list's entries have no other identity
        <li key={index}>
          <Entry name={String(index)} value={item} depth={depth} />
        </li>
      ))}
      <MoreEntries count={list.length} shown={shown} onMore={setShown} />
    </ul>
  );
}

function ListTable(props: {
  list: Record<string, unknown>[];
  columns: string[];
  shown: number;
  onMore: (n: number) => void;
}) {
  return (
    <>
      <table className="list">
        <thead>
          <tr>
            <th className="num" scope="col">
              <span className="visually-hidden">Place</span>
            </th>
            {props.columns.map((column) => (
              <th key={column} scope="col" className="hostile">
                {visible(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.list.slice(0, props.shown).map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a list's entries have no other identity
            <tr key={index}>
              <td className="num dim">{index}</td>
              {props.columns.map((column) => (
                <td key={column} className={typeof row[column] === "number" ? "num" : undefined}>
                  <Leaf value={row[column]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <MoreEntries count={props.list.length} shown={props.shown} onMore={props.onMore} />
    </>
  );
}

function MoreEntries({
  count,
  shown,
  onMore,
}: {
  count: number;
  shown: number;
  onMore: (n: number) => void;
}) {
  if (count <= shown) return null;
  return (
    <Button variant="subtle" size="compact-xs" onClick={() => onMore(shown + 10 * ENTRIES)}>
      {count - shown} more
    </Button>
  );
}
