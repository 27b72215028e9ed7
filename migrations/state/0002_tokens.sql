CREATE TABLE `credential` (
	`id` text PRIMARY KEY NOT NULL,
	`identity` text NOT NULL,
	`hash` text NOT NULL,
	`scope` text,
	`authorization_details` text,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`revoked_at` integer,
	`created_by` text NOT NULL,
	`last_used_at` integer,
	`uses` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `credential_hash_unique` ON `credential` (`hash`);--> statement-breakpoint
CREATE INDEX `credential_identity` ON `credential` (`identity`);--> statement-breakpoint
CREATE TABLE `token_use` (
	`token_id` text PRIMARY KEY NOT NULL,
	`last_used_at` integer NOT NULL,
	`calls` integer NOT NULL,
	`denials` integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE `identity` ADD `max_ttl_ms` integer;--> statement-breakpoint
ALTER TABLE `signing_key` ADD `state_at` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `token` ADD `authorization_details` text;--> statement-breakpoint
ALTER TABLE `token` ADD `ancestors` text;--> statement-breakpoint
UPDATE `signing_key` SET `state_at` = `created_at`;
