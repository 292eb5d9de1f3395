/** The options of every command that draws: the model, what it is asked for, and the engine. */
import { type Command, Option } from 'commander';
import { EMBEDDED_MODEL } from '../../components/node/embedded-models.ts';
import { UsageError } from '../../errors.ts';
import { type Quantization, quantizations } from '../../graph/quantize.ts';
import { pictureFormats } from '../../images/formats/picture-header.ts';
import type { Image } from '../../images/image.ts';
import { hasTransparency, type MaskReading, readMask } from '../../images/mask.ts';
import { openImage } from '../../images/node/open-image.ts';
import { requestSettings } from '../../pipelines/request-settings.ts';
import type { Reporter } from '../progress.ts';
import { type EngineOptions, withEngineOptions } from './engine.ts';
import { type LoraOption, loraOption } from './lora.ts';
import { type CheckpointOptions, type PartOptions, withCheckpointOptions, withPartOptions } from './model.ts';
import { type RequestOptions, withRequestOptions } from './request.ts';
import { oneOf } from './values.ts';

/** The model with other parts and LoRAs. */
export interface ModelOptions extends PartOptions, CheckpointOptions {
  readonly model: string;
  readonly lora?: readonly LoraOption[];
}

export interface GenerationOptions extends ModelOptions, EngineOptions, RequestOptions {
  readonly image?: string;
  readonly mask?: string;
  readonly from?: string;
  readonly lowMemory?: boolean;
  readonly quantize?: Quantization;
}

/** Adds the options to a command, which is returned. */
export function withGenerationOptions(command: Command): Command {
  command.addOption(
    new Option(
      '-m, --model <name>',
      'a diffusers directory, a .safetensors checkpoint, or a pulled owner/name',
    ).default(EMBEDDED_MODEL, 'the one that comes with the package, of little landscapes'),
  );
  withPartOptions(command).option(
    '--lora <path[:strength]>',
    'a LoRA: a file, a folder or a pulled owner/name; may be given several times. An LCM-LoRA, one whose metadata or name say lcm, makes the scheduler lcm',
    loraOption,
  );
  withRequestOptions(withCheckpointOptions(command))
    .option('--image <file>', `a picture to begin with: ${pictureFormats.join(', ')}`)
    .option('--mask <file>', `${requestSettings.mask.description}, and black is kept`)
    .option(
      '--from <picture>',
      'restore all settings from a picture made here, or what means the same here of those of Automatic1111, Forge and ComfyUI; what else is given overrides them',
    )
    .option(
      '--low-memory',
      'keep one network at a time in memory, and of a large one a part: the same pictures, more loading',
    )
    .option(
      '--quantize <kind>',
      `${quantizations.join(', ')}: hold the weights of the UNet and the text encoders in 8 bits, a quarter of the memory, for pictures that differ a little; dynamic: compute linear layers in 8 bits too, which is faster than int8 and differs a little more`,
      oneOf('--quantize', quantizations),
    );
  return withEngineOptions(command);
}

/** The prompt as an option, for hands that are used to it. */
export function withPromptOption(command: Command): Command {
  return command.option('-p, --prompt <text>', 'the prompt, as an option');
}

/** Of the argument and the option. Undefined when there is neither; throws UsageError for both. */
export function promptOf(
  argument: string | undefined,
  { prompt }: { readonly prompt?: string },
): string | undefined {
  if (argument !== undefined && prompt !== undefined) {
    throw new UsageError(
      `two prompts, "${argument}" and --prompt "${prompt}": put the prompt into quotes and give it once`,
    );
  }
  return argument ?? prompt;
}

/** How a mask with transparency was read. */
const MASK_NOTES: Readonly<Record<MaskReading, string>> = {
  brightness: 'what is white in it is drawn anew; black and transparent parts are kept',
  hole: 'it is a picture with a hole: what is transparent in it is drawn anew',
  strokes: 'it has strokes on transparency: what is painted in it is drawn anew, whatever its colour',
};

/** The pictures that `--image` and `--mask` name. It is said how a mask was read that could be read in several ways. */
export async function openPictures(
  { image, mask }: GenerationOptions,
  reporter: Reporter,
): Promise<{ readonly image: Image | undefined; readonly mask: Image | undefined }> {
  const open = async (path: string | undefined) => (path === undefined ? undefined : openImage(path));
  const [picture, maskPicture] = await Promise.all([open(image), open(mask)]);
  if (maskPicture && hasTransparency(maskPicture)) {
    reporter.note(`--mask ${mask}: ${MASK_NOTES[readMask(maskPicture).reading]}`);
  }
  return { image: picture, mask: maskPicture };
}
