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
      const request = client.get(url, (response) => {
        resolve(response.statusCode ?? 0);
        // Nobody reads the body, and one that does not end would keep this process alive.
        request.destroy();
      });
      // node:http's own timeout starts anew with every byte that arrives.
      const deadline = setTimeout(
        () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      request.on("error", reject);
      request.on("close", () => clearTimeout(deadline));
    });
  },
};
