// Renders path and query again from their judged parameters: the text the caller sent never leaves the gateway.
import type { Target } from './types.ts';

/** Path and query for the request line; `classify` reads the same target from it. */
export function renderTarget(target: Pick<Target, 'operation' | 'apiVersion' | 'path' | 'query'>): string {
  const { operation, apiVersion, path, query } = target;
  let text = apiVersion === undefined ? '' : `/v${apiVersion}`;
  for (const part of operation.path.split('/').slice(1)) {
    text += part.startsWith('{') ? `/${encodePath(path[part.slice(1, -1)] ?? '')}` : `/${part}`;
  }
  let mark = '?';
  for (const name in query) {
    for (const value of query[name] as readonly string[]) {
      text += `${mark}${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
      mark = '&';
    }
  }
  return text;
}

/** Slashes of names that may hold them stay slashes; colons and at signs stay readable. */
const encodePath = (value: string): string =>
  /^[\w.:@/-]*$/.test(value)
    ? value
    : encodeURIComponent(value).replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%40/g, '@');
