/** A log as it arrives: bytes in, lines out. Knows nothing of where the bytes come from. */

import { AnsiReader, type Piece } from "./ansi";

/** The most characters of one line that are shown; the rest is in the download. */
export const LINE_CHARS = 4000;
/** The most lines that are kept; older ones are in the download. */
export const LINES_KEPT = 200_000;

export interface LogLine {
  /** From 1, counted from the beginning of the log. */
  number: number;
  pieces: Piece[];
  /** The same without looks, for searching and copying. */
  text: string;
  /** Characters that were left out. */
  cut: number;
}

/** One stream of one attempt. */
export class LogBuffer {
  /** The lines so far, the last of them perhaps unfinished. */
  readonly lines: LogLine[] = [];
  /** The offset of the next byte that is wanted. */
  offset = 0;
  /** Lines that were let go because there are too many. */
  dropped = 0;

  private readonly decoder = new TextDecoder("utf-8");
  private readonly ansi = new AnsiReader();
  private rest = "";
  private open = false;
  private next = 1;

  /** Adds bytes; `offset` is where the log goes on after them. */
  append(bytes: Uint8Array, offset: number): void {
    this.offset = offset;
    this.take(this.decoder.decode(bytes, { stream: true }));
  }

  /** Nothing will follow: what is left of the last line is a line. */
  finish(): void {
    this.take(this.decoder.decode());
    if (this.rest !== "") this.put(this.rest, true);
    this.rest = "";
    this.open = false;
  }

  private take(text: string): void {
    if (text === "") return;
    const parts = (this.rest + text).split("\n");
    this.rest = parts.pop() ?? "";
    for (const part of parts) this.put(part, true);
    // An unfinished line is shown at once: a progress bar or a prompt may never end it.
    if (this.rest !== "") this.put(this.rest, false);
    // A line without an end must not grow for ever.
    if (this.rest.length > 1 << 20) this.rest = this.rest.slice(0, 1 << 20);
  }

  private put(raw: string, whole: boolean): void {
    if (this.open) {
      this.lines.pop();
      this.next -= 1;
    }
    const line = this.read(raw, whole);
    this.lines.push(line);
    this.next += 1;
    this.open = !whole;
    if (this.lines.length > LINES_KEPT * 1.1) {
      const extra = this.lines.length - LINES_KEPT;
      this.lines.splice(0, extra);
      this.dropped += extra;
    }
  }

  private read(raw: string, whole: boolean): LogLine {
    // What a terminal would show: a carriage return starts the line over.
    const ended = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    const shown = ended.slice(ended.lastIndexOf("\r") + 1);
    const kept = shown.slice(0, LINE_CHARS);
    // An unfinished line is read with a reader of its own, else its colours would count twice.
    const pieces = (whole ? this.ansi : new AnsiReader()).line(kept);
    return {
      number: this.next,
      pieces,
      text: pieces.map((piece) => piece.text).join(""),
      cut: shown.length - kept.length,
    };
  }
}

/** The numbers (indices into `lines`) of the lines that contain `needle`, upper and lower case alike. */
export function search(lines: LogLine[], needle: string): number[] {
  const wanted = needle.toLowerCase();
  if (wanted === "") return [];
  const hits: number[] = [];
  lines.forEach((line, index) => {
    if (line.text.toLowerCase().includes(wanted)) hits.push(index);
  });
  return hits;
}
