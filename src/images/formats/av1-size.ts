/** The size that an AV1 bitstream itself declares (AV1 specification, 5.5): decoders go by it, whatever a container says. */

const SEQUENCE_HEADER = 1;

/** Of every sequence header in the stream: [width, height]. A stream that is cut off ends where it does. */
export function* av1Sizes(stream: Uint8Array): Generator<[width: number, height: number]> {
  for (let at = 0; at < stream.length; ) {
    const header = stream[at]!;
    const type = (header >> 3) & 15;
    at += header & 4 ? 2 : 1;
    let length = stream.length - at;
    if (header & 2) {
      length = 0;
      for (let i = 0; i < 8; i++) {
        const byte = stream[at++] ?? 0;
        length += (byte & 0x7f) * 128 ** i;
        if (byte < 0x80) break;
      }
    }
    if (type === SEQUENCE_HEADER) yield sequenceSize(stream.subarray(at, at + length));
    at += length;
  }
}

function sequenceSize(header: Uint8Array): [width: number, height: number] {
  let position = 0;
  const bits = (count: number) => {
    let value = 0;
    for (let i = 0; i < count; i++, position++) {
      value = 2 * value + (((header[position >> 3] ?? 0) >> (7 - (position & 7))) & 1);
    }
    return value;
  };
  bits(3 + 1); // profile, still picture
  if (bits(1) === 1)
    bits(5); // reduced header: the level alone
  else skipOperatingPoints(bits);
  const [widthBits, heightBits] = [bits(4) + 1, bits(4) + 1];
  return [bits(widthBits) + 1, bits(heightBits) + 1];
}

/** Timing, and for each operating point its level and its decoder model, as the specification orders them. */
function skipOperatingPoints(bits: (count: number) => number): void {
  let delayBits = 0;
  if (bits(1) === 1) {
    bits(32 + 32);
    if (bits(1) === 1) skipVariableLength(bits);
    if (bits(1) === 1) {
      delayBits = bits(5) + 1;
      bits(32 + 5 + 5);
    }
  }
  const hasDisplayDelay = bits(1) === 1;
  for (let points = bits(5) + 1; points > 0; points--) {
    bits(12);
    if (bits(5) > 7) bits(1);
    if (delayBits > 0 && bits(1) === 1) bits(2 * delayBits + 1);
    if (hasDisplayDelay && bits(1) === 1) bits(4);
  }
}

/** As many zeros as further bits, after a one. */
function skipVariableLength(bits: (count: number) => number): void {
  let zeros = 0;
  while (zeros < 32 && bits(1) === 0) zeros++;
  if (zeros < 32) bits(zeros);
}
