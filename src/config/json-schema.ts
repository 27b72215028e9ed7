// The settings file as a JSON Schema, for editors: made from the same definitions that read the file. It knows keys, types and
// words; what needs the file's place on disk or two sections at once only `dockgate check` tells.
import * as z from 'zod';
import { auditSectionWritten } from './audit.ts';
import { issuerEntry } from './issuers.ts';
import * as schema from './schema.ts';

const listener = z.union([z.string().min(1), schema.httpsEntry, schema.httpEntry, schema.unixEntry]);

const SECTIONS: Readonly<Record<(typeof schema.KEYS)[number], z.ZodType>> = {
  engine: schema.engineSection,
  engineTls: schema.engineTlsSection,
  engineInsecure: schema.engineInsecureSection,
  data: schema.dataSection,
  listen: z.array(listener),
  tls: schema.tlsSection,
  clientCas: schema.clientCasSection,
  plugins: schema.pluginsSection,
  ownSockets: schema.ownSocketsSection,
  limits: schema.limitsSection,
  log: schema.logSection,
  keySeal: schema.keySealSection,
  issuer: schema.issuerSection,
  audience: schema.audienceSection,
  issuers: z.array(issuerEntry),
  hostNames: schema.hostNamesSection,
  apiVersions: schema.apiVersionsSection,
  tenants: schema.tenantsSection,
  metrics: z.strictObject({ listen: listener.optional() }),
  audit: auditSectionWritten,
};

/** Sections that may stand there without a value, which means their defaults. */
const MAY_BE_EMPTY: readonly string[] = [
  'clientCas',
  'plugins',
  'limits',
  'log',
  'audit',
  'apiVersions',
  'tenants',
  'issuers',
  'hostNames',
];

/** The schema of draft 2020-12. */
export function settingsSchema(): Readonly<Record<string, unknown>> {
  const shape = Object.fromEntries(
    schema.KEYS.map((key) => {
      const section = MAY_BE_EMPTY.includes(key) ? SECTIONS[key].nullable() : SECTIONS[key];
      return [key, key === 'engine' ? section : section.optional()];
    }),
  );
  const made = z.toJSONSchema(z.strictObject(shape), { io: 'input', unrepresentable: 'any' });
  return { ...made, title: 'dockgate settings' };
}
