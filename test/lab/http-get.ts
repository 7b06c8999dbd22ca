// A program: prints the answer of a URL. It runs in a namespace that reaches the URL.
//
//     node http-get.js URL
const TIMEOUT_MS = 5_000;

const answer = await fetch(process.argv[2] ?? '', { signal: AbortSignal.timeout(TIMEOUT_MS) });
process.stdout.write(await answer.text());
process.exitCode = answer.ok ? 0 : 1;
