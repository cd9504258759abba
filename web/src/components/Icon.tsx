/** The page's own line drawings, 24 × 24. Decoration only: the words stand beside them. */

const PATHS = {
  dags: "M4 6.5a2 2 0 1 0 4 0 2 2 0 0 0-4 0M16 6.5a2 2 0 1 0 4 0 2 2 0 0 0-4 0M10 17.5a2 2 0 1 0 4 0 2 2 0 0 0-4 0M8 6.5h8M7.2 8.2l3.6 7.5M16.8 8.2l-3.6 7.5",
  runs: "M4 6h10M4 12h16M4 18h7M17 4.5v3M14.5 16.5v3",
  requests: "M5 4h14v12H9l-4 4zM9 8.5h6M9 12h4",
  datasets:
    "M5 6c0-1.7 3.1-3 7-3s7 1.3 7 3-3.1 3-7 3-7-1.3-7-3zM5 6v12c0 1.7 3.1 3 7 3s7-1.3 7-3V6M5 12c0 1.7 3.1 3 7 3s7-1.3 7-3",
  executors: "M4 4h16v6H4zM4 14h16v6H4zM7.5 7h.01M7.5 17h.01M11 7h5M11 17h5",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5 20 20",
  play: "M7 4.5v15l12-7.5z",
  stop: "M6 6h12v12H6z",
  download: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
  signout: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9",
  alert: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.4v.1",
  info: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M12 11v5.5M12 7.8v.1",
  hourglass:
    "M7 3.5h10M7 20.5h10M8 3.5c0 5 3 6 4 8.5 1-2.5 4-3.5 4-8.5M8 20.5c0-5 3-6 4-8.5 1 2.5 4 3.5 4 8.5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  expand: "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7",
  plus: "M12 5v14M5 12h14",
  down: "M6 9l6 6 6-6",
  up: "M6 15l6-6 6 6",
  wrap: "M4 6h16M4 12h13a3.5 3.5 0 0 1 0 7h-5M14 16.5 11.5 19l2.5 2.5M4 18h4",
  edit: "M4 20l1-4L16.5 4.5l3 3L8 19z",
  refresh: "M20 11a8 8 0 0 0-14.5-4L4 9M4 4v5h5M4 13a8 8 0 0 0 14.5 4l1.5-2M20 20v-5h-5",
  shield: "M12 3.5 5 6v5.5c0 4.5 3 7.6 7 9 4-1.4 7-4.5 7-9V6zM9 12l2.2 2.2L15.2 10",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark: a bell jar with one thing under it. */
export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#0b6e8f" />
      <path
        d="M9 23V14.5a7 7 0 0 1 14 0V23"
        fill="#fff"
        fillOpacity=".18"
        stroke="#fff"
        strokeWidth="2"
        strokeLinecap="round"
      />
      <path d="M6.5 24.5h19" stroke="#fff" strokeWidth="2.4" strokeLinecap="round" />
      <circle cx="16" cy="5.6" r="1.5" fill="#fff" />
      <circle cx="16" cy="18" r="3" fill="#fff" />
    </svg>
  );
}
