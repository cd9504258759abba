/** Mantine's theme: one accent, Inter, calm corners. Colours of states are in styles/app.css. */

import { createTheme, type MantineColorsTuple } from "@mantine/core";

const petrol: MantineColorsTuple = [
  "#e8f7fb",
  "#cfecf5",
  "#a0d9ea",
  "#6cc4de",
  "#43b0d1",
  "#2a9bbf",
  "#1685a9",
  "#0b6e8f",
  "#075873",
  "#04435a",
];

export const theme = createTheme({
  colors: { petrol },
  primaryColor: "petrol",
  primaryShade: { light: 7, dark: 3 },
  autoContrast: true,
  luminanceThreshold: 0.35,
  defaultRadius: 8,
  fontFamily: '"Inter Variable", system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif',
  fontFamilyMonospace:
    '"JetBrains Mono Variable", ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
  headings: { fontWeight: "640" },
  cursorType: "pointer",
  respectReducedMotion: true,
});
