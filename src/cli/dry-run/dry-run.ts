// A command run for real, with nothing behind it: every call it makes is judged as a live one would be, and none reaches an engine.
import http from 'node:http';
import process from 'node:process';
import type { DryRunBasis } from '../../admin/dry-run.ts';
import type { PluginSetting } from '../../config/types.ts';
import type { WrittenRequest } from '../commands/read-input.ts';
import { callsOf, type DryCall } from './calls.ts';
import { checkCommand, type Ended, environmentOf, runCommand } from './command.ts';
import { openStage, type Stage } from './stage.ts';

const EVERYTHING = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: everything, acknowledges: [host-access, seccomp-unconfined] }
rules:
  - { name: all, effect: allow, actions: ['*'] }
`;

/** An identity that may do everything, in front of an engine without objects: what a plugin does is all there is to see. */
export const OPEN_BASIS: DryRunBasis = {
  identity: { name: 'you', groups: [], policies: ['everything'] },
  documents: [{ kind: 'Policy', name: 'everything', source: EVERYTHING }],
  owned: [],
  issuer: 'dockgate',
  apiVersions: { min: '1.24' },
  tenants: { sharedImages: ['*'], refreshShared: false, distrust: false },
  sizes: { bodyBytes: 4 * 1024 * 1024, labelBytes: 64 * 1024 },
  site: { protectedPaths: [], sockets: [], networks: [] },
  plugins: [],
  engine: { containers: [], images: [], networks: [], volumes: [], info: {} },
};

export interface DryRun {
  readonly calls: readonly DryCall[];
  readonly ended: Ended;
}

/** @param timeoutMs the command is told to end after this long, in ms */
export async function dryRun(
  words: readonly string[],
  basis: DryRunBasis,
  timeoutMs: number,
  plugins: readonly PluginSetting[] = [],
): Promise<DryRun> {
  checkCommand(words);
  return onStage(basis, plugins, (stage) =>
    runCommand(words, environmentOf(process.env, stage.socketPath, stage.folder), timeoutMs),
  );
}

/** A request alone, sent as a client would send it. */
export const dryRequest = (
  request: WrittenRequest,
  basis: DryRunBasis,
  plugins: readonly PluginSetting[],
): Promise<DryRun> => onStage(basis, plugins, ({ socketPath }) => sendRequest(request, socketPath));

async function onStage(
  basis: DryRunBasis,
  plugins: readonly PluginSetting[],
  act: (stage: Stage) => Promise<Ended>,
): Promise<DryRun> {
  const stage = await openStage(basis, plugins);
  try {
    const ended = await act(stage);
    return { calls: await callsOf(stage), ended };
  } finally {
    await stage.close();
  }
}

function sendRequest({ method, target, body }: WrittenRequest, socketPath: string): Promise<Ended> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers =
    text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method, path: target, headers, agent: false }, (response) => {
      const code = (response.statusCode ?? 500) < 400 ? 0 : 1;
      response.resume().once('close', () => resolve({ code, signal: null, isCut: false }));
    });
    request.once('error', reject).end(text);
  });
}
