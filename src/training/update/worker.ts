/** A thread of the update: does its part whenever it is asked. */
import { serve } from '../../engines/thread/serve.ts';
import { UpdatePart } from './update-part.ts';
import type { UpdateReply, UpdateRequest } from './update-threads.ts';

let part: UpdatePart | undefined;

serve(async (request: UpdateRequest): Promise<UpdateReply> => {
  if (request.kind === 'open') {
    part = new UpdatePart(request.arrays, request.spans);
    return { kind: 'done' };
  }
  if (request.kind === 'close') return { kind: 'done' };
  if (!part) throw new Error('a part of an update was asked for before it was given');
  if (request.kind === 'gather') return { kind: 'gathered', squares: part.gather(request.shares) };
  part.apply(request.numbers);
  return { kind: 'done' };
});
