// An event as one line of JSON, also for readers that end lines at more than a line feed: next line, line and paragraph separators, which
// JSON leaves as they are, are escaped. Without it a caller could write what looks like a line of its own.

const LINE_ENDS = /[\u0085\u2028\u2029]/g;

export const jsonLine = (value: object): string => {
  const text = JSON.stringify(value);
  return text.search(LINE_ENDS) >= 0
    ? text.replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : text;
};
