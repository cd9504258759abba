/** States as drawings and words. The silhouette differs as much as the colour: circle, octagon, square, ring. */

import { Tooltip } from "@mantine/core";
import type { ReactNode } from "react";
import { type Glyph, type State, stateLook } from "../lib/state";

const OCTAGON = "M6.2 1.5h5.6l4.7 4.7v5.6l-4.7 4.7H6.2l-4.7-4.7V6.2z";
const disc = <circle cx="9" cy="9" r="8" fill="currentColor" />;
const ring = <circle cx="9" cy="9" r="7" fill="none" stroke="currentColor" strokeWidth="1.8" />;
const octagon = <path d={OCTAGON} fill="currentColor" />;
const on = (d: string) => (
  <path className="on" d={d} strokeWidth="1.9" strokeLinecap="round" strokeLinejoin="round" />
);
const line = (d: string) => (
  <path
    d={d}
    fill="none"
    stroke="currentColor"
    strokeWidth="1.8"
    strokeLinecap="round"
    strokeLinejoin="round"
  />
);

const GLYPHS: Record<Glyph, ReactNode> = {
  check: (
    <>
      {disc}
      {on("M5.4 9.3l2.5 2.5 4.8-5.2")}
    </>
  ),
  cross: (
    <>
      {octagon}
      {on("M6.3 6.3l5.4 5.4M11.7 6.3l-5.4 5.4")}
    </>
  ),
  "clock-out": (
    <>
      {octagon}
      {on("M9 5.2V9l2.7 1.8")}
    </>
  ),
  bolt: (
    <>
      {octagon}
      {on("M9.8 4.6L6.6 9.6h4.6L8.2 13.6")}
    </>
  ),
  up: (
    <>
      <path d={OCTAGON} fill="none" stroke="currentColor" strokeWidth="1.7" />
      {line("M9 12.6V5.8M6.2 8.4L9 5.6l2.8 2.8")}
    </>
  ),
  slash: (
    <>
      <rect x="1.5" y="1.5" width="15" height="15" rx="3.5" fill="currentColor" />
      {on("M5.6 12.4l6.8-6.8")}
    </>
  ),
  "slash-open": (
    <>
      <rect
        x="2.2"
        y="2.2"
        width="13.6"
        height="13.6"
        rx="3.2"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.8"
      />
      {line("M5.8 12.2l6.4-6.4")}
    </>
  ),
  skip: (
    <>
      {ring}
      {line("M5.8 6.2L8.6 9l-2.8 2.8M9.4 6.2L12.2 9l-2.8 2.8")}
    </>
  ),
  minus: (
    <>
      {ring}
      {line("M6 9h6")}
    </>
  ),
  spin: (
    <>
      <circle cx="9" cy="9" r="7" fill="none" stroke="currentColor" strokeWidth="2" opacity=".28" />
      <path
        className="turn"
        d="M9 2a7 7 0 0 1 7 7"
        fill="none"
        stroke="currentColor"
        strokeWidth="2.2"
        strokeLinecap="round"
      />
      <circle cx="9" cy="9" r="2.6" fill="currentColor" />
    </>
  ),
  half: (
    <>
      {ring}
      <path d="M9 4a5 5 0 0 1 0 10z" fill="currentColor" />
    </>
  ),
  dot: (
    <>
      {ring}
      <circle cx="9" cy="9" r="2.8" fill="currentColor" />
    </>
  ),
  dashed: (
    <circle
      cx="9"
      cy="9"
      r="7"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeDasharray="2.6 2.9"
    />
  ),
  clock: (
    <>
      {ring}
      {line("M9 5.4V9l2.4 1.6")}
    </>
  ),
  pause: (
    <>
      {ring}
      {line("M7.2 6.4v5.2M10.8 6.4v5.2")}
    </>
  ),
  retry: <>{line("M14.9 7A6.4 6.4 0 1 0 15.4 10M15.4 3.4V7h-3.6")}</>,
};

/** The drawing alone; give it words beside or around it. */
export function StateIcon({ state, size = 18 }: { state: State; size?: number }) {
  const { glyph, tone } = stateLook(state);
  return (
    <svg
      className="state-icon"
      data-tone={tone}
      width={size}
      height={size}
      viewBox="0 0 18 18"
      aria-hidden="true"
      focusable="false"
    >
      {GLYPHS[glyph]}
    </svg>
  );
}

/** Drawing and word. */
export function StateBadge({ state }: { state: State }) {
  const { label, tone, meaning } = stateLook(state);
  return (
    <Tooltip label={meaning} openDelay={400} withArrow>
      <span className="state" data-tone={tone} data-state={state}>
        <StateIcon state={state} size={16} />
        {label}
      </span>
    </Tooltip>
  );
}
