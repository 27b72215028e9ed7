// Dockerfiles and contexts made up at random, built straight on the engine as they are and as the gateway would send them: with the
// build cache on, both give one image, or one of the two is refused. DOCKGATE_FUZZ_RUNS says how many, DOCKGATE_FUZZ_SEED from where.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { planBuild } from '../../src/engine/dockerfile/plan.ts';
import { GatewayError } from '../../src/errors.ts';
import { judgedContext } from '../../src/ledger/build-context.ts';
import { TarReader } from '../../src/ledger/tar-reader.ts';
import { type Api, apiOver, must } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll } from '../support/tenants.ts';

const RUNS = Number(process.env.DOCKGATE_FUZZ_RUNS ?? 12);
const SEED = Number(process.env.DOCKGATE_FUZZ_SEED ?? 1);
const PREFIX = `dg-diff-${IS_DENO ? 'deno' : 'node'}`;

/** Numbers below 1, the same for one seed. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const D = '$';
const ODD = ['\u0085', '\u00a0', '\u2003', '\u3000', '\ufeff', '\u200b'];

/** A Dockerfile in which most lines are odd in some way. */
function dockerfileOf(next: () => number): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const chance = (part: number): boolean => next() < part;
  const escaping = chance(0.2) ? '`' : '\\';
  const blank = () => pick([' ', '  ', '\t', ' \t ', ' ']);
  const cut = () =>
    pick([
      `${escaping}\n`,
      `${escaping} \n`,
      `${escaping}\t\n  `,
      `${escaping}\n# c\n`,
      `${escaping}\n\n`,
      `${escaping}${escaping}\n`,
    ]);
  const cased = (word: string) =>
    chance(0.3) ? word.toLowerCase() : chance(0.2) ? word[0] + word.slice(1).toLowerCase() : word;
  const image = () =>
    pick([
      `${PREFIX}-a:1`,
      `${PREFIX}-b:1`,
      `${PREFIX}-${D}A:1`,
      `"${PREFIX}-a":1`,
      `${PREFIX}-${D}{B:-b}:1`,
      `${PREFIX}-${D}{A:+a}:1`,
      `${D}{A}x`,
      `${PREFIX}-'b':1`,
      `${PREFIX}-${escaping}a:1`,
      `${PREFIX}-${D}1a:1`,
    ]);
  const value = () =>
    pick([
      'x',
      '"x y"',
      "'x y'",
      `x${escaping} y`,
      `${D}A`,
      `${D}{A}b`,
      `"${D}A b"`,
      `'${D}A'`,
      `${escaping}${D}A`,
      '""',
      `${D}{Z:-q}`,
      'a=b',
      `"a${escaping}"b"`,
      `x${escaping}`,
      '#x',
      '\u00e9',
    ]);
  const lines: string[] = [];
  if (escaping === '`') lines.push(pick(['# escape=`', '#escape = `', '# Escape=`  ']));
  if (chance(0.2)) lines.push(pick(['# syntax=x/y:1', '# c', '# check=skip=all']));
  lines.push(`ARG A=${pick(['a', '"a"', 'b'])}`);
  const stages: string[] = [];
  const step = (): string => {
    switch (Math.floor(next() * 11)) {
      case 0:
        return `${cased('ENV')}${blank()}E${pick(['=', ' '])}${value()}`;
      case 1:
        return `${cased('LABEL')}${blank()}l=${value()}${chance(0.4) ? `${blank()}"m.n"=${value()}` : ''}`;
      case 2:
        return `${cased('COPY')}${blank()}${chance(0.4) ? `--chown=${pick(['1:1', '"1:1"', `${D}A`])}${blank()}` : ''}${pick(['f /', 'f g /d/', '["f", "/x y"]', `${D}{NO}f /`, '"f" /q'])}`;
      case 3:
        return `${cased('COPY')}${blank()}--from=${pick([`${PREFIX}-b:1`, `"${PREFIX}-a:1"`, '0', ...stages, 'nope'])}${blank()}/etc/passwd /p`;
      case 4:
        return `${cased('WORKDIR')}${blank()}${pick(['/w', `/${D}A`, '"/w"', `/w${escaping} x`])}`;
      case 5:
        return `${cased('CMD')}${blank()}${pick(['["a", "b"]', 'a b', '[a', `a ${escaping}${D}A`, '["a"'])}`;
      case 6:
        return `${cased('ONBUILD')}${blank()}${pick(['ENV X=1', 'COPY f /', 'run true', 'LABEL a=b'])}`;
      case 7:
        return `${cased('ARG')}${blank()}${pick(['A', 'A=z', 'C="c d"', 'A C=1'])}`;
      case 8:
        return `${cased('ADD')}${blank()}${pick(['f /', `${D}{F}f /`, `"f" /`, '["f", "/z"]'])}`;
      case 9:
        return `${cased('USER')}${blank()}${pick(['1', `${D}A`, '"1"'])}`;
      default:
        return pick([
          'EXPOSE 80 90/udp',
          'VOLUME /v',
          'VOLUME ["/v", "/w"]',
          'STOPSIGNAL 9',
          'HEALTHCHECK --interval=5s CMD true',
          'SHELL ["/bin/sh","-c"]',
          'MAINTAINER me "x"',
          'ENTRYPOINT  e  f',
          '# comment',
          '',
          '   # comment',
        ]);
    }
  };
  for (let stage = 0; stage < 1 + Math.floor(next() * 2); stage++) {
    const name = chance(0.4) ? pick(['one', 'Two']) + stage : '';
    lines.push(
      `${cased('FROM')}${blank()}${stages.length > 0 && chance(0.3) ? pick(stages) : image()}${name === '' ? '' : ` ${pick(['AS', 'as', 'As'])} ${name}`}`,
    );
    if (name !== '') stages.push(name);
    for (let left = 1 + Math.floor(next() * 4); left > 0; left--) lines.push(step());
  }
  let text = lines
    .map((line) => {
      let out = line;
      if (chance(0.25)) {
        const at = Math.floor(next() * (out.length + 1));
        out = out.slice(0, at) + cut() + out.slice(at);
      }
      if (chance(0.1)) out = pick(ODD) + out;
      // What follows a trigger stays with it, and means nothing when it runs.
      if (!/onbuild/i.test(line) && chance(0.1)) out += pick([' ', '\t', ...ODD, escaping, `${escaping} `]);
      return out;
    })
    .join(chance(0.15) ? '\r\n' : '\n');
  if (chance(0.1)) text = `\ufeff${text}`;
  return chance(0.8) ? `${text}\n` : text;
}

/** A context whose entries overlap, repeat, link and are named in several ways. */
function contextOf(next: () => number): Buffer {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const names = [
    'f',
    './f',
    '/f',
    'd/f',
    'd//g',
    'd',
    'd/',
    'e/Dockerfile',
    'Dockerfile',
    './Dockerfile',
    'dockerfile',
    'link',
    'link/f',
  ];
  const file = (name: string) =>
    tarEntry(
      name,
      name.toLowerCase().endsWith('dockerfile')
        ? `FROM scratch\nLABEL n=${Math.floor(next() * 1000)}\nCOPY . /\n`
        : `content ${next()}`,
    );
  const entries = [tarEntry('.dockerignore', 'Dockerfile\ndockerfile\n.dockerignore\n'), tarEntry('f0', 'x')];
  for (let left = 2 + Math.floor(next() * 5); left > 0; left--) {
    const name = pick(names);
    const kind = Math.floor(next() * 9);
    if (kind === 0) entries.push(tarEntry(name, '', '2', pick(['f', 'd', '.', 'e', 'Dockerfile'])));
    else if (kind === 1) entries.push(tarEntry(name, '', '1', pick(['f', 'd/f', 'Dockerfile', 'f0'])));
    else if (kind === 2) entries.push(tarEntry(`${name.replace(/\/$/, '')}/`, '', '5'));
    else if (kind === 3) {
      const record = `path=${pick(names).replace(/\/$/, '')}\n`;
      entries.push(tarEntry('x', `${record.length + 3} ${record}`, 'x'), file('other'));
    } else if (kind === 4) entries.push(tarEntry('L', `${pick(names).replace(/\/$/, '')}\0`, 'L'), file('other'));
    else entries.push(file(name.replace(/\/$/, '')));
  }
  if (next() < 0.8) entries.push(file('Dockerfile'));
  return Buffer.concat([...entries, Buffer.alloc(1024)]);
}

describe('builds as they are, and as they are sent', { skip: skipWithoutEngine, timeout: 3_600_000 }, () => {
  let engine: Api;
  before(async () => {
    engine = apiOver(ENGINE as string);
    for (const name of ['a', 'b']) {
      const body = Buffer.concat([tarEntry('Dockerfile', `FROM ${IMAGE}\nLABEL marker=${name}\n`), Buffer.alloc(1024)]);
      await must(engine, 'POST', `/build?t=${PREFIX}-${name}:1`, body);
    }
  });
  after(() => removeAll(engine, PREFIX));

  /** Id of the image a context gives; undefined where the engine refuses it. */
  const built = async (body: Buffer): Promise<{ readonly id: string | undefined; readonly text: string }> => {
    const { text } = await engine('POST', '/build?networkmode=none', { body });
    const ids = [...text.matchAll(/"aux":\{"ID":"(sha256:[0-9a-f]{64})"/g)].map(([, id]) => id);
    return { id: /Successfully built/.test(text) ? ids.at(-1) : undefined, text };
  };
  const send = (dockerfile: string | Buffer): Buffer =>
    Buffer.concat([
      tarEntry('f', 'f'),
      tarEntry('g', 'g'),
      tarEntry('Dockerfile', Buffer.from(dockerfile)),
      Buffer.alloc(1024),
    ]);

  /** What is in an image made of nothing but a context, and its label. */
  async function filesOf(id: string | undefined): Promise<readonly string[] | undefined> {
    if (id === undefined) return undefined;
    const { Config } = await must<{ Config: { Labels?: Record<string, string> } }>(engine, 'GET', `/images/${id}/json`);
    const made = await must<{ Id: string }>(engine, 'POST', '/containers/create', { Image: id, Cmd: ['x'] });
    try {
      const files = [`label ${Config.Labels?.n}`];
      async function* exported(): AsyncGenerator<Uint8Array> {
        yield* await exportOf(made.Id);
      }
      const reader = new TarReader(exported());
      for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
        let content = '';
        for await (const piece of reader.content()) content += piece.toString();
        files.push([entry.type, entry.path, entry.target, content].join(' '));
      }
      return files.sort();
    } finally {
      await engine('DELETE', `/containers/${made.Id}?force=1`);
    }
  }
  const exportOf = (id: string): Promise<AsyncIterable<Uint8Array>> =>
    new Promise((resolve, reject) => {
      const at = { socketPath: ENGINE as string, path: `/containers/${id}/export`, agent: false };
      http.get(at, resolve).on('error', reject);
    });

  /** The Dockerfile the gateway would send, with environments as the engine has them. */
  async function planned(content: Buffer): Promise<string> {
    const plan = planBuild(content, { buildArgs: {} });
    for (let step = plan.next(); ; ) {
      if (step.done === true) return step.value;
      const question = step.value;
      assert.equal(question.kind, 'image');
      if (question.kind !== 'image') throw new Error('no addresses here');
      const { json } = await engine('GET', `/images/${question.name}/json`);
      const config = (json as { Config?: { Env?: string[]; OnBuild?: string[] } }).Config;
      step = plan.next({ write: question.name, env: config?.Env ?? [], triggers: config?.OnBuild ?? [] });
    }
  }

  it(`${RUNS} Dockerfiles give one image both ways`, async () => {
    const tally = { same: 0, refused: 0, stricter: 0 };
    for (let run = 0; run < RUNS; run++) {
      const text = dockerfileOf(numbers(SEED * 1_000_003 + run));
      let sent: string | undefined;
      try {
        sent = await planned(Buffer.from(text));
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
      }
      const asIs = await built(send(text));
      if (sent === undefined) {
        tally[asIs.id === undefined ? 'refused' : 'stricter']++;
        if (process.env.DOCKGATE_FUZZ_SHOW && asIs.id !== undefined) {
          try {
            await planned(Buffer.from(text));
          } catch (error) {
            process.stderr.write(`stricter: ${(error as Error).message}\n${JSON.stringify(text)}\n`);
          }
        }
        continue;
      }
      const asSent = await built(send(sent));
      // What the engine refuses as it came may be sound as it is sent: nothing is built that was not judged.
      if (asIs.id === undefined) tally.refused++;
      else {
        assert.equal(
          asSent.id,
          asIs.id,
          `seed ${SEED}, run ${run}:\n${text}\n--- sent:\n${sent}\n--- ${asIs.text.slice(-1500)}\n--- ${asSent.text.slice(-1500)}`,
        );
        tally.same++;
      }
    }
    if (RUNS > 20) process.stderr.write(`${JSON.stringify(tally)}\n`);
  });

  it(`${RUNS} contexts give one image both ways`, async () => {
    const tally = { same: 0, refused: 0, stricter: 0 };
    for (let run = 0; run < RUNS; run++) {
      const archive = contextOf(numbers(SEED * 7_000_003 + run));
      const pieces: Uint8Array[] = [];
      let isRefused = false;
      try {
        const judge = {
          dockerfile: 'Dockerfile',
          judge: async (content: Buffer) => Buffer.from(await planned(content)),
        };
        async function* all(): AsyncGenerator<Uint8Array> {
          yield archive;
        }
        for await (const piece of judgedContext(all(), judge)) pieces.push(piece);
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        isRefused = true;
      }
      const asIs = await built(archive);
      if (isRefused) {
        tally[asIs.id === undefined ? 'refused' : 'stricter']++;
        continue;
      }
      const asSent = await built(Buffer.concat(pieces));
      // The engine's key of a file holds the spelling of its name, so the files themselves are compared.
      const [before, now] = [await filesOf(asIs.id), await filesOf(asSent.id)];
      assert.deepEqual(
        now,
        before,
        `seed ${SEED}, run ${run}: ${asIs.text.slice(-800)}\n---\n${asSent.text.slice(-800)}`,
      );
      tally.same++;
    }
    if (RUNS > 20) process.stderr.write(`${JSON.stringify(tally)}\n`);
  });
});
