// Reads the switches of the widespread HAProxy-based socket proxy (CONTAINERS=1 POST=0 ALLOW_START=1 ...) and writes the
// policy that stands for them. It tightens where a switch would hand over the host, and says so.
// See https://github.com/Tecnativa/docker-socket-proxy (README, "Grant or revoke access to certain API sections").
import { OPERATIONS } from '../engine/operations.ts';
import type { Operation } from '../engine/types.ts';
import { ACTIONS } from './actions.ts';
import { isGraveUnjudged } from './unjudged.ts';

/** Switch to the first segment of the paths it opens. */
const SECTIONS: Readonly<Record<string, string>> = {
  AUTH: '/auth',
  BUILD: '/build',
  COMMIT: '/commit',
  CONFIGS: '/configs',
  CONTAINERS: '/containers',
  DISTRIBUTION: '/distribution',
  EVENTS: '/events',
  EXEC: '/exec',
  GRPC: '/grpc',
  IMAGES: '/images',
  INFO: '/info',
  NETWORKS: '/networks',
  NODES: '/nodes',
  PING: '/_ping',
  PLUGINS: '/plugins',
  SECRETS: '/secrets',
  SERVICES: '/services',
  SESSION: '/session',
  SWARM: '/swarm',
  SYSTEM: '/system',
  TASKS: '/tasks',
  VERSION: '/version',
  VOLUMES: '/volumes',
};
const DEFAULT_ON: ReadonlySet<string> = new Set(['EVENTS', 'PING', 'VERSION']);

/** Switches that open single calls even without POST. */
const SINGLE: Readonly<Record<string, readonly string[]>> = {
  ALLOW_START: ['container.start'],
  ALLOW_STOP: ['container.stop'],
  ALLOW_RESTARTS: ['container.stop', 'container.restart', 'container.kill'],
  ALLOW_PAUSE: ['container.pause'],
  ALLOW_UNPAUSE: ['container.unpause'],
};
const NO_SWITCHES: ReadonlySet<string> = new Set(['LOG_LEVEL', 'SOCKET_PATH', 'BIND_CONFIG', 'DISABLE_IPV6', 'TZ']);

/** Actions whose body or stream the host preset cannot judge: they are left out. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'build.control': 'what passes through BuildKit is not seen',
  'build.session': 'what passes through BuildKit is not seen',
  'image.load': 'the names of the images are inside the archive and not known beforehand',
  'image.import': 'the engine would fetch any address, or take a file system unread',
};
/** Reads of the old proxy that carry more than a look. */
const MORE_THAN_A_LOOK: Readonly<Record<string, string>> = {
  'container.attach': 'GET attach/ws writes to the container',
  'container.archive.read': 'it reads any file of a container, and through its bind mounts the host',
  'container.export': 'it reads every file of a container',
  'swarm.inspect': 'it holds the join tokens of the swarm',
  'swarm.unlockkey': 'it holds the key of the swarm',
};

export interface ImportedPolicy {
  /** A policy document, YAML. */
  readonly source: string;
  /** What was tightened, left out or not understood, one sentence each. */
  readonly notes: readonly string[];
}

/** @param envText `NAME=value` a line, as in an env file, a compose file's list or map, or `docker run -e` lines */
export function importSocketProxyEnv(envText: string): ImportedPolicy {
  const notes: string[] = [];
  const on = readSwitches(envText, notes);
  const post = on.has('POST');
  const judged = new Set<string>();
  const rules: { name: string; actions: string[]; host: boolean }[] = [];
  const note = (text: string): void => {
    if (!notes.includes(text)) notes.push(text);
  };
  for (const [name, segment] of Object.entries(SECTIONS)) {
    if (!on.has(name)) continue;
    const plain = new Set<string>();
    const grave = new Set<string>();
    for (const operation of OPERATIONS) {
      if (!operation.served || !isBelow(operation, segment)) continue;
      const isLook = operation.method === 'GET' || operation.method === 'HEAD';
      if (!isLook && !post) continue;
      const { action } = operation;
      const because = LEFT_OUT[action] ?? (isLook && !post ? MORE_THAN_A_LOOK[action] : undefined);
      if (because !== undefined) {
        note(`${name}=1 opened ${action}; it is left out, for ${because}`);
        continue;
      }
      const facts = ACTIONS.get(action);
      if (isGraveUnjudged(action)) {
        note(`${name}=1 opened ${action}; it is left out, for it governs the whole engine`);
        continue;
      }
      (facts?.risks.has('escalates') ? grave : plain).add(action);
    }
    if (name === 'IMAGES' && post)
      note(`IMAGES=1 POST=1 opened image.import; it is left out, for ${LEFT_OUT['image.import']}`);
    const word = name.toLowerCase();
    if (plain.size > 0) rules.push({ name: word, actions: [...plain].sort(), host: false });
    if (grave.size > 0) {
      rules.push({ name: `${word}-judged`, actions: [...grave].sort(), host: true });
      for (const action of grave) judged.add(action);
    }
  }
  const single = new Set(Object.entries(SINGLE).flatMap(([name, actions]) => (on.has(name) ? actions : [])));
  if (single.size > 0) {
    const starts = single.delete('container.start');
    if (single.size > 0) rules.push({ name: 'allowed', actions: [...single].sort(), host: false });
    if (starts) {
      rules.push({ name: 'allowed-start', actions: ['container.start'], host: true });
      judged.add('container.start');
    }
  }
  if (judged.size > 0) {
    note(
      `${[...judged].sort().join(', ')} ${judged.size === 1 ? 'is' : 'are'} judged by host: {preset: baseline}: nothing privileged, no host paths, no host namespaces; name what you need under host, such as binds: [/srv/app]`,
    );
  }
  note('every caller had all of this; bind the policy to the identities that need it');
  return { source: write(rules), notes };
}

const isBelow = ({ path }: Operation, segment: string): boolean => path === segment || path.startsWith(`${segment}/`);

function readSwitches(text: string, notes: string[]): ReadonlySet<string> {
  const on = new Set(DEFAULT_ON);
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const line = raw
      .replace(/\s+#.*$/, '')
      .trim()
      .replace(/^(-e|--env)\s+/, '')
      .replace(/^-\s+/, '')
      .replace(/^export\s+/, '');
    if (line === '' || line.startsWith('#') || /^environment:$/.test(line)) continue;
    for (const word of /^[A-Z_]+:/.test(line) ? [line] : line.split(/\s+/)) {
      const match = /^["']?([A-Z][A-Z0-9_]*)["']?\s*[=:]\s*(.*)$/.exec(word);
      if (match === null) {
        notes.push(`line ${i + 1} is no switch and was passed over`);
        break;
      }
      const name = match[1] as string;
      const value = (match[2] as string).replace(/^["']|["']$/g, '').toLowerCase();
      if (NO_SWITCHES.has(name)) continue;
      if (name !== 'POST' && !Object.hasOwn(SECTIONS, name) && !Object.hasOwn(SINGLE, name)) {
        notes.push(`${name} is not known and was passed over`);
      } else if (/^(1|true|yes|on)$/.test(value)) on.add(name);
      else {
        on.delete(name);
        if (!/^(0|false|no|off|)$/.test(value))
          notes.push(`${name} has a value that is neither 1 nor 0; it was taken as 0`);
      }
    }
  }
  return on;
}

function write(rules: readonly { name: string; actions: readonly string[]; host: boolean }[]): string {
  const lines = [
    'apiVersion: dockgate/v1',
    'kind: Policy',
    'metadata:',
    '  name: socket-proxy',
    '  description: taken over from the switches of a socket proxy',
    'rules:',
  ];
  for (const { name, actions, host } of rules) {
    lines.push(`  - name: ${name}`, '    effect: allow', `    actions: [${actions.join(', ')}]`);
    if (host) lines.push('    host: { preset: baseline }');
  }
  if (rules.length === 0) lines.push('  - name: nothing', '    effect: deny', '    actions: ["*"]');
  return `${lines.join('\n')}\n`;
}
