/** One GET over node:http, which, unlike fetch, ignores proxy variables on both runtimes. */
import type { Http } from "../system.ts";

/** Loaded when it is first needed: it takes longer than a whole load's other preparations, and a load never needs it. */
function clientFor(url: string) {
  return url.startsWith("https:") ? import("node:https") : import("node:http");
}

export const realHttp: Http = {
  status: async (url, { timeoutMs }) => {
    const client = await clientFor(url);
    return await new Promise((resolve, reject) => {
      const request = client.get(url, { timeout: timeoutMs }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      request.on("error", reject);
    });
  },
};
