/**
 * Colours in logs. Uses ansi_up for reading the escape sequences only: what it reads becomes pieces of plain
 * text with a look, which React renders as text. No HTML is made, so a hostile log has nothing to inject into.
 */

import { AnsiUp } from "ansi_up";

/** A piece of a line in one look. */
export interface Piece {
  text: string;
  /** CSS classes; none for plain text. */
  classes: string;
  /** Colours outside the 16 named ones, as `rgb(…)`. */
  color?: string;
  background?: string;
}

interface Colour {
  rgb: number[];
  class_name: string;
}

interface Fragment {
  text: string;
  bold: boolean;
  faint: boolean;
  italic: boolean;
  underline: boolean;
  fg: Colour | null;
  bg: Colour | null;
}

// Control characters (but tab), and characters that reorder or hide text: shown as a mark instead.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this finds
const UNSEEN = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with every character that cannot be seen, or that reorders others, made visible. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (char) => {
    const code = char.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : "\ufffd";
  });
}

/** Reads one log, line by line; a colour that a line leaves on stays on. */
export class AnsiReader {
  private pieces: Piece[] = [];
  private readonly up: AnsiUp;

  constructor() {
    this.up = new AnsiUp();
    // The two methods that would make HTML hand over the fragment instead.
    const hooks = this.up as unknown as {
      transform_to_html: (fragment: Fragment) => string;
      process_hyperlink: (packet: { text: string }) => string;
    };
    hooks.transform_to_html = (fragment) => {
      if (fragment.text) this.pieces.push(piece(fragment));
      return "";
    };
    // A link's target is hostile too: only its text is shown.
    hooks.process_hyperlink = (packet) => {
      this.pieces.push({ text: visible(packet.text), classes: "" });
      return "";
    };
  }

  /** The pieces of one line without its line end. */
  line(text: string): Piece[] {
    this.pieces = [];
    this.up.ansi_to_html(text);
    // A sequence that the line does not finish is dropped with it, else it would swallow the next lines.
    (this.up as unknown as { _buffer: string })._buffer = "";
    return this.pieces;
  }
}

function piece(fragment: Fragment): Piece {
  const classes: string[] = [];
  const result: Piece = { text: visible(fragment.text), classes: "" };
  if (fragment.bold) classes.push("ansi-bold");
  if (fragment.faint) classes.push("ansi-faint");
  if (fragment.italic) classes.push("ansi-italic");
  if (fragment.underline) classes.push("ansi-underline");
  for (const [colour, kind] of [
    [fragment.fg, "fg"],
    [fragment.bg, "bg"],
  ] as const) {
    if (!colour) continue;
    if (colour.class_name !== "truecolor") classes.push(`${colour.class_name}-${kind}`);
    else result[kind === "fg" ? "color" : "background"] = `rgb(${colour.rgb.join(",")})`;
  }
  result.classes = classes.join(" ");
  return result;
}
