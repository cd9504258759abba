/** Where a graph's nodes stand: left to right, by dagre. */

import dagre from "@dagrejs/dagre";

export const NODE = { width: 220, height: 62 };

export interface Placed {
  id: string;
  x: number;
  y: number;
}

export interface Layout {
  nodes: Placed[];
  width: number;
  height: number;
}

/** The places of the nodes' upper left corners. The same names and edges always give the same places. */
export function layout(ids: string[], edges: { from: string; to: string }[]): Layout {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 24, ranksep: 72, marginx: 0, marginy: 0 });
  graph.setDefaultEdgeLabel(() => ({}));
  // By name, so that a DAG and its runs are drawn alike, in whatever order they come.
  for (const id of [...ids].sort()) graph.setNode(id, { ...NODE });
  const known = new Set(ids);
  for (const { from, to } of [...edges].sort(byName))
    if (known.has(from) && known.has(to)) graph.setEdge(from, to);
  dagre.layout(graph);
  const nodes = ids.map((id) => {
    const { x, y } = graph.node(id);
    return { id, x: x - NODE.width / 2, y: y - NODE.height / 2 };
  });
  return {
    nodes,
    width: Math.max(0, ...nodes.map(({ x }) => x + NODE.width)),
    height: Math.max(0, ...nodes.map(({ y }) => y + NODE.height)),
  };
}

function byName(a: { from: string; to: string }, b: { from: string; to: string }): number {
  return a.from.localeCompare(b.from) || a.to.localeCompare(b.to);
}
