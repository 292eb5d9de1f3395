/**
 * Whether a generation fits into the memory that there is, told before any weight is read: in one piece, with its
 * pictures decoded in tiles, or not at all.
 */
import { mention, mentioning, UsageError } from '../errors.ts';
import { formatBytes } from '../format-bytes.ts';
import { type MemoryUse, memoryUse } from '../graph/memory.ts';
import type { NetworkRole } from './network.ts';
import type { Networks } from './networks.ts';
import { isTiled, tileShape, USUAL_TILE } from './tiling.ts';
import type { GenerationShapes } from './values.ts';

/**
 * What ONNX Runtime takes on the CPU, in units of the activations that are counted: 2.3 to 4.2 times as much was
 * measured. It decides on tiles; only what cannot fit even as counted is refused.
 */
const TAKEN = 2.5;

export interface MemoryRequest {
  /** All but what is decoded at a time. */
  readonly shapes: Omit<GenerationShapes, 'decoded'>;
  /** The longest side of a tile that was asked for, in pixels; undefined: in one piece, where that fits. */
  readonly tileSize: number | undefined;
  /** Pixels per latent along a side. */
  readonly factor: number;
  readonly onWarning?: ((message: string) => void) | undefined;
}

export interface MemoryPlan {
  readonly shapes: GenerationShapes;
  /** The longest side of a tile, in pixels; undefined: in one piece. */
  readonly tileSize: number | undefined;
}

/**
 * Decides how to decode. Throws UsageError when even tiles need more than there is; it names what would help. Without
 * a limit nothing is counted and nothing refused.
 */
export function planMemory(networks: Networks, request: MemoryRequest): MemoryPlan {
  const { memoryLimit: limit } = networks;
  const { tileSize, factor, onWarning } = request;
  const plan = withTiles(request, tileSize);
  if (limit === undefined) return plan;

  const whole = needs(networks, plan.shapes);
  const isLarge = Math.max(...plan.shapes.decoded.slice(2)) * factor > USUAL_TILE;
  if (tileSize === undefined && isLarge && whole.decoding > limit) {
    const tiled = withTiles(request, USUAL_TILE);
    requireFit(networks, needs(networks, tiled.shapes), request, limit);
    onWarning?.(
      `decoding in one piece would take about ${formatBytes(whole.decoding)} of the ${formatBytes(limit)} of memory: ` +
        `decoded in tiles of ${USUAL_TILE} pixels, which fade into each other`,
    );
    return tiled;
  }
  requireFit(networks, whole, request, limit);
  return plan;
}

/** Tiles only where the picture is larger than one. */
function withTiles({ shapes, factor }: MemoryRequest, tileSize: number | undefined): MemoryPlan {
  const latents = shapes.latents as [number, number, number, number];
  const decoded = tileShape(latents, tileSize === undefined ? undefined : tileSize / factor);
  return { shapes: { ...shapes, decoded }, tileSize: isTiled(latents, decoded) ? tileSize : undefined };
}

interface Needs {
  /** The least at the worst moment, in bytes, and the network that then runs. */
  readonly most: number;
  readonly network: { readonly role: NetworkRole; readonly name: string };
  /** What decoding will about take. */
  readonly decoding: number;
  /** What `most` would be with one network at a time. */
  readonly oneAtATime: number;
}

/** What was counted before: writing the programs takes as long as drawing a small picture. */
const counted = new WeakMap<Networks, Map<string, Needs>>();

function needs(networks: Networks, shapes: GenerationShapes): Needs {
  const known = counted.get(networks) ?? new Map<string, Needs>();
  counted.set(networks, known);
  const key = JSON.stringify(shapes);
  const found = known.get(key) ?? count(networks, shapes);
  known.set(key, found);
  return found;
}

function count(networks: Networks, shapes: GenerationShapes): Needs {
  const uses = [...networks.programs(shapes)].map(([role, { name, program }]) => ({
    ...memoryUse(program),
    role,
    name,
  }));
  const allWeights = uses.reduce((sum, { weights }) => sum + weights, 0);
  const streamed = ({ weights }: MemoryUse) => Math.min(weights, networks.streamedBytes ?? Infinity);
  const alone = (use: MemoryUse) => streamed(use) + use.activations;
  const held = (use: MemoryUse) => (networks.lowMemory ? streamed(use) : allWeights);
  const total = (use: MemoryUse) => held(use) + use.activations;
  const decoder = uses.find(({ role }) => role === 'decoder')!;
  const worst = uses.reduce((a, b) => (total(b) > total(a) ? b : a));
  return {
    most: total(worst),
    network: worst,
    decoding: held(decoder) + TAKEN * decoder.activations,
    oneAtATime: Math.max(...uses.map(alone)),
  };
}

function requireFit(
  networks: Networks,
  { most, network, oneAtATime }: Needs,
  { shapes: { latents, unetBatch }, factor }: MemoryRequest,
  limit: number,
): void {
  if (most <= limit) return;
  const [batch, , height, width] = latents as [number, number, number, number];
  const batchSize = mention('batchSize', 'batch size');
  const lowMemory = mention('lowMemory', 'low memory');
  const remedies = [
    mentioning`a smaller ${mention('width')} and ${mention('height')}`,
    ...(batch > 1 && network.role === 'denoiser' ? [mentioning`a smaller ${batchSize} (now ${batch})`] : []),
    ...(!networks.lowMemory && oneAtATime <= limit
      ? [mentioning`${lowMemory}, which keeps one network at a time`]
      : []),
    ...(network.role === 'decoder' ? [mentioning`a smaller ${mention('tileSize', 'tile size')}`] : []),
  ];
  const images = unetBatch > batch ? `${batch} × 2 with guidance` : `${batch}`;
  const message = [
    `${factor * width}×${factor * height} pixels, ${images} at a time: the ${network.name} needs at least ` +
      `${formatBytes(most)} of memory, there are ${formatBytes(limit)}; use `,
    ...remedies.flatMap((remedy, i) => (i === 0 ? remedy : [', or ', ...remedy])),
  ];
  throw new UsageError(message, { code: 'not-enough-memory' });
}
