/** Every dataset. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { itemsOf, queries } from "../api/queries";
import {
  Ago,
  Card,
  Command,
  Empty,
  Loading,
  More,
  PageHead,
  ProblemNote,
  TableWrap,
} from "../components/common";
import { DatasetLink } from "../components/Links";

export function DatasetsPage() {
  const query = useInfiniteQuery(queries.datasets());
  const datasets = itemsOf(query.data);
  return (
    <>
      <PageHead
        title="Datasets"
        sub="Named data with an owner. Every version is kept as it was put in, under its SHA-256."
      />
      {query.isError && <ProblemNote error={query.error} retry={() => void query.refetch()} />}
      <Card label="Datasets">
        {query.isPending && <Loading />}
        {query.data && datasets.length === 0 && (
          <Empty title="No datasets yet">
            <p>Put a file in under a name; the same name again with other bytes makes the next version:</p>
            <Command>belljar dataset put posts export.csv --media-type text/csv</Command>
          </Empty>
        )}
        {datasets.length > 0 && (
          <TableWrap label="Datasets as a table">
            <table className="list">
              <thead>
                <tr>
                  <th scope="col">Dataset</th>
                  <th scope="col" className="wide">
                    Description
                  </th>
                  <th scope="col">Owner</th>
                  <th scope="col" className="num">
                    Versions
                  </th>
                  <th scope="col">First put in</th>
                </tr>
              </thead>
              <tbody>
                {datasets.map((one) => (
                  <tr key={one.dataset}>
                    <td>
                      <strong>
                        <DatasetLink dataset={one.dataset} />
                      </strong>
                    </td>
                    <td className="wide hostile" style={{ maxWidth: 420 }}>
                      {one.description || "–"}
                    </td>
                    <td className="hostile">{one.owner}</td>
                    <td className="num">{one.latest}</td>
                    <td>
                      <Ago time={one.created_at} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableWrap>
        )}
        <More query={query} />
      </Card>
    </>
  );
}
