// Counts the results of vitest's report, and lists skipped tests and failures outside of tests.
import { relative } from 'node:path';

/**
 * Tests that may be skipped in a strict run, each with the reason why the machine cannot run it. A title matches if it
 * contains the text.
 *
 * @type {readonly { readonly title: string, readonly reason: string }[]}
 */
const MAY_BE_SKIPPED = [
  {
    title: 'needs firewalld',
    reason: 'its installation starts it, which would close the ports of the machine',
  },
  {
    title: 'needs a build of etcd',
    reason: 'it needs Go and the Go module of that version',
  },
  {
    title: 'needs packages of Debian',
    reason: 'they could not be downloaded',
  },
];

/**
 * @typedef {object} Results
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string[]} notes Lines for people.
 */

/**
 * @param {string} json vitest's JSON report.
 * @param {string} root
 * @param {boolean} isStrict Whether a skipped test is a failure, unless it is in the list above.
 * @returns {Results}
 */
export function readResults(json, root, isStrict) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  /** @type {string[]} */
  const skippedNames = [];
  /** @type {string[]} */
  const notes = [];
  for (const file of JSON.parse(json).testResults) {
    const name = relative(root, file.name);
    const before = counts.failed;
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') counts.passed += 1;
      else if (status === 'failed') counts.failed += 1;
      else skippedNames.push(`${name}: ${fullName}`);
    }
    // A file that does not load, or whose hooks fail, may have no failed test.
    if (file.status === 'failed' && counts.failed === before) {
      counts.failed += 1;
      notes.push(`failed: ${name}: ${firstLine(file.message)}`);
    }
  }
  for (const name of skippedNames) {
    const mayBe = !isStrict || MAY_BE_SKIPPED.some(({ title }) => name.includes(title));
    if (mayBe) counts.skipped += 1;
    else counts.failed += 1;
    notes.push(mayBe ? `skipped: ${name}` : `failed: skipped in a strict run: ${name}`);
  }
  return { ...counts, notes };
}

/** @param {string | undefined} text */
function firstLine(text) {
  return (text ?? '').trim().split('\n')[0] ?? '';
}
