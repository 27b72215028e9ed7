// Required labels and forbidden ones, wherever a call sets labels; beside each denial its nearest allowed neighbour.
import { describe } from 'node:test';
import { pluginTable, table } from '../support/plugin-table.ts';

const P = { required: { owner: 'team-[a-z]+' }, forbidden: ['com.example.'], kinds: ['container', 'service', 'build'] };
const create = 'POST /containers/create';
const box = (Labels?: object) => ({ Image: 'x', Labels });
const service = (Labels: object, inner: object = {}) => ({
  Name: 's',
  Labels,
  TaskTemplate: { ContainerSpec: { Image: 'x', Labels: inner } },
});
const build = (labels: object) => `POST /build?t=x&labels=${encodeURIComponent(JSON.stringify(labels))}`;

describe('label-policy', () => {
  table(pluginTable('label-policy'), [
    [create, box({ owner: 'team-red' }), P, 'pass'],
    [create, box(), P, 'label-missing'],
    [create, box({ Owner: 'team-red' }), P, 'label-missing'],
    [create, box({ owner: '' }), P, 'label-invalid'],
    [create, box({ owner: 'xteam-red' }), P, 'label-invalid'],
    [create, box({ owner: 'team-red\n' }), P, 'label-invalid'],
    [create, box({ owner: 'team-red', 'com.example.x': '1' }), P, 'label-forbidden'],
    [create, box({ owner: 'team-red', 'com.examples': '1' }), P, 'pass'],
    ['POST /volumes/create', { Name: 'v' }, P, 'pass'],
    ['POST /volumes/create', { Name: 'v', Labels: { 'com.example.x': '1' } }, P, 'label-forbidden'],
    ['POST /networks/create', { Name: 'n', Labels: { 'com.example.x': '1' } }, P, 'label-forbidden'],
    ['POST /networks/create', { Name: 'n', Labels: { x: '1' } }, P, 'pass'],
    ['POST /services/create', service({ owner: 'team-red' }), P, 'pass'],
    ['POST /services/create', service({}, { owner: 'team-red' }), P, 'label-missing'],
    ['POST /services/create', service({ owner: 'team-red' }, { 'com.example.x': '' }), P, 'label-forbidden'],
    [build({ owner: 'team-red' }), undefined, P, 'pass'],
    [build({}), undefined, P, 'label-missing'],
    [build({ owner: 'team-red', 'com.example.': '' }), undefined, P, 'label-forbidden'],
    [create, box(), {}, 'pass'],
  ]);
});
