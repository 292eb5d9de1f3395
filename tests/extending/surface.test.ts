/**
 * A surface that the product does not have, by adding this file only: pictures over HTTP, as a function from requests to
 * responses, which any server of Node, Deno or Bun can call. Nothing here knows what settings there are: the table of
 * settings reads addresses and bodies, and says of its own accord what is wrong with them.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  checkRequest,
  createImage,
  decodePng,
  encodePng,
  type GenerationRequest,
  InputError,
  openForDrawing,
  pictureRequest,
  readPictureSettings,
  readPngText,
  readRequest,
  requestSchema,
  requestSettings,
  Session,
  type SettingName,
  UsageError,
} from '../../src/index.ts';

/**
 * - `GET /picture?prompt=…&steps=4`: a picture, as a PNG with its settings inside
 * - `POST /pictures`: any request as JSON, with pictures as PNG files in base64; all of its pictures, in base64
 * - `GET /steps?prompt=…`: the clean picture as the model sees it after each step, a line of JSON for each
 * - `GET /settings`: what requests may say, as a JSON schema
 */
function handler(session: Session): (request: Request) => Promise<Response> {
  const routes: Readonly<Record<string, (request: Request, url: URL) => Promise<Response>>> = {
    'GET /picture': async ({ signal }, url) => {
      const { images } = await session.draw(requestOf({ ...readRequest(url.searchParams), signal }));
      return new Response(await images[0]!.toBlob());
    },
    'POST /pictures': async (request) => {
      const given = await withPictures(await bodyOf(request));
      const { images } = await session.draw(requestOf({ ...given, signal: request.signal }));
      return Response.json({
        images: await Promise.all(images.map(async (image) => base64(await image.toPng()))),
      });
    },
    'GET /steps': async ({ signal }, url) => {
      const steps = session
        .draw(requestOf({ ...readRequest(url.searchParams), signal }))
        [Symbol.asyncIterator]();
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const next = await steps.next();
          if (next.done) return controller.close();
          const [preview] = await next.value.preview();
          const line = { step: next.value.step, picture: base64(await encodePng(preview!)) };
          controller.enqueue(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
        },
      });
      return new Response(body);
    },
    'GET /settings': async () => Response.json(requestSchema()),
  };
  return async (request) => {
    const url = new URL(request.url);
    const route = routes[`${request.method} ${url.pathname}`];
    if (route === undefined) return Response.json({ message: 'there is nothing here' }, { status: 404 });
    try {
      return await route(request, url);
    } catch (error) {
      if (error instanceof UsageError) return Response.json(error, { status: 400 });
      if (error instanceof InputError) return Response.json(error, { status: 500 });
      throw error;
    }
  };
}

function requestOf(given: unknown): GenerationRequest {
  checkRequest(given);
  return given;
}

async function bodyOf(request: Request): Promise<object> {
  const body: unknown = await request.json().catch((cause: unknown) => {
    throw new UsageError('the body is no JSON', { cause });
  });
  return Object(body);
}

/** A request with the pictures that its files in base64 are of. */
async function withPictures(given: object): Promise<object> {
  const entries = Object.entries(given).map(async ([name, value]) => {
    const isPicture =
      requestSettings[name as SettingName]?.kind.type === 'image' && typeof value === 'string';
    return [name, isPicture ? await decodePng(Buffer.from(value, 'base64')) : value] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

const model = fileURLToPath(new URL('../fixtures/golden/pipelines/lcm/model', import.meta.url));
let session: Session;
let serve: (request: Request) => Promise<Response>;
beforeAll(async () => {
  session = await Session.start(await openForDrawing(model, {}), { threads: 1 });
  serve = handler(session);
});
afterAll(() => session.dispose());

const get = (path: string, options?: RequestInit) => serve(new Request(`http://here${path}`, options));
const post = (body: unknown) =>
  serve(new Request('http://here/pictures', { method: 'POST', body: JSON.stringify(body) }));

describe('a server of somebody else', () => {
  it('draws a picture that says how it is drawn again', async () => {
    const response = await get('/picture?prompt=a+fox&steps=2&seed=7&guidanceScale=2.5');
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png']);
    const png = new Uint8Array(await response.arrayBuffer());
    const settings = readPictureSettings(await readPngText(png))!;
    expect(settings).toMatchObject({ prompt: 'a fox', steps: 2, seed: 7, guidanceScale: 2.5, model });
    const { images } = await session.draw(pictureRequest(settings));
    expect(await images[0]!.toPng()).toEqual(png);
  });

  it('takes all that a request may say as JSON, pictures too', async () => {
    const grey = createImage(64, 64, 3, new Uint8Array(64 * 64 * 3).fill(128));
    const request = { prompt: ['a fox', 'a dog'], seed: [1, 2], steps: 2, strength: 0.5 };
    const response = await post({ ...request, image: base64(await encodePng(grey)) });
    const { images } = (await response.json()) as { images: string[] };
    const own = await session.draw({ ...request, image: grey });
    const pixels = await Promise.all(images.map((image) => decodePng(Buffer.from(image, 'base64'))));
    expect(pixels.map(({ data }) => data)).toEqual(own.images.map(({ data }) => data));
  });

  it('shows every step while the next is computed', async () => {
    const response = await get('/steps?prompt=a+fox&steps=3&seed=7');
    const lines = (await response.text()).trim().split('\n');
    const steps = lines.map((line) => JSON.parse(line) as { step: number; picture: string });
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(await decodePng(Buffer.from(steps[2]!.picture, 'base64'))).toMatchObject({ channels: 3 });
  });

  it.each<[string, string, unknown]>([
    ['a value out of range', 'prompt=a+fox&steps=0', { setting: 'steps', code: 'invalid-setting' }],
    ['a text that is no number', 'prompt=a+fox&eta=much', { setting: 'eta' }],
    ['no prompt', 'steps=2', { setting: 'prompt' }],
    ['a size that the model does not have', 'prompt=a+fox&width=67', { setting: 'width' }],
    ['a setting that no text stands for', 'prompt=a+fox&image=fox.png', { setting: 'image' }],
    [
      'one value too many',
      'prompt=a+fox&steps=2&steps=3',
      { setting: 'steps', message: 'steps is given 2 times' },
    ],
    [
      'a setting that there is not',
      'prompt=a+fox&step=2',
      { message: expect.stringContaining('did you mean steps?') },
    ],
    [
      'a name of JavaScript',
      'prompt=a+fox&__proto__=2',
      { message: expect.stringContaining('has no setting') },
    ],
  ])('answers what is wrong with the field that it is about: %s', async (_, query, expected) => {
    const response = await get(`/picture?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject(expected as object);
  });

  it('answers bodies that are no request', async () => {
    const no = await serve(new Request('http://here/pictures', { method: 'POST', body: '{' }));
    expect([no.status, await no.json()]).toEqual([
      400,
      { code: 'invalid-request', message: 'the body is no JSON' },
    ]);
    expect(await (await post({ prompt: 7 })).json()).toMatchObject({ setting: 'prompt' });
    expect((await get('/')).status).toBe(404);
  });

  it('tells what requests may say', async () => {
    const schema = (await (await get('/settings')).json()) as { properties: object };
    expect(Object.keys(schema.properties)).toContain('guidanceScale');
  });

  it('ends a drawing that nobody waits for any more', async () => {
    const leaving = new AbortController();
    const drawing = get('/picture?prompt=a+fox&steps=50', { signal: leaving.signal });
    leaving.abort();
    await expect(drawing).rejects.toMatchObject({ name: 'AbortError' });
  });
});
