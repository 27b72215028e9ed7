// The `clientCas` list: outside CAs whose client certificates are accepted, and whom they name.

import type { ClientCa } from '../identity/client-ca.ts';
import { type CertificateMapping, MAPPED_BY, mappingFault } from '../identity/map-certificate.ts';
import type { Fault, Path } from './document.ts';

/** One entry as it is written. */
export interface WrittenClientCa {
  readonly ca: string;
  readonly crl?: string | undefined;
  readonly map: readonly (Readonly<Partial<Record<(typeof MAPPED_BY)[number], string | undefined>>> & {
    readonly identity: string;
  })[];
}

/** @param existing absolute path of a file that must exist */
export const readClientCas = (
  entries: readonly WrittenClientCa[],
  existing: (path: string, at: Path) => string,
  faults: Fault[],
): ClientCa[] =>
  entries.map(({ ca, crl, map }, index) => ({
    ca: existing(ca, ['clientCas', index, 'ca']),
    ...(crl === undefined ? {} : { crl: existing(crl, ['clientCas', index, 'crl']) }),
    map: map.flatMap((entry, position) => {
      const at = ['clientCas', index, 'map', position];
      const [by, ...others] = MAPPED_BY.filter((kind) => entry[kind] !== undefined);
      if (by === undefined || others.length > 0) {
        faults.push({ path: at, message: `needs one of ${MAPPED_BY.join(', ')}; write one entry for each` });
        return [];
      }
      const mapping: CertificateMapping = { by, pattern: entry[by] ?? '', identity: entry.identity };
      const fault = mappingFault(mapping);
      if (fault !== undefined) {
        faults.push({ path: [...at, fault.at === 'identity' ? 'identity' : by], message: fault.message });
      }
      return [mapping];
    }),
  }));
