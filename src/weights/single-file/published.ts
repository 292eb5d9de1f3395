/** What the published models of each family have in their configurations and their files do not say. */

export type Family = 'stable-diffusion-1' | 'stable-diffusion-2' | 'stable-diffusion-xl';

export interface PublishedFamily {
  /** Side of the pictures it was trained on. */
  readonly pixels: number;
  /** Of its autoencoder. */
  readonly scalingFactor: number;
  /** Width of the states that its UNet attends to. */
  readonly promptWidth: number;
}

/** stable-diffusion-v1-5, stable-diffusion-2-1, stable-diffusion-xl-base-1.0. */
export const families: Readonly<Record<Family, PublishedFamily>> = {
  'stable-diffusion-1': { pixels: 512, scalingFactor: 0.18215, promptWidth: 768 },
  'stable-diffusion-2': { pixels: 768, scalingFactor: 0.18215, promptWidth: 1024 },
  'stable-diffusion-xl': { pixels: 1024, scalingFactor: 0.13025, promptWidth: 2048 },
};

/** The family whose UNet attends to states of this width; undefined for none of the published ones. */
export function familyOfWidth(width: unknown): Family | undefined {
  const found = Object.entries(families).find(([, { promptWidth }]) => promptWidth === width);
  return found?.[0] as Family | undefined;
}

const betas = {
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  num_train_timesteps: 1000,
};

/**
 * A scheduler_config.json with its class: LCM for a UNet with a guidance embedding, otherwise that of the family's
 * published model, as diffusers' from_single_file takes it. PNDM cannot start without signal: DDIM has its schedule.
 */
export function schedulerDefaults(
  family: Family,
  {
    guided,
    prediction,
    zeroTerminalSnr,
  }: { readonly guided: boolean; readonly prediction: string; readonly zeroTerminalSnr: boolean },
): { className: string; config: Record<string, unknown> } {
  const common = {
    ...betas,
    prediction_type: prediction,
    clip_sample: false,
    steps_offset: 1,
    timestep_spacing: 'leading',
    ...(zeroTerminalSnr && { rescale_betas_zero_snr: true }),
  };
  if (guided) {
    const config = { ...common, set_alpha_to_one: true, original_inference_steps: 50, timestep_scaling: 10 };
    return { className: 'LCMScheduler', config };
  }
  if (family === 'stable-diffusion-xl') {
    const config = {
      ...common,
      set_alpha_to_one: false,
      interpolation_type: 'linear',
      use_karras_sigmas: false,
    };
    return { className: 'EulerDiscreteScheduler', config };
  }
  if (family === 'stable-diffusion-1' && !zeroTerminalSnr) {
    return {
      className: 'PNDMScheduler',
      config: { ...common, set_alpha_to_one: false, skip_prk_steps: true },
    };
  }
  return { className: 'DDIMScheduler', config: { ...common, set_alpha_to_one: false } };
}
