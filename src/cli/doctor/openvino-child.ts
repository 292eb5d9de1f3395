/** The process that loads OpenVINO's library, whose path is its argument, and sends an `OpenVinoReply`. */
import { describeOpenVino } from '../../engines/openvino/engine.ts';
import type { OpenVinoReply } from './openvino.ts';

const reply: OpenVinoReply = await describeOpenVino(process.argv[2] ?? '').catch((error: Error) => ({
  failure: error.message,
}));
process.send!(reply, () => process.disconnect());
