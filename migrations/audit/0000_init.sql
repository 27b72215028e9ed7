CREATE TABLE `audit_event` (
	`seq` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`stage` text NOT NULL,
	`audit_id` text NOT NULL,
	`subject` text,
	`issuer` text,
	`tenant` text,
	`token_id` text,
	`source` text,
	`client` text,
	`action` text NOT NULL,
	`operation_id` text,
	`class` text,
	`api_version` text,
	`resource` text,
	`resource_id` text,
	`decision` text NOT NULL,
	`code` text,
	`rule` text,
	`policy_rev` text,
	`status` integer,
	`duration_us` integer,
	`bytes_in` integer,
	`bytes_out` integer,
	`detail` text NOT NULL,
	`prev` blob NOT NULL,
	`hash` blob NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_at` ON `audit_event` (`at`);--> statement-breakpoint
CREATE INDEX `audit_subject` ON `audit_event` (`subject`,`seq`);--> statement-breakpoint
CREATE INDEX `audit_call` ON `audit_event` (`audit_id`);--> statement-breakpoint
CREATE INDEX `audit_denied` ON `audit_event` (`seq`) WHERE decision <> 'allow';--> statement-breakpoint
CREATE TABLE `audit_meta` (
	`key` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
