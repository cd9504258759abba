/** Errors of calls, as the page handles them. */

import type { Problem } from "./types";

/** The server answered with a problem (RFC 9457), or with something else that is no success. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem | undefined,
  ) {
    super(problem?.detail || problem?.title || `The server answered with status ${status}`);
    this.name = "ApiProblem";
  }
}

/** Reads the problem out of an answer that is no success. */
export function problemOf(status: number, body: unknown): ApiProblem {
  const problem =
    typeof body === "object" && body !== null && "code" in body && "title" in body
      ? (body as Problem)
      : undefined;
  return new ApiProblem(status, problem);
}

/** Whether the same call may succeed a little later. */
export function passing(error: unknown): boolean {
  if (error instanceof ApiProblem)
    return error.status === 503 || error.status === 429 || error.status === 502;
  // fetch throws a TypeError where nothing answered.
  return error instanceof TypeError;
}

/** Whether the caller is not signed in (any more). */
export const signedOut = (error: unknown): boolean => error instanceof ApiProblem && error.status === 401;

/** Whether there is no such thing. */
export const notFound = (error: unknown): boolean => error instanceof ApiProblem && error.status === 404;
