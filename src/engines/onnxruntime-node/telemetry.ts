/**
 * ONNX Runtime's builds collect telemetry and try to send it: they write a log into the temporary folder, a device id
 * and a queue of events into the cache, and look up a server. Here that is off.
 */

const SWITCH = 'ORT_DISABLE_TELEMETRY';

/**
 * Turns telemetry off, unless the variable ORT_DISABLE_TELEMETRY has a value already. To be called before ONNX Runtime
 * is loaded for the first time, in the main thread: other threads have a copy of the environment, which native code
 * does not see.
 */
export function turnTelemetryOff(environment: NodeJS.ProcessEnv = process.env): void {
  environment[SWITCH] ??= '1';
}
