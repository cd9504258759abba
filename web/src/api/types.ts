/** Short names for the wire types, which are generated from the OpenAPI document. */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Analysis = Schemas["Analysis"];
export type AnalysisDetail = Schemas["AnalysisDetail"];
export type Artifact = Schemas["Artifact"];
export type Attempt = Schemas["Attempt"];
export type Dag = Schemas["Dag"];
export type DagDetail = Schemas["DagDetail"];
export type DagTask = Schemas["DagTask"];
export type Dataset = Schemas["Dataset"];
export type DatasetDetail = Schemas["DatasetDetail"];
export type DatasetUse = Schemas["DatasetUse"];
export type Diagnostic = Schemas["Diagnostic"];
export type Edge = Schemas["Edge"];
export type Event = Schemas["Event"];
export type Executor = Schemas["Executor"];
export type Pool = Schemas["Pool"];
export type PoolDetail = Schemas["PoolDetail"];
export type Problem = Schemas["Problem"];
export type Request = Schemas["Request"];
export type RequestCreate = Schemas["RequestCreate"];
export type Run = Schemas["Run"];
export type RunDetail = Schemas["RunDetail"];
export type RunState = Schemas["RunState"];
export type RunTask = Schemas["RunTask"];
export type TaskDetail = Schemas["TaskDetail"];
export type TaskState = Schemas["TaskState"];
export type Wait = Schemas["Wait"];
export type WaitReason = Schemas["WaitReason"];
export type WhoAmI = Schemas["WhoAmI"];

/** A page of a list. */
export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

/** One task instance of one run. */
export interface Instance {
  run: string;
  task: string;
  /** -1 where the task is not mapped. */
  index: number;
}
