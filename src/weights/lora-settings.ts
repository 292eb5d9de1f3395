/**
 * peft's configuration of a LoRA (`LoraConfig`), for one network: what it says of the layers that there are, and what of
 * it changes the result in a way that is not there here. Fields that matter to training alone are passed over.
 */
import { InputError } from '../errors.ts';
import { isJsonObject, type JsonObject } from '../files/json.ts';
import { listed, shown } from '../messages.ts';
import { patternsOfLayers } from './lora-patterns.ts';

/** A configuration as it was found: `adapter_config.json`, or in the metadata of the weights' file. */
export interface AdapterConfig {
  /** For messages. */
  readonly from: string;
  readonly json: JsonObject;
}

export interface NetworkSettings {
  /** By layer; none where the configuration says nothing. */
  readonly alphas: ReadonlyMap<string, number>;
  readonly ranks: ReadonlyMap<string, number>;
  /** Rank-stabilised (Kalajdzievski 2023): alpha/√rank in place of alpha/rank. */
  readonly rankStabilized: boolean;
  /** What has no effect although somebody meant it to have one, a sentence each. */
  readonly warnings: readonly string[];
}

/** Fields with an effect that is not there here, and what says that they have none. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  peft_type: (value) => value === 'LORA',
  bias: (value) => value === 'none',
  use_dora: isOff,
  lora_bias: isOff,
  modules_to_save: isOff,
  target_parameters: isOff,
  trainable_token_indices: isOff,
  layer_replication: isOff,
  alora_invocation_tokens: isOff,
  use_qalora: isOff,
  use_bdlora: isOff,
  arrow_config: isOff,
  kasa_config: isOff,
  monteclora_config: isOff,
  // These take something out of the model's own weights, which then are not those that the LoRA is added to.
  init_lora_weights: (value) => !/^(pissa|corda|olora|loftq|lora_ga)/i.test(String(value)),
};

/** Fields that are read, and those that matter to training or to the program that trains alone. */
const KNOWN: ReadonlySet<string> = new Set([
  ...Object.keys(UNSUPPORTED),
  ...['r', 'rank_pattern', 'lora_alpha', 'alpha_pattern', 'use_rslora'],
  ...['target_modules', 'exclude_modules', 'layers_to_transform', 'layers_pattern', 'lora_dropout'],
  // The layers of Stable Diffusion are not those that keep their weights the other way round.
  'fan_in_fan_out',
  ...['eva_config', 'corda_config', 'loftq_config', 'lora_ga_config', 'velora_config', 'qalora_group_size'],
  ...['ensure_weight_tying', 'runtime_config', 'inference_mode', 'megatron_config', 'megatron_core'],
  ...['auto_mapping', 'base_model_name_or_path', 'revision', 'task_type', 'peft_version'],
]);

/**
 * What `config` says of the network `component` and its `layers`, by the names that they have in the model. diffusers
 * puts the network's name before the fields (`unet.lora_alpha`), peft does not. Throws InputError, naming the field, for
 * what is not supported or has another type.
 */
export function readNetworkSettings(
  { from, json }: AdapterConfig,
  component: string,
  layers: readonly string[],
): NetworkSettings {
  const get = (name: string) => json[`${component}.${name}`] ?? json[name] ?? undefined;
  const warnings: string[] = [];
  const fields = Object.keys(json).map((key) => key.replace(`${component}.`, ''));
  const unknown = fields.filter(
    (name) => !name.includes('.') && !KNOWN.has(name) && !isOff(get(name) ?? false),
  );
  if (unknown.length > 0) {
    warnings.push(`${from}: ${listed(unknown)} is unknown here, and passed over`);
  }
  for (const [name, hasNoEffect] of Object.entries(UNSUPPORTED)) {
    const value = get(name);
    if (value === undefined || hasNoEffect(value)) continue;
    throw new InputError(`${from}: ${name} is ${shown(value)}, which is not supported`, {
      path: from,
      code: 'unsupported',
    });
  }
  const number = (name: string, value: unknown): number | undefined => {
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
    throw new InputError(`${from}: ${name} is ${shown(value)}; expected a number`, { path: from });
  };
  const ofLayers = (field: string, patternField: string): Map<string, number> => {
    const patterns = get(patternField) ?? {};
    if (!isJsonObject(patterns)) {
      throw new InputError(
        `${from}: ${patternField} is ${shown(patterns)}; expected an object of numbers by layer`,
        { path: from },
      );
    }
    const found = patternsOfLayers(Object.keys(patterns), layers, `${from}, ${patternField}`);
    const used = new Set(found.values());
    const unused = Object.keys(patterns).filter((pattern) => !used.has(pattern));
    if (unused.length > 0) {
      warnings.push(
        `${from}: of ${patternField}, ${listed(unused)} holds for no layer of the ${component}: it fits none, or an earlier one fits first`,
      );
    }
    const general = number(field, get(field));
    const values = layers.map((layer) => {
      const pattern = found.get(layer);
      const value =
        pattern === undefined ? general : number(`${patternField} of ${shown(pattern)}`, patterns[pattern]);
      return [layer, value] as const;
    });
    return new Map(values.filter((entry): entry is [string, number] => entry[1] !== undefined));
  };
  return {
    alphas: ofLayers('lora_alpha', 'alpha_pattern'),
    ranks: ofLayers('r', 'rank_pattern'),
    rankStabilized: !isOff(get('use_rslora') ?? false),
    warnings,
  };
}

function isOff(value: unknown): boolean {
  return value === false || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}
