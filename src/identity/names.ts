// What an identity may be called: one rule for settings, admin API and command line.

/** Lower-case letters, digits, dot, underscore and hyphen; 1 to 63 characters. Safe in paths, audit rows and reasons. */
export const IDENTITY_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** The same rule in words, for messages. */
export const IDENTITY_NAME_RULE =
  'use 1 to 63 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit';

/** Tenants, groups, policies: what may follow in a `kind/name` and in `${principal.x}`. */
export const LABEL = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/;

/** The same rule in words, for messages. */
export const LABEL_RULE =
  'use 1 to 128 letters, digits, dot, underscore, colon, at and hyphen, beginning with a letter or digit';
