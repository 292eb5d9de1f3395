/** The process that tries an engine, whose name is its argument, and sends an `EngineReply`. */
import { engineOf } from '../options/engine.ts';
import { type EngineReply, tryEngine } from './engine-check.ts';

const name = engineOf(process.argv[2] ?? '');
const reply: EngineReply = await tryEngine(name).then(
  (error) => ({ error }),
  (error: Error) => ({ failure: error.message }),
);
process.send!(reply, () => process.disconnect());
