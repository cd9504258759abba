import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // A data: URL would be refused by the Content-Security-Policy; everything is a file of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
    chunkSizeWarningLimit: 800,
  },
  server: {
    // `npm run dev` beside a server that was started by `make demo`.
    proxy: { "/api": { target: process.env.BELLJAR_SERVER ?? "http://127.0.0.1:8686", changeOrigin: true } },
  },
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
  },
});
