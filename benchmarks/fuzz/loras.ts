/** LoRAs of diffusers, peft and kohya, with what peft says of them beside them. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { openLora } from '../../src/components/node/open-lora.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { damagedJsonText, damagedSafetensors, jsonText } from './damage.ts';
import { draw } from './drawing.ts';
import { FIXTURES, type Kind } from './kind.ts';

const GOLDEN = join(FIXTURES, 'golden');
const BASE = join(GOLDEN, 'pipelines', 'sd', 'model');
const UNET = join(GOLDEN, 'lora', 'unet');

const ADAPTER = jsonText({
  peft_type: 'LORA',
  r: 4,
  lora_alpha: 8,
  use_rslora: false,
  use_dora: false,
  bias: 'none',
  rank_pattern: { to_q: 2 },
  alpha_pattern: { 'attn1.to_q': 2, '^mid.*': 3 },
  target_modules: ['to_q', 'to_k'],
  fan_in_fan_out: false,
  init_lora_weights: true,
  base_model_name_or_path: 'x',
  layers_to_transform: null,
});

let files: Promise<string[]> | undefined;

export const loras: Kind = {
  name: 'LoRAs',
  async make(random, folder) {
    files ??= loraFiles();
    const original = random.pick(await files);
    // In a folder as in a file: peft's names say what lies beside them.
    const place = join(folder, 'lora');
    await mkdir(place);
    const path = join(place, random.chance(0.3) ? 'adapter_model.safetensors' : basename(original));
    const content = await readFile(original);
    const isDamaged = random.chance(0.9);
    await writeFile(path, isDamaged ? damagedSafetensors(content, random) : content);
    const beside = await readFile(join(dirname(original), 'adapter_config.json'), 'utf8').catch(
      () => ADAPTER,
    );
    if (random.chance(0.4)) {
      const text = random.chance(0.9) ? damagedJsonText(beside, random) : beside;
      await writeFile(join(place, 'adapter_config.json'), text);
    }
    const strength = random.pick([1, 0.5, -1, 1e6]);
    const name = random.chance(0.5) ? path : place;
    return {
      // What a picture comes to with a LoRA is said with the UNet that it changes.
      names: [place, UNET],
      async use() {
        const lora = await openLora(name);
        const model = await openModel(BASE, { unet: UNET });
        return draw(model, { loras: [{ lora, strength }] });
      },
    };
  },
};

async function loraFiles(): Promise<string[]> {
  const found: string[] = [];
  for (const folder of [join(FIXTURES, 'lora-layouts'), join(GOLDEN, 'lora')]) {
    for (const name of await readdir(folder, { recursive: true })) {
      const isLora =
        name.endsWith('.safetensors') &&
        !/(^|\/)(io|text_io|outputs|fused|model|diffusion_pytorch_model)\./.test(name);
      if (isLora) found.push(join(folder, name));
    }
  }
  return found.sort();
}
