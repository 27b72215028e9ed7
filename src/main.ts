// Starts the program: `serve` for production, `start` for a newcomer's first minute. Importing this starts nothing.
import { dirname, resolve } from 'node:path';
import { run } from './app/run.ts';
import { loadConfig } from './config/config.ts';

/** `dockgate serve --config FILE`: runs until it is told to stop. */
export async function serve(configFile: string): Promise<void> {
  const file = resolve(configFile);
  const running = await run(loadConfig(file), { baseDir: dirname(file), reread: () => loadConfig(file) });
  await running.stopped;
}

/** `dockgate start`: see app/quickstart.ts. */
export async function startQuick(options: { data?: string; listen?: string }): Promise<void> {
  const { start } = await import('./app/quickstart.ts');
  await start(options);
}
