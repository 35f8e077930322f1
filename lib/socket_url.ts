/**
 * The address of a server that listens on a Unix socket, as one text: `unix:SOCKET:/request/path`, or `https+unix:…` where
 * it speaks TLS there. The URL standard has no such addresses, so they are taken apart here. And how an address of either
 * kind is shown. Pure.
 */

export interface SocketUrl {
  readonly tls: boolean;
  readonly socketPath: string;
  /** What is asked for, with its query: it starts with a slash. */
  readonly requestPath: string;
}

/** What vLLM answers only once the model is loaded and compiled. */
const usualRequestPath = "/v1/models";

/** @returns undefined for an address of another kind. */
export function parseSocketUrl(text: string): SocketUrl | undefined {
  const [, tls, rest] = /^(https\+)?unix:(.+)$/s.exec(text) ?? [];
  if (rest === undefined) return undefined;
  // The last ":/" divides: a socket's path may hold one too, and formatSocketUrl() always adds another.
  const [, socketPath = rest, requestPath = usualRequestPath] = /^(.+):(\/.*)$/s.exec(rest) ?? [];
  return { tls: tls !== undefined, socketPath, requestPath };
}

export function formatSocketUrl({ tls, socketPath, requestPath }: SocketUrl): string {
  return `${tls ? "https+" : ""}unix:${socketPath}:${requestPath}`;
}

/** A valid address of either kind as it is shown: without who asks and without the query, as both may be secrets. */
export function shownUrl(address: string): string {
  if (parseSocketUrl(address)) return address.replace(/\?.*$/s, "");
  const { protocol, host, pathname } = new URL(address);
  return `${protocol}//${host}${pathname}`;
}
