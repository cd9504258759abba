/** Starts the pages. */

import "@mantine/core/styles.css";
import "./styles/fonts.css";
import "./styles/app.css";

import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { newCache } from "./api/queries";
import { newRouter } from "./router";
import { theme } from "./theme";

/** The answer's nonce, under which Mantine's own style elements are allowed. */
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";

// For the style element with which Mantine's dialogs stop the page behind them from scrolling.
setNonce(nonce);

const cache = newCache();
const router = newRouter(cache);
const element = document.getElementById("root");
if (!element) throw new Error("the page has no element #root");

createRoot(element).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={cache}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
