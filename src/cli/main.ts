/** The `switchback` command. */

// `switchback status | head` ends quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const [first, ...rest] = process.argv.slice(2);

// Asked at every Tab: it needs the table of commands only.
process.exitCode =
  first === 'complete'
    ? (await import('./complete.ts')).complete(rest, (text) => process.stdout.write(text))
    : await (await import('./program.ts')).main(process.argv.slice(2), process);
