/**
 * The graph that ComfyUI ran, which it stores in its pictures as `prompt`: nodes by number, each of a class, whose
 * inputs are values or links `[node, output]`. Any graph can be drawn there; read is what one sampler needs.
 */

import { type SchedulerName, schedulerNames } from '../../components/scheduler.ts';
import { isJsonObject, type JsonObject, parseJsonObject } from '../../files/json.ts';
import { spellingOf } from '../../files/number-spelling.ts';
import { withoutWeights } from '../../text/prompt-syntax.ts';
import { type ForeignLora, type ForeignSettings, Gathered } from './settings.ts';

interface Node {
  readonly id: string;
  readonly class: string;
  readonly inputs: JsonObject;
}

type Graph = ReadonlyMap<string, Node>;

/** Links that are followed from one node, so that a graph that goes in circles ends. */
const FARTHEST = 100;

/** Undefined for a graph without a sampler. Throws InputError for what is no JSON. */
export function readComfyUI(text: string): ForeignSettings | undefined {
  const graph = graphOf(parseJsonObject(text, `the picture's "prompt" text`));
  const samplers = new Set(
    [...graph.values()].filter(({ class: name, inputs }) => /Sampler/.test(name) && 'latent_image' in inputs),
  );
  // Of several the first one: the others go on from what it makes.
  const first = [...samplers].find(
    (node) => !upstream(graph, node, LATENTS).some((each) => samplers.has(each)),
  );
  return first && settingsOf(graph, first, samplers.size);
}

function graphOf(json: JsonObject): Graph {
  const nodes = Object.entries(json).flatMap(([id, node]): Node[] => {
    if (!isJsonObject(node) || typeof node.class_type !== 'string' || !isJsonObject(node.inputs)) return [];
    return [{ id, class: node.class_type, inputs: node.inputs }];
  });
  return new Map(nodes.map((node) => [node.id, node]));
}

/** The node that an input links to. */
function linked(graph: Graph, input: unknown): Node | undefined {
  return Array.isArray(input) ? graph.get(String(input[0])) : undefined;
}

/** Where inputs of the same name come from, the nearest node first: what makes a model, a text, latents. */
function upstream(graph: Graph, from: Node, names: readonly string[]): Node[] {
  const found: Node[] = [];
  for (let node: Node | undefined = from; node && found.length < FARTHEST; ) {
    const { inputs }: Node = node;
    node = names.map((name) => linked(graph, inputs[name])).find((each) => each !== undefined);
    if (node) found.push(node);
  }
  return found;
}

const LATENTS = ['latent_image', 'samples', 'latent', 'pixels', 'image'];
const MODELS = ['model', 'guider'];
const CONDITIONINGS = ['conditioning', 'conditioning_1', 'conditioning_to'];
const TEXTS = ['text', 'text_g', 'string', 'value', 'populated_text', 'prompt'];
const NUMBERS = ['value', 'seed', 'noise_seed', 'int', 'float', 'Number'];
/** Parts that newer samplers are put together from. */
const PARTS = ['sampler', 'sigmas', 'guider', 'noise'];

function settingsOf(graph: Graph, sampler: Node, count: number): ForeignSettings {
  const gathered = new Gathered();
  const nodes = [sampler, ...PARTS.flatMap((part) => linked(graph, sampler.inputs[part]) ?? [])];
  const found = (...names: string[]) => {
    const places = nodes.flatMap((node) => names.map((name) => ({ node, name })));
    return places.find(({ node, name }) => name in node.inputs);
  };
  const value = (...names: string[]) => {
    const place = found(...names);
    return place && literal(graph, place.node, place.name, NUMBERS);
  };
  const conditioning = (...names: string[]) => {
    const place = found(...names);
    return place && promptOf(graph, linked(graph, place.node.inputs[place.name]), gathered);
  };

  if (count > 1) gathered.leaveOut(`all of ${count} samplers but the first`);
  const model = modelOf(graph, nodes, gathered);
  const prompt = conditioning('positive', 'conditioning');
  const negative = conditioning('negative');
  const [steps, cfg] = [value('steps')?.value, value('cfg')?.value];
  gathered.keep('steps', steps, `steps ${steps}`);
  gathered.keep('guidanceScale', cfg, `cfg ${cfg}`);
  const seed = value('seed', 'noise_seed');
  gathered.keep('seed', seed && seedOf(seed), `seed ${seed?.value}`);
  const clipSkip = prompt?.clipSkip ?? 0;
  if (clipSkip > 0) gathered.keep('clipSkip', clipSkip, `clip skip ${clipSkip}`);
  const image = latentsOf(graph, sampler, gathered);
  const denoise = value('denoise')?.value;
  if (image !== undefined) gathered.keep('strength', denoise, `denoise ${denoise}`);
  const scheduler = schedulerOf(value('sampler_name')?.value, value('scheduler')?.value, gathered);
  return {
    program: 'ComfyUI',
    prompt: prompt?.text ?? '',
    ...(negative?.text && { negativePrompt: negative.text }),
    ...gathered.values,
    ...(scheduler && { scheduler }),
    ...(image && { image }),
    ...model,
    leftOut: gathered.leftOut,
  };
}

interface Literal {
  readonly value: string | number;
  /** Where it stands. */
  readonly inputs: JsonObject;
  readonly name: string;
}

/** A text or a number, also of a node that only holds one, under one of `names`. */
function literal(graph: Graph, node: Node, name: string, names: readonly string[]): Literal | undefined {
  let [inputs, input] = [node.inputs, name];
  for (let left = FARTHEST; left > 0; left--) {
    const value = inputs[input];
    if (typeof value === 'string' || typeof value === 'number') return { value, inputs, name: input };
    const next = linked(graph, value);
    const further = names.find((each) => next && each in next.inputs);
    if (!next || further === undefined) return undefined;
    [inputs, input] = [next.inputs, further];
  }
  return undefined;
}

/** Seeds have 64 bits there, of which torch's generator on the CPU takes the lower 32. */
function seedOf({ value, inputs, name }: Literal): number | undefined {
  const digits = typeof value === 'number' ? (spellingOf(inputs, name, value) ?? String(value)) : value;
  return /^\d{1,20}$/.test(digits) ? Number(BigInt.asUintN(32, BigInt(digits))) : undefined;
}

function promptOf(
  graph: Graph,
  start: Node | undefined,
  gathered: Gathered,
): { text: string; clipSkip: number } | undefined {
  if (!start) return undefined;
  for (const node of [start, ...upstream(graph, start, CONDITIONINGS)]) {
    const name = TEXTS.find((each) => each in node.inputs);
    const text = name && literal(graph, node, name, TEXTS)?.value;
    if (node.class === 'ConditioningZeroOut') return undefined;
    if (typeof text !== 'string') {
      // Combined with others, or a ControlNet's: what follows is still a prompt.
      gathered.leaveOut(node.class);
      continue;
    }
    const { prompt, weighted } = withoutWeights(text, { brackets: false });
    if (weighted) gathered.leaveOut('weights in the prompt');
    const layers = upstream(graph, node, ['clip']).map(({ inputs }) => inputs.stop_at_clip_layer);
    const last = layers.find((layer) => typeof layer === 'number') ?? -1;
    return { text: prompt, clipSkip: -1 - last };
  }
  return undefined;
}

/** The checkpoint's name, LoRAs on the way to it, and what else changes the model. */
function modelOf(
  graph: Graph,
  nodes: readonly Node[],
  gathered: Gathered,
): { model?: string; loras: readonly ForeignLora[] } {
  const loras: ForeignLora[] = [];
  const start = nodes.find(({ inputs }) => linked(graph, inputs.model)) ?? nodes[0]!;
  for (const node of upstream(graph, start, MODELS)) {
    const { ckpt_name: checkpoint, unet_name: unet, lora_name: lora, strength_model: strength } = node.inputs;
    const model = checkpoint ?? unet;
    if (typeof model === 'string') return { model, loras };
    if (typeof lora === 'string')
      loras.push({ name: lora, strength: typeof strength === 'number' ? strength : 1 });
    else gathered.leaveOut(node.class);
  }
  return { loras };
}

/** Takes the size of empty latents; else names the picture that the latents are of, which may be empty. */
function latentsOf(graph: Graph, sampler: Node, gathered: Gathered): string | undefined {
  const chain = upstream(graph, sampler, LATENTS);
  const origin = chain.at(-1);
  if (!origin || /^Empty/.test(origin.class)) {
    for (const side of ['width', 'height'] as const) {
      if (origin) gathered.keep(side, literal(graph, origin, side, NUMBERS)?.value, side);
    }
    return undefined;
  }
  for (const node of chain) if (!/^(VAEEncode|LoadImage)$/.test(node.class)) gathered.leaveOut(node.class);
  const { image } = origin.inputs;
  return typeof image === 'string' ? image : '';
}

const SCHEDULERS: Readonly<Record<string, SchedulerName>> = {
  lcm: 'lcm',
  tcd: 'tcd',
  ddim: 'ddim',
  euler: 'euler',
  euler_ancestral: 'euler-a',
  heun: 'heun',
  dpm_2: 'dpm2',
  dpmpp_2m: 'dpm++',
  dpmpp_2m_sde: 'dpm++-sde',
  dpmpp_2m_sde_gpu: 'dpm++-sde',
  dpmpp_sde: 'dpm++-2s-sde',
  dpmpp_sde_gpu: 'dpm++-2s-sde',
  uni_pc: 'unipc',
  deis: 'deis',
};

function schedulerOf(sampler: unknown, levels: unknown, gathered: Gathered): SchedulerName | undefined {
  if (typeof sampler !== 'string') return undefined;
  const scheduler = Object.hasOwn(SCHEDULERS, sampler) ? SCHEDULERS[sampler] : undefined;
  if (scheduler === undefined) gathered.leaveOut(`sampler ${sampler}`);
  const withLevels = schedulerNames.find((name) => name === `${scheduler}-${levels}`);
  if (withLevels !== undefined) return withLevels;
  if (typeof levels === 'string' && levels !== 'normal') gathered.leaveOut(`scheduler ${levels}`);
  return scheduler;
}
