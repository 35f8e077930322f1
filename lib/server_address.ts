/**
 * Where the server that a command line starts will listen, as far as the line itself says. Pure.
 *
 * The options are those of `vllm serve` (vllm/entrypoints/openai/cli_args.py, on argparse). What has no part in it:
 * --root-path, as the paths without it are served too; --api-key, as a refusal is an answer; VLLM_PORT and
 * VLLM_HOST_IP, which vLLM's processes use among themselves, and never for the API. What is not followed: the file of
 * `--config`, and variables of a shell script. For those there is B10_TRANSFER_VLLM_URL.
 */
import { basename } from "node:path/posix";
import { simpleCommands } from "./shell_words.ts";

export type ServerAddress =
  /** The process has no HTTP server: a node without one of its own, or gRPC. */
  | { readonly kind: "none" }
  | { readonly kind: "socket"; readonly path: string; readonly tls: boolean }
  /** `undefined`: not said. `host` is as an URL has it, and can be connected to. */
  | {
    readonly kind: "network";
    readonly host: string | undefined;
    readonly port: string | undefined;
    readonly tls: boolean;
  };

export function serverAddress(command: readonly string[]): ServerAddress {
  const words = serverArguments(command);
  // Without API servers a node waits for another node's requests: --headless implies a count of 0.
  const hasServer = !hasOption(words, "headless") && !hasOption(words, "grpc") &&
    !/^0+$/.test(optionValue(words, "api-server-count") ?? "");
  if (!hasServer) return { kind: "none" };
  // uvicorn speaks TLS as soon as it has either.
  const tls = Boolean(optionValue(words, "ssl-certfile")) || Boolean(optionValue(words, "ssl-keyfile"));
  const path = optionValue(words, "uds");
  // With a socket the server ignores --host and --port; an empty path is none to it.
  if (path) return { kind: "socket", path, tls };
  const host = optionValue(words, "host");
  const port = optionValue(words, "port");
  return {
    kind: "network",
    host: host === undefined ? undefined : reachableHost(host),
    port: port !== undefined && /^\d{1,5}$/.test(port) && Number(port) <= 65_535
      ? String(Number(port))
      : undefined,
    tls,
  };
}

/**
 * Each option with its shortest abbreviation: argparse takes any beginning that is no other option's. A shorter one
 * would be ambiguous, and end the server with an error.
 */
const options = {
  host: "--ho",
  port: "--por",
  uds: "--ud",
  "ssl-keyfile": "--ssl-k",
  "ssl-certfile": "--ssl-certf",
  headless: "--hea",
  grpc: "--grp",
  "api-server-count": "--api-s",
} as const;

type OptionName = keyof typeof options;

/** `--name value` or `--name=value`; the last one counts. */
function optionValue(words: readonly string[], name: OptionName): string | undefined {
  let value: string | undefined;
  for (const [at, word] of words.entries()) {
    if (!isOption(word, name)) continue;
    const equals = word.indexOf("=");
    const next = words[at + 1];
    if (equals >= 0) value = word.slice(equals + 1);
    // argparse, too, takes no option for a value.
    else value = next?.startsWith("--") ? undefined : next;
  }
  return value;
}

function hasOption(words: readonly string[], name: OptionName): boolean {
  return words.some((word) => isOption(word, name));
}

/** vLLM takes underscores for dashes in the names of options. */
function isOption(word: string, name: OptionName): boolean {
  const [given = ""] = word.split("=", 1);
  const dashed = given.replaceAll("_", "-");
  return dashed.length >= options[name].length && `--${name}`.startsWith(dashed);
}

/** The words that the server itself gets; where none is recognized, all of them: it may be a script around one. */
function serverArguments(command: readonly string[]): readonly string[] {
  return argumentsOfVllm(command) ?? argumentsInScript(command) ?? command;
}

const serverModule = "vllm.entrypoints.openai.api_server";
const serverFile = "/vllm/entrypoints/openai/api_server.py";
const commandLines: readonly string[] = ["vllm", "vllm.entrypoints.cli.main"];

/** Options before `vllm serve` are those of what starts it, such as numactl or a container's runtime. */
function argumentsOfVllm(words: readonly string[]): readonly string[] | undefined {
  const at = words.findIndex((word, index) =>
    word === serverModule || word.endsWith(serverFile) ||
    word === "serve" && commandLines.includes(basename(words[index - 1] ?? ""))
  );
  if (at < 0) return undefined;
  const rest = words.slice(at + 1);
  const end = rest.indexOf("--");
  return end < 0 ? rest : rest.slice(0, end);
}

const shells: readonly string[] = ["sh", "bash", "dash", "ash", "zsh"];

/** `sh -c "prepare && exec vllm serve …"`. */
function argumentsInScript(words: readonly string[]): readonly string[] | undefined {
  const shellAt = words.findIndex((word) => shells.includes(basename(word)));
  if (shellAt < 0) return undefined;
  const optionAt = words.findIndex((word, at) => at > shellAt && /^-[a-zA-Z]*c$/.test(word));
  const script = optionAt < 0 ? undefined : words[optionAt + 1];
  return simpleCommands(script ?? "").map(argumentsOfVllm).find((found) => found !== undefined);
}

/** What is reached where a server listens on every address: the loopback one. */
const loopback: Readonly<Record<string, string>> = {
  "0.0.0.0": "127.0.0.1",
  "[::]": "[::1]",
  "[::ffff:0:0]": "127.0.0.1",
};

/**
 * @returns undefined where no URL can have such a host: a variable that only the shell knows, or an address with a
 * zone, `fe80::1%eth0`.
 */
function reachableHost(host: string): string | undefined {
  // To Python's sockets an empty host is every IPv4 address.
  if (host === "") return "127.0.0.1";
  if (!/^[\w.:[\]-]+$/.test(host)) return undefined;
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const hostname = URL.parse(`http://${bare.includes(":") ? `[${bare}]` : bare}/`)?.hostname;
  return hostname === undefined ? undefined : loopback[hostname] ?? hostname;
}
