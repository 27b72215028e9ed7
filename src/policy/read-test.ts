// Reads one item of `tests:` in a policy document.
import { type Located, plainOf } from './located.ts';
import type { PolicyTest } from './policy.ts';
import { type Faults, readFields, readList, readMoment, readText, readTextMap, readWord } from './read-fields.ts';

export const TEST_KEYS = ['name', 'principal', 'request', 'objects', 'expect', 'code'] as const;
const PRINCIPAL_TEXTS = ['subject', 'issuer', 'tenant'] as const;
const PRINCIPAL_LISTS = ['groups', 'policies', 'scope'] as const;
export const PRINCIPAL_KEYS = [...PRINCIPAL_TEXTS, ...PRINCIPAL_LISTS, 'claims'] as const;
export const REQUEST_KEYS = ['method', 'path', 'body', 'source', 'at'] as const;
export const OBJECT_KEYS = ['resource', 'labels', 'body'] as const;
export const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD'] as const;

/** Reads one item of `tests`. */
export function readTest(node: Located, where: string, faults: Faults): PolicyTest | undefined {
  const fields = readFields(node, where, { known: TEST_KEYS }, faults);
  if (fields === undefined) return undefined;
  const nameNode = fields.get('name') ?? faults.add(node.at, `${where} has no name`);
  const name = nameNode === undefined ? undefined : readText(nameNode, `${where}.name`, faults, 200);
  const expectNode =
    fields.get('expect') ?? faults.add(node.at, `${where} has no expect; write expect: allow or expect: deny`);
  const expect =
    expectNode === undefined ? undefined : readWord(expectNode, `${where}.expect`, ['allow', 'deny'], faults);
  const codeNode = fields.get('code');
  const code = codeNode === undefined ? undefined : readText(codeNode, `${where}.code`, faults);
  const principal = readTestPrincipal(fields.get('principal'), `${where}.principal`, faults);
  const requestNode =
    fields.get('request') ??
    faults.add(node.at, `${where} has no request; write request: { method: GET, path: /info }`);
  const request = requestNode === undefined ? undefined : readTestRequest(requestNode, `${where}.request`, faults);
  const objectsNode = fields.get('objects');
  const objects =
    objectsNode === undefined
      ? undefined
      : readList(objectsNode, `${where}.objects`, faults, (n, w) => readTestObject(n, w, faults));
  if (name === undefined || expect === undefined || principal === undefined || request === undefined) return undefined;
  return {
    name,
    principal,
    request,
    expect,
    ...(code === undefined ? {} : { code }),
    ...(objects === undefined ? {} : { objects }),
    line: node.at.line,
  };
}

function readTestPrincipal(
  node: Located | undefined,
  where: string,
  faults: Faults,
): PolicyTest['principal'] | undefined {
  if (node === undefined) return {};
  const fields = readFields(node, where, { known: PRINCIPAL_KEYS }, faults);
  if (fields === undefined) return undefined;
  const principal: Record<string, unknown> = {};
  for (const key of PRINCIPAL_TEXTS) {
    const value = fields.get(key);
    if (value !== undefined) principal[key] = readText(value, `${where}.${key}`, faults);
  }
  for (const key of PRINCIPAL_LISTS) {
    const value = fields.get(key);
    if (value !== undefined)
      principal[key] = readList(value, `${where}.${key}`, faults, (n, w) => readText(n, w, faults));
  }
  const claims = fields.get('claims');
  if (claims !== undefined) principal.claims = plainOf(claims);
  return principal as PolicyTest['principal'];
}

function readTestRequest(node: Located, where: string, faults: Faults): PolicyTest['request'] | undefined {
  const fields = readFields(node, where, { known: REQUEST_KEYS }, faults);
  if (fields === undefined) return undefined;
  const methodNode =
    fields.get('method') ?? faults.add(node.at, `${where} has no method; write GET, POST, PUT, DELETE or HEAD`);
  const pathNode =
    fields.get('path') ?? faults.add(node.at, `${where} has no path; write one such as /containers/json`);
  const method = methodNode && readWord(methodNode, `${where}.method`, METHODS, faults);
  const path = pathNode && readText(pathNode, `${where}.path`, faults, 8192);
  const body = fields.get('body');
  const source = fields.get('source');
  const at = fields.get('at');
  if (method === undefined || path === undefined) return undefined;
  const sourceText = source && readText(source, `${where}.source`, faults);
  const moment = at && readMoment(at, `${where}.at`, faults);
  return {
    method,
    path,
    ...(body === undefined ? {} : { body: plainOf(body) }),
    ...(sourceText === undefined ? {} : { source: sourceText }),
    ...(moment === undefined ? {} : { at: moment }),
  };
}

function readTestObject(node: Located, where: string, faults: Faults) {
  const fields = readFields(node, where, { known: OBJECT_KEYS }, faults);
  const nameNode = fields?.get('resource');
  if (fields === undefined || nameNode === undefined)
    return faults.add(node.at, `${where} has no resource; write resource: container/web`);
  const text = readText(nameNode, `${where}.resource`, faults);
  if (text === undefined) return undefined;
  const slash = text.indexOf('/');
  if (slash <= 0 || slash === text.length - 1)
    return faults.add(
      nameNode.at,
      `${where}.resource is ${JSON.stringify(text)}; write KIND/NAME, such as container/web`,
    );
  const labelsNode = fields.get('labels');
  const labels = labelsNode === undefined ? {} : readTextMap(labelsNode, `${where}.labels`, faults);
  const body = fields.get('body');
  return {
    kind: text.slice(0, slash),
    name: text.slice(slash + 1),
    labels,
    ...(body === undefined ? {} : { body: plainOf(body) }),
  };
}
