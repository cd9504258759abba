/** A graph of tasks. Loaded only where one is shown. A table beside it says the same. */

import "@xyflow/react/dist/style.css";

import { useMantineColorScheme } from "@mantine/core";
import {
  Background,
  type Edge as FlowEdge,
  Handle,
  MarkerType,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
  useReactFlow,
} from "@xyflow/react";
import { memo, useEffect, useMemo, useRef } from "react";
import { layout, NODE } from "../lib/layout";
import { type State, stateLook } from "../lib/state";
import { StateIcon } from "./StateIcon";

export interface GraphNode {
  id: string;
  title: string;
  /** None where the graph is of a DAG and not of a run. */
  state?: State;
  note?: string;
}

interface Props {
  nodes: GraphNode[];
  edges: { from: string; to: string }[];
  label: string;
  selected?: string;
  onSelect?: (id: string) => void;
}

type TaskNode = Node<{ item: GraphNode; selected: boolean; onSelect?: (id: string) => void }, "task">;

/** Above this many nodes only those in sight are drawn. */
const MANY = 150;

const TaskBox = memo(function TaskBox({ data }: NodeProps<TaskNode>) {
  const { item, selected, onSelect } = data;
  const look = item.state && stateLook(item.state);
  const body = (
    <>
      {item.state && <StateIcon state={item.state} size={20} />}
      <span>
        <span className="t">{item.title}</span>
        <span className="s">{look?.label ?? item.note}</span>
      </span>
    </>
  );
  return (
    <>
      <Handle type="target" position={Position.Left} isConnectable={false} style={{ opacity: 0 }} />
      {onSelect ? (
        <button
          type="button"
          className="graph-node nodrag nopan"
          data-tone={look?.tone ?? "calm"}
          data-task={item.id}
          data-state={item.state}
          aria-pressed={selected}
          aria-label={`Task ${item.title}${look ? `, ${look.label}` : ""}`}
          onClick={() => onSelect(item.id)}
        >
          {body}
        </button>
      ) : (
        <div className="graph-node" data-tone="calm" style={{ cursor: "default" }}>
          {body}
        </div>
      )}
      <Handle type="source" position={Position.Right} isConnectable={false} style={{ opacity: 0 }} />
    </>
  );
});

const NODE_TYPES = { task: TaskBox };

export default function Graph({ nodes, edges, label, selected, onSelect }: Props) {
  const { colorScheme } = useMantineColorScheme();
  // The places depend on names and edges only, so nothing moves while states change.
  const shape = JSON.stringify([nodes.map(({ id }) => id), edges]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for nodes and edges
  const places = useMemo(
    () =>
      layout(
        nodes.map(({ id }) => id),
        edges,
      ),
    [shape],
  );
  const flowNodes = nodes.map((item, index): TaskNode => {
    const place = places.nodes[index];
    return {
      id: item.id,
      type: "task",
      position: { x: place?.x ?? 0, y: place?.y ?? 0 },
      width: NODE.width,
      height: NODE.height,
      data: { item, selected: item.id === selected, onSelect },
      draggable: false,
      selectable: false,
      focusable: false,
    };
  });
  const flowEdges = useMemo(
    () =>
      edges.map(
        ({ from, to }): FlowEdge => ({
          id: `${from}→${to}`,
          source: from,
          target: to,
          focusable: false,
          selectable: false,
          style: { strokeWidth: 1.6 },
          markerEnd: { type: MarkerType.ArrowClosed, width: 16, height: 16, color: "var(--bj-line-strong)" },
        }),
      ),
    [edges],
  );
  const frame = useRef<HTMLElement>(null);
  return (
    <section
      ref={frame}
      className="graph"
      aria-label={label}
      style={{ height: Math.min(Math.max(places.height + 72, 170), 460) }}
    >
      <ReactFlow
        nodes={flowNodes}
        edges={flowEdges}
        nodeTypes={NODE_TYPES}
        colorMode={colorScheme === "auto" ? "system" : colorScheme}
        fitView
        fitViewOptions={{ padding: 0.12, maxZoom: 1 }}
        minZoom={0.1}
        maxZoom={1.6}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        onlyRenderVisibleElements={nodes.length > MANY}
        zoomOnScroll={false}
        preventScrolling={false}
        disableKeyboardA11y
      >
        <Background gap={22} size={1} color="var(--bj-line)" />
        <Refit frame={frame} shape={shape} />
      </ReactFlow>
    </section>
  );
}

/** Fits the graph into its frame again when either changes its size. */
function Refit({ frame, shape }: { frame: React.RefObject<HTMLElement | null>; shape: string }) {
  const { fitView } = useReactFlow();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another shape is another size
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(() => void fitView({ padding: 0.12, maxZoom: 1 }));
    observer.observe(element);
    return () => observer.disconnect();
  }, [frame, fitView, shape]);
  return null;
}
