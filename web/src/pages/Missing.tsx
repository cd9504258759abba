/** What is shown where there is nothing, or where a page broke. */

import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Card, Empty, ProblemNote } from "../components/common";

export function Missing() {
  return (
    <Card>
      <Empty title="There is no such page">
        <p>The address may be mistyped, or what it led to is gone.</p>
        <Button component={Link} to="/dags" variant="default">
          To the DAGs
        </Button>
      </Empty>
    </Card>
  );
}

export function Broken({ error }: { error: unknown }) {
  return (
    <div style={{ padding: 24 }}>
      <ProblemNote error={error} retry={() => location.reload()} />
    </div>
  );
}
