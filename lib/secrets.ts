/**
 * Secrets in cache content. vLLM writes nearly every variable that it knows, VLLM_API_KEY too, into
 * `cache_key_factors.json`, which nothing ever reads but people: what whoever reads the share must not know is taken out
 * of it on the way into a store. Pure but for the digest.
 */
import { sha256Hex } from "./crypto.ts";

/** How a word of a secret's name ends: "APIKEY", "tokens", "SECRET2". */
const secretEnding = /(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)S?\d*$/;

/** What is too short to be looked for within a word. */
const secretWord = /^(PASS|PWD|PAT|AUTH|AUTHORIZATION|AUTHENTICATION|CREDS?|COOKIES?|HEADERS|DSN)\d*$/;

/** A group of settings, vLLM's pass_config for one: each of its members has a name of its own. */
const group = /CONFIG$/;

const filesWithSecrets = /(^|\/)cache_key_factors\.json$/;

/** As vLLM writes it. */
const indentation = 4;

/** 32 bits: two values can be told apart, and a random one cannot be found again. */
const digestDigits = 8;

/** Whether the value of a variable or a field of this name is a secret, whichever of its words says so. */
export function isSecretName(name: string): boolean {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase().split(/[^A-Z0-9]+/);
  // The shell's own variable is a directory.
  if (name === "PWD" || group.test(name.toUpperCase())) return false;
  return words.some((word) => secretEnding.test(word) || secretWord.test(word));
}

/** The content that a store may have of a file: the same bytes for all that hold no secret. */
export function withoutSecrets(path: string, content: Uint8Array): Uint8Array {
  if (!filesWithSecrets.test(path)) return content;
  try {
    let found = false;
    const value = replaceSecrets(JSON.parse(Buffer.from(content).toString()), {
      replace: (secret) => {
        if (isRedacted(secret)) return secret;
        found = true;
        return redacted(secret);
      },
    });
    return found ? Buffer.from(JSON.stringify(value, undefined, indentation)) : content;
  } catch {
    // It may hold anything: nobody needs it.
    return Buffer.from("{}");
  }
}

export interface Replacing {
  readonly replace: (secret: string) => string;
  /** The value lies under a secret's name: every text in it is one. */
  readonly isSecret?: boolean;
}

/** A JSON value with every secret in it replaced: texts under a secret's name, and those that stand within others. */
export function replaceSecrets(value: unknown, { replace, isSecret = false }: Replacing): unknown {
  if (typeof value === "string") {
    if (value === "") return value;
    return isSecret ? replace(value) : replaceWithin(value, replace);
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => replaceSecrets(item, { replace, isSecret }));
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      replaceSecrets(member, { replace, isSecret: isSecret || isSecretName(name) }),
    ]),
  );
}

/** Who asks, `http://user:password@host`; `Bearer …`; `?api_key=…` and the like. */
function replaceWithin(text: string, replace: (secret: string) => string): string {
  return text
    .replace(
      /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)([^\s/?#]+)@/gi,
      (_, scheme: string, user: string) => `${scheme}${replace(user)}@`,
    )
    .replace(
      /\b(bearer|basic)( +)(?!redacted )(\S+)/gi,
      (_, kind: string, space: string, secret: string) => `${kind}${space}${replace(secret)}`,
    )
    .replace(
      /(^|[?&;,\s])([\w.-]+)=(?!redacted )([^\s&;,#]+)/g,
      (all: string, before: string, name: string, secret: string) =>
        isSecretName(name) ? `${before}${name}=${replace(secret)}` : all,
    );
}

/** What stands in the place of a secret: the same for the same one. */
export function redacted(value: string): string {
  return `redacted ${sha256Hex(value).slice(0, digestDigits)}`;
}

function isRedacted(value: string): boolean {
  return /^redacted [0-9a-f]{8}$/.test(value);
}
