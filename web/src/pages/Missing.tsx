/** What is shown where there is nothing, or where a page broke. */

import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { PageHead, ProblemNote } from "../components/common";

export function Missing() {
  return (
    <>
      <PageHead title="There is no such page" sub="The address may be mistyped, or what it led to is gone." />
      <Button component={Link} to="/dags" variant="default">
        To the DAGs
      </Button>
    </>
  );
}

export function Broken({ error }: { error: unknown }) {
  return (
    <div style={{ padding: 24 }}>
      <ProblemNote error={error} retry={() => location.reload()} />
    </div>
  );
}
