CREATE TABLE `identity` (
	`name` text PRIMARY KEY NOT NULL,
	`tenant` text,
	`groups` text NOT NULL,
	`policies` text NOT NULL,
	`disabled` integer NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `policy_document` (
	`name` text NOT NULL,
	`revision` integer NOT NULL,
	`kind` text NOT NULL,
	`source` text NOT NULL,
	`deleted` integer NOT NULL,
	`at` integer NOT NULL,
	`by` text NOT NULL,
	PRIMARY KEY(`name`, `revision`)
);
--> statement-breakpoint
CREATE INDEX `policy_document_revision` ON `policy_document` (`revision`);--> statement-breakpoint
CREATE TABLE `setting` (
	`key` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `signing_key` (
	`kid` text PRIMARY KEY NOT NULL,
	`algorithm` text NOT NULL,
	`private_jwk` text NOT NULL,
	`public_jwk` text NOT NULL,
	`state` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `token` (
	`id` text PRIMARY KEY NOT NULL,
	`identity` text NOT NULL,
	`scope` text,
	`issued_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`revoked_at` integer,
	`issued_by` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `token_identity` ON `token` (`identity`);--> statement-breakpoint
CREATE INDEX `token_revoked` ON `token` (`revoked_at`);