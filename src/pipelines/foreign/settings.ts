/** Settings that other programs put into their pictures, as far as they mean something here. */

import type { SchedulerName } from '../../components/scheduler.ts';
import { SettingError } from '../../errors.ts';
import { checkSetting } from '../request-settings.ts';

export interface ForeignLora {
  readonly name: string;
  readonly strength: number;
}

/** Names are those that the program gave to files: not where they are. */
export interface ForeignSettings {
  readonly program: string;
  readonly prompt: string;
  readonly negativePrompt?: string;
  readonly steps?: number;
  readonly guidanceScale?: number;
  /** Undefined where the program was to draw one. */
  readonly seed?: number;
  readonly width?: number;
  readonly height?: number;
  readonly scheduler?: SchedulerName;
  readonly clipSkip?: number;
  /** Of a picture that began with another one. */
  readonly strength?: number;
  readonly image?: string;
  readonly model?: string;
  readonly vae?: string;
  readonly loras: readonly ForeignLora[];
  /** In the program's words: what has no counterpart here. */
  readonly leftOut: readonly string[];
}

type Kept = 'steps' | 'guidanceScale' | 'seed' | 'width' | 'height' | 'clipSkip' | 'strength';

/** Gathers settings: those that a request may have are kept, the others listed as left out. */
export class Gathered {
  readonly values: { [Name in Kept]?: NonNullable<ForeignSettings[Name]> } = {};
  readonly leftOut: string[] = [];

  /** Keeps the value; one that the setting cannot have is left out, as `words`. Undefined is nothing. */
  keep(name: Kept, value: unknown, words: string): void {
    if (value === undefined) return;
    try {
      checkSetting(name, value);
      this.values[name] = value as number;
    } catch (error) {
      if (!(error instanceof SettingError)) throw error;
      this.leaveOut(words);
    }
  }

  leaveOut(words: string): void {
    if (!this.leftOut.includes(words)) this.leftOut.push(words);
  }
}
