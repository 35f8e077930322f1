/** One GET over node:http, which, unlike fetch, knows Unix sockets on both runtimes and can be kept from proxies. */
import { urlToHttpOptions } from "node:url";
import { parseSocketUrl } from "../socket_url.ts";
import type { Http } from "../system.ts";

/** Loaded when it is first needed: it takes longer than a whole load's other preparations, and a load never needs it. */
function clientFor(tls: boolean) {
  return tls ? import("node:https") : import("node:http");
}

export const realHttp: Http = {
  status: async (url, { timeoutMs }) => {
    const socket = parseSocketUrl(url);
    const client = await clientFor(socket ? socket.tls : url.startsWith("https:"));
    const target = socket
      ? { socketPath: socket.socketPath, path: socket.requestPath, host: "localhost" }
      : urlToHttpOptions(new URL(url));
    return await new Promise((resolve, reject) => {
      const request = client.get({
        ...target,
        // With NODE_USE_ENV_PROXY Deno's agents obey the proxy variables, unless they are given others.
        agent: new client.Agent({ proxyEnv: {} }),
        // The question is only whether something answers. Nothing secret is sent and nothing that comes back is
        // used, and a server beside this program mostly has a certificate that it signed itself, for another name.
        rejectUnauthorized: false,
      }, (response) => {
        resolve(response.statusCode ?? 0);
        // Nobody reads the body, and one that does not end would keep this process alive.
        request.destroy();
      });
      // node:http's own timeout starts anew with every byte that arrives.
      const deadline = setTimeout(() => {
        reject(new Error(`no answer within ${timeoutMs} ms`));
        request.destroy();
      }, timeoutMs);
      request.on("error", reject);
      request.on("close", () => {
        clearTimeout(deadline);
        // A switch to another protocol ends the request with neither an answer nor an error.
        reject(new Error("no answer"));
      });
    });
  },
};
