/** Applying the judge to many pictures. */
import type { Engine, RunOptions } from '../engines/engine.ts';
import { float32Data, hostTensor } from '../graph/host-tensor.ts';
import { float32, type Network } from '../networks/network.ts';
import { NetworkRunner } from '../networks/runner.ts';
import type { Weights } from '../weights/weights.ts';
import type { Answers } from './fidelity.ts';
import { answers, JUDGE_CLASSES, type JudgeConfig, judge } from './judge.ts';

/** What the judge sees in pictures. */
export interface Judged {
  readonly answers: Answers[];
  /** Row-major [N, feature_dim]. */
  readonly features: Float32Array;
}

/** Pictures that go through the judge at a time. */
const BATCH = 64;

/** The judge, ready to look at pictures. */
export class Judging {
  readonly config: JudgeConfig;
  readonly #runner: NetworkRunner;
  readonly #network: Network;

  private constructor(config: JudgeConfig, runner: NetworkRunner, network: Network) {
    this.config = config;
    this.#runner = runner;
    this.#network = network;
  }

  static async open(engine: Engine, config: JudgeConfig, weights: Weights, from: string): Promise<Judging> {
    const network: Network = {
      role: 'judge',
      name: 'judge',
      component: { location: from, weights },
      write: (params, { pictures }) => ({ ...judge(config, params, pictures!) }),
    };
    const runner = new NetworkRunner(engine);
    const pictures = float32([BATCH, 3, config.sample_size, config.sample_size]);
    await runner.compileEach(network, { pictures }, 1);
    return new Judging(config, runner, network);
  }

  /** pictures: [N, 3, H, W] in [−1, 1], any N. */
  async judge(pictures: Float32Array, options?: RunOptions): Promise<Judged> {
    const { sample_size: size, feature_dim: width } = this.config;
    const pixels = 3 * size * size;
    const count = pictures.length / pixels;
    const features = new Float32Array(count * width);
    const found: Answers[] = [];
    for (let start = 0; start < count; start += BATCH) {
      const present = Math.min(BATCH, count - start);
      // The last batch is filled up with zeros, whose answers are dropped.
      const batch = new Float32Array(BATCH * pixels);
      batch.set(pictures.subarray(start * pixels, (start + present) * pixels));
      const inputs = { pictures: hostTensor(batch, [BATCH, 3, size, size]) };
      const output = await this.#runner.call(this.#network, inputs, options);
      features.set(float32Data(output.features!).subarray(0, present * width), start * width);
      const logits = float32Data(output.logits!);
      for (let i = 0; i < present; i++) {
        found.push(answers(logits.subarray(i * JUDGE_CLASSES, (i + 1) * JUDGE_CLASSES)));
      }
    }
    return { answers: found, features };
  }

  async dispose(): Promise<void> {
    await this.#runner.dispose(new Error('the judge was disposed of'));
  }
}
