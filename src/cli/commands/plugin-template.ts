// The folder `dockgate plugin new` makes: a plugin that works, its cases, and what an editor needs to know its types.

/** File name to text. */
export const pluginTemplate = (name: string): Readonly<Record<string, string>> => ({
  'index.ts': `import { definePlugin } from 'dockgate/plugin';

interface Settings {
  /** Label that every container must have. */
  label: string;
}

export default definePlugin<Settings>({
  meta: { name: '${name}', version: '0.1.0', apiVersion: 1, description: 'Every container says whose it is' },
  match: { actions: ['container.create'] },
  config: {
    type: 'object',
    properties: { label: { type: 'string', default: 'owner' } },
    additionalProperties: false,
  },

  // Changes come before policy judges the call. Say what to change, never how it ends.
  mutate({ body, principal }, { config }) {
    const labels = (body as { Labels?: Record<string, string> }).Labels ?? {};
    if (labels[config.label] !== undefined || principal.tenant === undefined) return [];
    return [{ op: 'add', path: \`/body/Labels/\${config.label}\`, value: principal.tenant }];
  },

  // The last word about what policy allows: pass, warn or deny.
  validate({ body }, { config }) {
    const labels = (body as { Labels?: Record<string, string> }).Labels ?? {};
    if ((labels[config.label] ?? '') !== '') return { kind: 'pass' };
    return {
      kind: 'deny',
      code: 'label-missing',
      message: \`Labels.\${config.label} must be set: add --label \${config.label}=TEAM\`,
    };
  },
});
`,
  'cases.yaml': `# Calls this plugin must pass and calls it must deny: dockgate plugin test ${name}
valid:
  - name: a container with an owner
    action: container.create
    body: { Image: busybox, Labels: { owner: red } }
  - name: a tenant's container gets the tenant's name
    action: container.create
    principal: { tenant: blue }
    body: { Image: busybox }
    changedBody: { Image: busybox, Labels: { owner: blue } }
invalid:
  - name: a container without an owner
    action: container.create
    body: { Image: busybox }
    code: label-missing
`,
  'package.json': `${JSON.stringify(
    {
      name: `dockgate-plugin-${name}`,
      version: '0.1.0',
      type: 'module',
      exports: './index.ts',
      devDependencies: { dockgate: '*' },
    },
    null,
    2,
  )}
`,
  'tsconfig.json': `${JSON.stringify(
    {
      compilerOptions: {
        target: 'ES2023',
        module: 'NodeNext',
        strict: true,
        noEmit: true,
        erasableSyntaxOnly: true,
        verbatimModuleSyntax: true,
        types: [],
        lib: ['ES2023'],
      },
    },
    null,
    2,
  )}
`,
});
