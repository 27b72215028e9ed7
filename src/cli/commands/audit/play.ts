// dockgate audit play: a recorded session on this terminal, or as a file.
import { createWriteStream, existsSync, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { Playable, TERMINAL_RESET } from '../../../audit/transcript/playable.ts';
import type { AdminClient } from '../../client.ts';
import { CliError, print, printJson, usageError, visible } from '../../output.ts';
import { examples, gatewayOf, optionsOf, segment } from '../common.ts';

interface PlayOptions {
  readonly speed: string;
  readonly idleLimit: string;
  readonly raw?: boolean;
  readonly input?: boolean;
  readonly out?: string;
}

export const auditPlay = (): Command =>
  new Command('play')
    .description('play the transcript of a recorded session, or write it as an asciicast file')
    .argument('<session>', "audit id of the session, or the engine's id of an exec, from audit sessions")
    .option('--speed <number>', 'times as fast, 0 for at once; at once where the output is no terminal', '1')
    .option('--idle-limit <seconds>', 'no pause is longer than this', '2')
    .option('--input', 'show what was typed too, each piece behind a mark')
    .option('--raw', 'send what was recorded as it is: it may steer your terminal')
    .option('--out <file.cast>', 'write an asciicast v2 in place of playing it')
    .addHelpText(
      'after',
      `${examples(
        'dockgate audit play 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55',
        'dockgate audit play 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55 --speed 4 --idle-limit 1',
        'dockgate audit play 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55 --out session.cast',
      )}\n
Text, colours and cursor reach the terminal; titles, clipboards, questions and keys do not. A file of --out
holds all of it as it was recorded: play it with a player you trust.`,
    )
    .action(async (session: string, options: PlayOptions, command: Command) => {
      const speed = amount('speed', options.speed);
      const idle = amount('idle-limit', options.idleLimit);
      const client = await gatewayOf(command);
      const lines = client.lines(`/audit/transcripts/${segment(await auditIdOf(client, session))}`);
      if (options.out === undefined) return play(lines, { ...options, speed, idle });
      const out = resolve(options.out);
      if (existsSync(out)) throw usageError(`${options.out} is there already: name a file that is not`);
      const events = await write(out, lines);
      return optionsOf(command).json ? printJson({ file: out, events }) : print(`${options.out}: ${events} events`);
    });

function amount(name: string, text: string): number {
  const number = Number(text);
  if (!/^[0-9]{1,6}(?:\.[0-9]{1,3})?$/.test(text))
    throw usageError(`--${name} "${text}" is no number such as 2 or 0.5`);
  return number;
}

/** An exec has an id of the engine's too. */
async function auditIdOf(client: AdminClient, session: string): Promise<string> {
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(session)) return session;
  if (/^[0-9a-f]{64}$/.test(session)) {
    const { sessions } = await client.call<{ sessions: { auditId: string; transcript: unknown }[] }>(
      'GET',
      `/audit/sessions?session=${session}&limit=20`,
    );
    const found = sessions.find(({ transcript }) => transcript !== null) ?? sessions[0];
    if (found === undefined) throw new CliError(`the audit has no session ${session}`);
    return found.auditId;
  }
  const { auditId } = await client.call<{ auditId: string }>('GET', `/audit/${segment(session)}`);
  return auditId;
}

type CastEvent = readonly [seconds: number, kind: string, data: string];

interface Manner {
  readonly speed: number;
  readonly idle: number;
  readonly raw?: boolean | undefined;
  readonly input?: boolean | undefined;
}

async function play(lines: AsyncGenerator<string>, { speed, idle, raw, input }: Manner): Promise<void> {
  const isTerminal = process.stdout.isTTY === true;
  const playable = new Playable();
  const shown = (data: string): string => (raw === true ? data : playable.filter(data));
  let before = 0;
  let isHead = true;
  const isPaced = isTerminal && speed > 0;
  const reset = (): void => {
    process.stdout.write(TERMINAL_RESET);
  };
  if (isTerminal) process.once('exit', reset);
  for await (const line of lines) {
    const event = JSON.parse(line) as CastEvent;
    if (isHead) {
      isHead = false;
      continue;
    }
    const [seconds, kind, data] = event;
    if (isPaced) await sleep(Math.min(idle, Math.max(0, seconds - before) / speed) * 1000);
    before = seconds;
    if (kind === 'o') await send(shown(data));
    else if (kind === 'i' && input === true) await send(`⟨${visible(data)}⟩`);
    else if (kind === 'm') await send(`\r\n[${visible(data)}]\r\n`);
  }
}

const send = (text: string): Promise<void> =>
  new Promise((done) => {
    if (process.stdout.write(text)) done();
    else process.stdout.once('drain', () => done());
  });

/** The file appears under its name once it is whole. @returns how many events it has */
async function write(out: string, lines: AsyncGenerator<string>): Promise<number> {
  const part = `${out}.part`;
  let count = -1;
  async function* counted(): AsyncGenerator<string> {
    for await (const line of lines) {
      count++;
      yield `${line}\n`;
    }
  }
  try {
    await pipeline(Readable.from(counted()), createWriteStream(part, { mode: 0o600 }));
    renameSync(part, out);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
  return Math.max(0, count);
}
