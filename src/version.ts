/** The version of this package, which pictures carry; tests/package.test.ts holds it to package.json. */
export const VERSION = '0.1.0';
