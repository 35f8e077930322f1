/** The file that makes a directory a virtual environment. Pure. */

export interface VenvConfig {
  /** "3.11"; undefined where the file does not say. */
  readonly version: string | undefined;
  /** The packages of the interpreter that the environment was made from are visible too. */
  readonly systemSite: boolean;
}

/**
 * Reads pyvenv.cfg: lines of `key = value`, keys in any case. venv writes `version`, virtualenv and uv write
 * `version_info`; both start with major and minor.
 */
export function parseVenvConfig(text: string): VenvConfig {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, key, value] = /^\s*([^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) values.set(key.toLowerCase(), value);
  }
  const version = values.get("version") ?? values.get("version_info") ?? "";
  return {
    version: /^\d+\.\d+/.exec(version)?.[0],
    systemSite: values.get("include-system-site-packages")?.toLowerCase() === "true",
  };
}
