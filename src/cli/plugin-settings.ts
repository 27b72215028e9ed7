// Writes a plugin into a settings file; comments and the order of everything else stay.
import { readFileSync, writeFileSync } from 'node:fs';
import { isSeq, parseDocument } from 'yaml';
import type { PluginSetting } from '../admission/load.ts';
import { usageError } from './output.ts';

/** The same use under the same name is written over. @throws {CliError} when the file cannot be read */
export function addPlugin(file: string, setting: PluginSetting): void {
  const document = parseDocument(readFileSync(file, 'utf8'));
  const [fault] = document.errors;
  if (fault !== undefined) throw usageError(`${file} cannot be read: ${fault.message.split('\n')[0]}`);
  const entry = document.createNode(setting);
  const plugins = document.get('plugins');
  if (!isSeq(plugins)) document.set('plugins', document.createNode([setting]));
  else {
    const old = plugins.items.findIndex((item) => {
      const { use, name } = (item as { toJSON(): { use?: string; name?: string } }).toJSON();
      return use === setting.use && name === setting.name;
    });
    if (old >= 0) plugins.items[old] = entry;
    else plugins.items.push(entry);
  }
  writeFileSync(file, document.toString());
}
