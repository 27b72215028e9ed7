CREATE TABLE `ledger_meta` (
	`key` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `ledger_object` (
	`key` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`id` text NOT NULL,
	`name` text NOT NULL,
	`tenant` text NOT NULL,
	`owner` text NOT NULL,
	`token_id` text,
	`audit_id` text NOT NULL,
	`state` text NOT NULL,
	`created_at` integer NOT NULL,
	`removed_at` integer,
	`replaced_by` text,
	`parent` text,
	`engine_created_at` text,
	`is_pulled` integer DEFAULT false NOT NULL,
	`share` text,
	`lease_until` integer,
	`is_running` integer DEFAULT false NOT NULL,
	`is_common` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX `ledger_tenant` ON `ledger_object` (`tenant`,`kind`);--> statement-breakpoint
CREATE INDEX `ledger_removed` ON `ledger_object` (`state`,`removed_at`);