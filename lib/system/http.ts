/** One GET over node:http, which, unlike fetch, ignores proxy variables on both runtimes. */
import * as http from "node:http";
import * as https from "node:https";
import type { Http } from "../system.ts";

export const realHttp: Http = {
  status: (url, { timeoutMs }) =>
    new Promise((resolve, reject) => {
      const client = url.startsWith("https:") ? https : http;
      const request = client.get(url, { timeout: timeoutMs }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      request.on("error", reject);
    }),
};
