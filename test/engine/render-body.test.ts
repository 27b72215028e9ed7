import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBody } from '../../src/engine/decode.ts';
import { renderBody } from '../../src/engine/render-body.ts';
import { bytesOf, containerCreate, JSON_TYPE, targetOf } from './targets.ts';

const target = containerCreate();
const rendered = (text: string): string => {
  const body = decodeBody(target, JSON_TYPE, bytesOf(text));
  return new TextDecoder().decode(renderBody({ operation: target.operation, body }));
};

const ROWS: readonly [name: string, received: string, sent: string][] = [
  [
    'canonical keys',
    '{"hostconfig":{"privileged":true,"Bind\u017f":["/:/h"]}}',
    '{"HostConfig":{"Privileged":true,"Binds":["/:/h"]}}',
  ],
  ['lists for strings', '{"HostConfig":{"CapAdd":"ALL"}}', '{"HostConfig":{"CapAdd":["ALL"]}}'],
  ['exact numbers', '{"HostConfig":{"Memory":9007199254740993}}', '{"HostConfig":{"Memory":9007199254740993}}'],
  ['no white space and no escapes without need', ' { "Image" : "\\u0062\\/" } ', '{"Image":"b/"}'],
  ['nothing for what sets nothing', '{"User":null,"Memory":0,"name":"x","Image":"a"}', '{"Image":"a"}'],
  [
    'null where it differs from the empty list',
    '{"HostConfig":{"MaskedPaths":null,"ReadonlyPaths":[]}}',
    '{"HostConfig":{"MaskedPaths":null,"ReadonlyPaths":[]}}',
  ],
  ['__proto__ as a key', '{"Labels":{"__proto__":"x"}}', '{"Labels":{"__proto__":"x"}}'],
  ['nothing for a field no engine reads', '{"Future":{"A":[1.5,1e30]}}', '{}'],
  [
    'unknown fields of a struct that reaches the host as they were',
    '{"HostConfig":{"Future":{"A":[1.5,1e30]}}}',
    '{"HostConfig":{"Future":{"A":[1.5,1e+30]}}}',
  ],
];

for (const [name, received, sent] of ROWS) {
  test(`renderBody() sends ${name}`, () => {
    assert.equal(rendered(received), sent);
    assert.equal(rendered(sent), sent);
  });
}

test('renderBody() has nothing to send without a body, and null where the body is null', () => {
  const commit = targetOf({ id: 'ImageCommit', body: 'ContainerConfig' });
  assert.equal(renderBody({ operation: commit.operation, body: undefined }), undefined);
  assert.deepEqual(renderBody({ operation: commit.operation, body: null }), bytesOf('null'));
});
