/** Reads server-sent events (HTML Living Standard, 9.2.6) out of a stream of text. */

/** One event as it came. */
export interface ServerEvent {
  /** `id`, or undefined where the event had none. */
  id: string | undefined;
  /** `event`, `message` where it had none. */
  event: string;
  /** `data`, its lines joined. */
  data: string;
}

/** Feeds on text in pieces of any size and gives out the events that are complete. */
export class SseParser {
  private rest = "";
  private id: string | undefined;
  private event = "";
  private data: string[] = [];

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    this.rest += text;
    for (;;) {
      const end = this.rest.search(/\r\n|\n|\r/);
      if (end < 0) break;
      // A carriage return at the very end may be the first half of a line end.
      if (this.rest[end] === "\r" && end === this.rest.length - 1) break;
      const width = this.rest.startsWith("\r\n", end) ? 2 : 1;
      const line = this.rest.slice(0, end);
      this.rest = this.rest.slice(end + width);
      const done = this.line(line);
      if (done) events.push(done);
    }
    return events;
  }

  private line(line: string): ServerEvent | undefined {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.id = value;
    return undefined;
  }

  private dispatch(): ServerEvent | undefined {
    const { id, event, data } = this;
    this.id = undefined;
    this.event = "";
    this.data = [];
    return data.length === 0 ? undefined : { id, event: event || "message", data: data.join("\n") };
  }
}
