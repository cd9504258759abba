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

/** Mantine's greys of the dark scheme, in the hue of our own surfaces. */
const dark: MantineColorsTuple = [
  "#e4e9ee",
  "#bcc6d0",
  "#9aa7b4",
  "#5d6976",
  "#3c4754",
  "#2f3945",
  "#222b35",
  "#171e26",
  "#11171e",
  "#0b1015",
];

export const theme = createTheme({
  colors: { petrol, dark },
  primaryColor: "petrol",
  primaryShade: 7,
  autoContrast: true,
  luminanceThreshold: 0.35,
  defaultRadius: 8,
  fontFamily: '"Inter Variable", system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif',
  fontFamilyMonospace:
    '"JetBrains Mono Variable", ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
  headings: { fontWeight: "640" },
  components: {
    // A dialog's head is no banner of the page, and its cross needs words.
    Modal: {
      defaultProps: {
        closeButtonProps: { "aria-label": "Close" },
        attributes: { header: { role: "presentation" } },
      },
    },
  },
  cursorType: "pointer",
  respectReducedMotion: true,
});
