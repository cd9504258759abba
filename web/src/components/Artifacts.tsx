/**
 * Artifacts, which are somebody else's files. Pictures are drawn as pictures, in which no script runs; HTML goes
 * into a frame without any right, to an address that the server itself sends with a sandboxing policy; text is
 * text; everything else can only be saved.
 */

import { Button, Modal } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { urls } from "../api/client";
import { queries } from "../api/queries";
import type { Artifact, Instance } from "../api/types";
import { visible } from "../lib/ansi";
import { bytes } from "../lib/duration";
import { Code, Digest, Empty, Loading, leading, ProblemNote } from "./common";

/** The most bytes of a text that are drawn. */
const TEXT_SHOWN = 512 << 10;

type Show = "picture" | "page" | "text" | "none";

/** How an artifact is shown. */
export function showAs({ media_type, inline, size }: Pick<Artifact, "media_type" | "inline" | "size">): Show {
  const type = (media_type.split(";")[0] ?? "").trim().toLowerCase();
  if (inline && type.startsWith("image/")) return "picture";
  if (inline && type === "text/html") return "page";
  const textual = type.startsWith("text/") || /[/+](json|x-ndjson|yaml|csv)$/.test(type);
  return textual && type !== "text/html" && size <= TEXT_SHOWN ? "text" : "none";
}

export function Artifacts({ at, artifacts }: { at: Instance; artifacts: Artifact[] }) {
  if (artifacts.length === 0) {
    return (
      <Empty title="No artifacts">
        <p>This analysis declares no files beside its result, or it has not succeeded.</p>
      </Empty>
    );
  }
  return (
    <div className="stack" style={{ gap: 28 }}>
      {artifacts.map((artifact) => (
        <ArtifactView key={artifact.name} at={at} artifact={artifact} />
      ))}
    </div>
  );
}

function ArtifactView({ at, artifact }: { at: Instance; artifact: Artifact }) {
  const [large, setLarge] = useState(false);
  const show = showAs(artifact);
  const file = artifact.path.split("/").at(-1) ?? artifact.name;
  return (
    <article aria-label={`Artifact ${artifact.name}`}>
      <div
        style={{ display: "flex", flexWrap: "wrap", gap: "4px 16px", alignItems: "center", marginBottom: 10 }}
      >
        <h3 className="hostile" style={{ margin: 0, fontSize: 15 }}>
          {artifact.name}
        </h3>
        <span style={{ color: "var(--mantine-color-dimmed)", fontSize: 13 }} className="hostile">
          <code>{artifact.path}</code> · {artifact.media_type} · {bytes(artifact.size)}
        </span>
        <span style={{ marginLeft: "auto", display: "flex", gap: 8, alignItems: "center" }}>
          <Digest digest={artifact.digest} />
          {show === "page" && (
            <Button
              variant="default"
              size="xs"
              leftSection={leading("expand")}
              onClick={() => setLarge(true)}
            >
              Enlarge
            </Button>
          )}
          <Button
            component="a"
            href={urls.artifact(at, artifact.name, false)}
            download={file}
            variant="default"
            size="xs"
            leftSection={leading("download")}
          >
            Save
          </Button>
        </span>
      </div>
      {show === "picture" && <Picture at={at} artifact={artifact} />}
      {show === "page" && <Frame at={at} artifact={artifact} />}
      {show === "text" && <TextFile at={at} artifact={artifact} />}
      {show === "none" && (
        <p style={{ margin: 0, color: "var(--mantine-color-dimmed)", fontSize: 14 }}>
          This file is not shown here; save it to look at it.
        </p>
      )}
      <Modal opened={large} onClose={() => setLarge(false)} fullScreen title={artifact.name}>
        {large && <Frame at={at} artifact={artifact} height="calc(100dvh - 96px)" />}
      </Modal>
    </article>
  );
}

function Picture({ at, artifact }: { at: Instance; artifact: Artifact }) {
  const [failed, setFailed] = useState(false);
  if (failed) return <p style={{ margin: 0 }}>This picture cannot be drawn.</p>;
  return (
    <div className="artifact-view">
      <img
        src={urls.artifact(at, artifact.name, true)}
        alt={`Artifact ${artifact.name}`}
        onError={() => setFailed(true)}
      />
    </div>
  );
}

function Frame({ at, artifact, height }: { at: Instance; artifact: Artifact; height?: string }) {
  return (
    <div className="artifact-view">
      {/* An empty `sandbox` takes every right away: no scripts, no forms, an origin of its own. */}
      <iframe
        sandbox=""
        referrerPolicy="no-referrer"
        src={urls.artifact(at, artifact.name, true)}
        title={`Artifact ${artifact.name}`}
        style={height ? { height } : undefined}
      />
    </div>
  );
}

function TextFile({ at, artifact }: { at: Instance; artifact: Artifact }) {
  const query = useQuery(queries.text(artifact.digest, urls.artifact(at, artifact.name, false)));
  if (query.isError) return <ProblemNote error={query.error} retry={() => void query.refetch()} />;
  if (query.data === undefined) return <Loading rows={2} />;
  return (
    <Code label={`Artifact ${artifact.name}`} height={320}>
      {query.data.split("\n").map(visible).join("\n")}
    </Code>
  );
}
