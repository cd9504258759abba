/** What the request form reads out of an analysis's manifest, which is any JSON to the client. */

import { isPlain } from "./json";

export interface ManifestInput {
  name: string;
  mediaType: string;
  description: string;
  optional: boolean;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The inputs that an analysis declares. */
export function manifestInputs(manifest: unknown): ManifestInput[] {
  if (!isPlain(manifest) || !isPlain(manifest.inputs)) return [];
  return Object.entries(manifest.inputs).map(([name, raw]) => {
    const input = isPlain(raw) ? raw : {};
    return {
      name,
      mediaType: text(input.media_type),
      description: text(input.description),
      optional: input.optional === true,
    };
  });
}

/** The JSON Schema of its parameters. */
export const manifestParams = (manifest: unknown): unknown =>
  isPlain(manifest) ? manifest.params : undefined;
