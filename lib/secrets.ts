/**
 * Secrets in cache content. vLLM writes nearly every variable that it knows, VLLM_API_KEY too, into
 * `cache_key_factors.json`, which nothing ever reads but people: what whoever reads the share must not know is taken out
 * of it on the way into a store. Pure but for the digest.
 */
import { createHash } from "node:crypto";

/** Names of variables and fields whose values are secrets. */
const secretName = /(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$/i;

const filesWithSecrets = /(^|\/)cache_key_factors\.json$/;

/** As vLLM writes it. */
const indentation = 4;

/** 32 bits: two values can be told apart, and a random one cannot be found again. */
const digestDigits = 8;

export function isSecret(name: string, value: unknown): boolean {
  return typeof value === "string" && value !== "" && secretName.test(name);
}

/** The content that a store may have of a file: the same bytes for all that hold no secret. */
export function withoutSecrets(path: string, content: Uint8Array): Uint8Array {
  if (!filesWithSecrets.test(path)) return content;
  try {
    let found = false;
    const text = JSON.stringify(JSON.parse(Buffer.from(content).toString()), (name, value: unknown) => {
      if (!isSecret(name, value) || isRedacted(value)) return value;
      found = true;
      return redacted(String(value));
    }, indentation);
    return found ? Buffer.from(text) : content;
  } catch {
    // It may hold anything: nobody needs it.
    return Buffer.from("{}");
  }
}

/** What stands in the place of a secret: the same for the same one. */
export function redacted(value: string): string {
  return `redacted ${createHash("sha256").update(value).digest("hex").slice(0, digestDigits)}`;
}

function isRedacted(value: unknown): boolean {
  return typeof value === "string" && /^redacted [0-9a-f]{8}$/.test(value);
}
