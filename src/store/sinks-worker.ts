// Thread that feeds the audit's sinks, and exports what is due. It reads audit.db over a connection that cannot write and does its own network and file I/O: a
// sink that hangs, fails or is slow costs callers of the engine nothing.
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { RetentionSetting } from '../audit/retention.ts';
import type { SinkSetting } from '../audit/sinks/setting.ts';
import { createSink } from '../audit/sinks/sinks.ts';
import { openAuditPages } from './audit-pages.ts';
import { type RemovedSegment, Retention, type RetentionParts } from './retention.ts';
import { SinkCursors } from './sink-cursors.ts';
import { SinkRunner } from './sink-runner.ts';
import type { SinksAsked, SinksData, SinksTold } from './sinks-thread.ts';

/** How often it is looked whether rows were written, in ms. */
const LOOK_MS = 200;
/** How often states are told and cursors are saved, in ms. */
const TELL_MS = 1000;

const { auditFile, version } = workerData as SinksData;
const origin = { version, host: hostname() };
const pages = openAuditPages(auditFile);
const cursors = new SinkCursors(dirname(auditFile));
const runners = new Map<string, SinkRunner>();
let retention: Retention | undefined;
/** What the main thread was asked for and has not answered yet. */
const waiting = new Map<number, (answer: Kept) => void>();
type Kept = Extract<SinksAsked, { ask: 'kept' }>;
let askedId = 0;
const tell = (told: SinksTold): void => parentPort?.postMessage(told);
let seen = -1;
let isSaveTold = false;

const toldOf = {
  wentBack: (name: string, seq: number) => tell({ tell: 'went-back', name, seq }),
  refused: (name: string, rows: number) => tell({ tell: 'refused', name, rows }),
};

function look(): void {
  const last = pages.last();
  if (last === seen) return;
  seen = last;
  for (const runner of runners.values()) runner.poke();
}

function tellStates(): void {
  let saveFault: string | undefined;
  try {
    cursors.save();
    isSaveTold = false;
  } catch (error) {
    // Not a fault of the sinks: after a crash they are sent again what was delivered since.
    if (!isSaveTold) saveFault = error instanceof Error ? error.message : String(error);
    isSaveTold = true;
  }
  const now = Date.now();
  const states = [...runners.values()].map((runner) => runner.state(now));
  tell({ tell: 'states', states, retention: retention?.state(), saveFault });
}

let isStopping = false;

function keep(asked: (id: number) => SinksTold): Promise<string> {
  if (isStopping) return Promise.reject(new Error('the gateway is stopping'));
  const id = ++askedId;
  return new Promise((resolve, reject) => {
    waiting.set(id, ({ text, failure }) => {
      if (failure === undefined) resolve(text ?? '');
      else reject(new Error(failure));
    });
    tell(asked(id));
  });
}

async function applyRetention(setting: RetentionSetting | undefined): Promise<void> {
  if (JSON.stringify(setting) === JSON.stringify(retention?.setting)) return;
  const old = retention;
  retention = undefined;
  await old?.stop();
  if (setting === undefined) return;
  const parts: RetentionParts = {
    auditFile,
    sinks: () => [...runners.values()].map((runner) => runner.state(Date.now())),
    anchor: (seq) => keep((id) => ({ tell: 'anchor', id, seq })),
    async remove(segment: RemovedSegment) {
      await keep((id) => ({ tell: 'remove', id, segment }));
    },
  };
  retention = new Retention(setting, parts, old?.state().removedRows);
}

async function apply(settings: readonly SinkSetting[], graceMs: number): Promise<void> {
  const wanted = new Map(settings.map((setting) => [setting.name, setting]));
  const leaving = [...runners.values()].filter(
    ({ setting }) => JSON.stringify(wanted.get(setting.name)) !== JSON.stringify(setting),
  );
  await Promise.all(leaving.map((runner) => runner.stop(graceMs)));
  for (const { setting } of leaving) runners.delete(setting.name);
  for (const setting of settings) {
    if (runners.has(setting.name)) continue;
    runners.set(setting.name, new SinkRunner(setting, createSink(setting, origin), pages, cursors, toldOf));
  }
  tellStates();
}

const looking = setInterval(look, LOOK_MS);
const telling = setInterval(tellStates, TELL_MS);
/** One change at a time: a sink is stopped before its successor of the same name begins. */
let changing: Promise<void> = Promise.resolve();

parentPort?.on('message', (asked: SinksAsked) => {
  if (asked.ask === 'kept') {
    waiting.get(asked.id)?.(asked);
    waiting.delete(asked.id);
    return;
  }
  if (asked.ask === 'stop') {
    isStopping = true;
    for (const [id, answer] of waiting) answer({ ask: 'kept', id, failure: 'the gateway is stopping' });
    waiting.clear();
  }
  changing = changing
    .then(() => applyRetention(asked.ask === 'apply' ? asked.retention : undefined))
    .then(() => apply(asked.ask === 'apply' ? asked.sinks : [], asked.graceMs))
    .then(() => {
      if (asked.ask === 'apply') {
        tell({ tell: 'applied', id: asked.id });
        return;
      }
      clearInterval(looking);
      clearInterval(telling);
      tell({ tell: 'stopped' });
    });
});
