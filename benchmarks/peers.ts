/**
 * Peers: the commands with which others are measured on the same machine, for the figures of docs/performance.md. Nothing
 * of them is needed here, and nothing is run: `npm run bench -- peers` prints them for whoever has them. All are to be run
 * in the project's folder, alternating with ours.
 */

export interface Peer {
  readonly name: string;
  /** That of the figures. */
  readonly version: string;
  readonly install: string;
  readonly runs: readonly { readonly measures: string; readonly command: string }[];
}

const lines = (...statements: readonly string[]) => statements.map((line) => `-s "${line}"`).join(' ');

/** The networks of the embedded model, as training starts with them; they are trained with random latents and tokens. */
const NETWORKS = [
  'import torch',
  'from diffusers import UNet2DConditionModel as UNet',
  'from transformers import CLIPTextModel as Text',
  'torch.set_num_threads(2)',
  "unet = UNet.from_pretrained('models/postcards/unet').float().train()",
  "text = Text.from_pretrained('models/postcards/text_encoder').float().train()",
];
const BATCH = [
  'x, t, w = torch.randn(32, 4, 16, 16), torch.randint(0, 1000, (32,)), torch.randn(32, 256)',
  'ids = torch.randint(0, 700, (32, 44))',
];
const OPTIMIZER = [
  'trained = [*unet.parameters(), *text.parameters()]',
  'adamw = torch.optim.AdamW(trained, lr=1e-4, fused=True)',
  'average = [p.detach().clone() for p in trained]',
];
const STEP = [
  'adamw.zero_grad()',
  'torch.nn.functional.mse_loss(step(x, t, text(ids)[0], timestep_cond=w).sample, x).backward()',
  'torch.nn.utils.clip_grad_norm_(trained, 1.0)',
  'adamw.step()',
  'torch._foreach_lerp_(average, [p.detach() for p in trained], 0.002)',
].join('; ');

const timeit = (setup: readonly string[], statement: string) =>
  `python -m timeit -n 1 -r 24 -v ${lines(...setup)} "${statement}"`;

const DRAWING = [
  'import torch; from diffusers import DiffusionPipeline as Pipeline; torch.set_num_threads(2)',
  "pipe = Pipeline.from_pretrained('models/postcards').to(torch.float32)",
  'pipe.set_progress_bar_config(disable=True)',
];
const drawn = (count: number) =>
  `pipe(['a lighthouse by the sea'] * ${count}, num_inference_steps=1, height=64, width=64)`;

export const peers: readonly Peer[] = [
  {
    name: 'PyTorch',
    version: '2.15, diffusers 0.42, transformers 5.24, Python 3.11',
    install: 'pip install torch==2.15 diffusers==0.42.1 transformers==5.24',
    runs: [
      {
        measures: 'one diffusion step of 32 pictures, float32, one process with two threads: 32 / seconds',
        command: timeit([...NETWORKS, 'step = unet', ...BATCH, ...OPTIMIZER], STEP),
      },
      {
        measures: 'the same compiled',
        command: timeit([...NETWORKS, 'step = torch.compile(unet)', ...BATCH, ...OPTIMIZER], STEP),
      },
      ...[1, 32].map((count) => ({
        measures: `${count === 1 ? 'one picture' : `${count} pictures`} of the embedded model in one step: ${count} / seconds`,
        command: timeit(DRAWING, drawn(count)),
      })),
    ],
  },
  {
    name: 'OpenVINO',
    version: '2026.4.1',
    install: 'pip install openvino==2026.4.1',
    runs: [
      {
        measures:
          'the same programs on OpenVINO in float32, as an engine: the steps of a second drawing and later ones',
        command:
          'npx lcm generate "a lighthouse by the sea" --engine openvino --precision float32 --steps 1 --num-images 20 --json',
      },
    ],
  },
  {
    name: 'stable-diffusion.cpp',
    version: 'as in stable-diffusion-cpp-python 0.4.7, built with -march=native',
    install: 'npm run bench -- sd15 # writes the model',
    runs: [
      {
        measures: 'Stable Diffusion 1.5 of random weights, four steps',
        command:
          'sd-cli -m build/random-models/sd15 -p "a fox" --steps 4 --cfg-scale 1 --sampling-method lcm -W 512 -H 512 -t 2',
      },
    ],
  },
];
