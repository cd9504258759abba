/** Result and receipt: JSON documents by their digest. */

import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { JSON_SHOWN, queries } from "../api/queries";
import { bytes } from "../lib/duration";
import { Digest, Empty, Loading, leading, ProblemNote } from "./common";
import { JsonView } from "./JsonView";

interface Props {
  blob: { digest: string; size: number } | null | undefined;
  url: string;
  name: string;
  label: string;
  missing: { title: string; text: string };
}

export function JsonDocument({ blob, url, name, label, missing }: Props) {
  if (!blob) {
    return (
      <Empty title={missing.title}>
        <p>{missing.text}</p>
      </Empty>
    );
  }
  return (
    <div>
      <div style={{ display: "flex", gap: 12, alignItems: "center", marginBottom: 10, fontSize: 13 }}>
        <Digest digest={blob.digest} />
        <span style={{ color: "var(--mantine-color-dimmed)" }}>{bytes(blob.size)}</span>
      </div>
      {blob.size > JSON_SHOWN ? (
        <Empty title="Too large to draw">
          <Button
            component="a"
            href={url}
            download={name}
            variant="default"
            leftSection={leading("download")}
          >
            Save
          </Button>
        </Empty>
      ) : (
        <Document digest={blob.digest} url={url} name={name} label={label} />
      )}
    </div>
  );
}

function Document({
  digest,
  url,
  name,
  label,
}: {
  digest: string;
  url: string;
  name: string;
  label: string;
}) {
  const query = useQuery(queries.document(digest, url));
  if (query.isError) return <ProblemNote error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading />;
  return <JsonView text={query.data.text} value={query.data.value} download={{ url, name }} label={label} />;
}
