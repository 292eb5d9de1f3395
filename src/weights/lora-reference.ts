/** LoRAs as people name them: `style.safetensors:0.8`. */

export interface LoraReference {
  /** Empty when the text names none. */
  readonly path: string;
  /** 1 where none is named. */
  readonly strength: number;
}

/** `C:\\lora` is a path; a strength is a number after the last colon. */
export function parseLoraReference(text: string): LoraReference {
  const [, path, strength] = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+))$/.exec(text) ?? [undefined, text, '1'];
  return { path: path!, strength: Number(strength) };
}
