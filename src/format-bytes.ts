/** Sizes of files and of memory, for people. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `640 MB`, `5.23 GB`: three digits, in powers of 1000 as disks and hubs count. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1000 is 1 of the next.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}
