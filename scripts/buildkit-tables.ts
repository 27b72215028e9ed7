// Writes src/buildkit/messages.ts, the table of BuildKit's messages, from its published proto files. Run it for a new BuildKit:
//   node scripts/buildkit-tables.ts FOLDER_OF_BUILDKIT VERSION && npm run format
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder = '', version = ''] = process.argv.slice(2);
const FILES = [
  'solver/pb/ops.proto',
  'sourcepolicy/pb/policy.proto',
  'api/types/worker.proto',
  'api/services/control/control.proto',
  'frontend/gateway/pb/gateway.proto',
  'session/secrets/secrets.proto',
  'session/sshforward/ssh.proto',
];
const SCALARS = new Set(['string', 'bytes', 'bool', 'int32', 'int64', 'uint32', 'uint64']);
/** Messages of other projects that BuildKit's own refer to. */
const FOREIGN: Record<string, readonly string[]> = {
  'containerd.services.content.v1.InfoRequest': ['1 digest string'],
  'containerd.services.content.v1.ReadContentRequest': ['1 digest string', '2 offset int64', '3 size int64'],
  'google.protobuf.Timestamp': ['1 seconds int64', '2 nanos int32'],
  'google.protobuf.Any': ['1 type_url string', '2 value bytes'],
  'google.rpc.Status': ['1 code int32', '2 message string', '3 details google.protobuf.Any *'],
};

interface Declared {
  readonly name: string;
  readonly scope: string;
  readonly fields: { type: string; line: (type: string) => string }[];
}
const declared: Declared[] = [];
const enums = new Set<string>();

for (const file of FILES) {
  const text = readFileSync(join(folder, file), 'utf8').replace(/\/\/.*$/gm, '');
  const root = /^package ([\w.]+);/m.exec(text)?.[1] ?? '';
  const open: { kind: string; name: string; fields: Declared['fields'] }[] = [];
  for (const match of text.matchAll(/(message|enum|oneof|service)\s+(\w+)\s*\{|\}|([^;{}]+);/g)) {
    const [whole, kind, name = '', statement = ''] = match;
    if (kind !== undefined) {
      open.push({ kind, name, fields: [] });
      const path = [root, ...open.filter((one) => one.kind !== 'oneof').map((one) => one.name)].join('.');
      if (kind === 'enum') enums.add(path);
      if (kind === 'message') declared.push({ name: path, scope: path, fields: open.at(-1)?.fields ?? [] });
      continue;
    }
    if (whole === '}') {
      open.pop();
      continue;
    }
    const top = open.at(-1);
    if (top === undefined || (top.kind !== 'message' && top.kind !== 'oneof')) continue;
    const field = /^\s*(repeated\s+)?(map\s*<\s*(\w+)\s*,\s*([\w.]+)\s*>|[\w.]+)\s+(\w+)\s*=\s*(\d+)/.exec(statement);
    if (field === null) continue;
    const [, repeated, type = '', key, value, label, number] = field;
    const group = top.kind === 'oneof' ? ` |${top.name}` : '';
    const holder = open.findLast((one) => one.kind === 'message');
    holder?.fields.push({
      type: value ?? type,
      line: (full) =>
        key === undefined
          ? `${number} ${label} ${full}${repeated === undefined ? '' : ' *'}${group}`
          : `${number} ${label} ${key}>${full}`,
    });
  }
}

const known = new Set([...declared.map(({ name }) => name), ...enums, ...Object.keys(FOREIGN)]);
function fullName(type: string, scope: string): string {
  if (SCALARS.has(type)) return type;
  const parts = scope.split('.');
  for (let i = parts.length; i >= 0; i--) {
    const candidate = [...parts.slice(0, i), type].join('.');
    if (known.has(candidate)) return enums.has(candidate) ? 'int32' : candidate;
  }
  return 'unread';
}

const rows: [string, readonly string[]][] = [
  ...Object.entries(FOREIGN),
  ...declared.map(({ name, scope, fields }): [string, readonly string[]] => [
    name,
    fields.map(({ type, line }) => line(fullName(type, scope))),
  ]),
];
const lines = rows
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, fields]) => `  ${JSON.stringify(name)}: ${JSON.stringify(fields)},`);
writeFileSync(
  'src/buildkit/messages.ts',
  `// BuildKit's messages as its proto files declare them. Written by scripts/buildkit-tables.ts; not edited by hand.
// A field: number, name, type (a scalar, a message, or \`key>value\` of a map; enums are int32), \`*\` for repeated, \`|group\` of a oneof.

/** The BuildKit this table was made from. A message with another field is of a newer one, and is refused. */
export const TABLE_VERSION = '${version}';

export const MESSAGES: Readonly<Record<string, readonly string[]>> = {
${lines.join('\n')}
};
`,
);
