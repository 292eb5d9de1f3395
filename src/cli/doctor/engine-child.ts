/** The process that tries an engine, whose name is its argument, and sends an `EngineReply`. */
import { engineNames } from '../options/engine.ts';
import { oneOf } from '../options/values.ts';
import { type EngineReply, tryEngine } from './engine-check.ts';

const name = oneOf('engine', engineNames)(process.argv[2] ?? '');
const reply: EngineReply = await tryEngine(name).then(
  (error) => ({ error }),
  (error: Error) => ({ failure: error.message }),
);
process.send!(reply, () => process.disconnect());
