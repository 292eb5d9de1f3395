/** Several hub servers of one model each, behind one address. All revisions are the same. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type HubServer, startHub } from './hub-server.ts';

/** Serves each model's files under its id. */
export async function startHubOfSeveral(
  models: ReadonlyMap<string, Map<string, Buffer>>,
): Promise<{ endpoint: string; close: () => Promise<void> }> {
  const hubs = new Map<string, HubServer>();
  for (const [id, files] of models) hubs.set(id, await startHub(id, files));
  const server = createServer(async ({ url = '/', headers }, response) => {
    const id = [...hubs.keys()].find((name) => url.replace('/api/models', '').startsWith(`/${name}/`));
    if (id === undefined) {
      response.writeHead(404).end('{}');
      return;
    }
    const { range, authorization } = headers;
    const path = url.replace(/\/revision\/[^/?]+/, '/revision/main');
    const answer = await fetch(`${hubs.get(id)!.endpoint}${path}`, {
      headers: { ...(range && { range }), ...(authorization && { authorization }) },
      redirect: 'manual',
    });
    const passed = [...answer.headers].filter(([name]) => name !== 'transfer-encoding');
    response.writeHead(answer.status, Object.fromEntries(passed));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      for (const hub of hubs.values()) await hub.close();
    },
  };
}
