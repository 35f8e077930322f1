/** One GET over node:http, which, unlike fetch, ignores proxy variables on both runtimes. */
import * as http from "node:http";
import * as https from "node:https";
import type { Http } from "../system.ts";

export const realHttp: Http = {
  status: (url, { timeoutMs }) =>
    new Promise((resolve, reject) => {
      const client = url.startsWith("https:") ? https : http;
      const request = client.get(url, (response) => {
        resolve(response.statusCode ?? 0);
        // Nobody reads the body, and one that does not end would keep this process alive.
        request.destroy();
      });
      // node:http's own timeout only starts anew with every byte that arrives.
      const deadline = setTimeout(
        () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      request.on("error", reject);
      request.on("close", () => clearTimeout(deadline));
    }),
};
