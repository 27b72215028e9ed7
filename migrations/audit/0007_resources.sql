CREATE TABLE `audit_alias` (
	`id_no` integer NOT NULL,
	`name_no` integer NOT NULL,
	`first_seq` integer NOT NULL,
	PRIMARY KEY(`id_no`, `name_no`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `audit_alias_name` ON `audit_alias` (`name_no`);--> statement-breakpoint
CREATE TABLE `audit_name` (
	`name_no` integer PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`name` text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `audit_name_name` ON `audit_name` (`name`,`kind`);--> statement-breakpoint
CREATE TABLE `audit_resource` (
	`name_no` integer NOT NULL,
	`seq` integer NOT NULL,
	PRIMARY KEY(`name_no`, `seq`)
) WITHOUT ROWID;
--> statement-breakpoint
ALTER TABLE `audit_event` ADD `actor` text;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `plugin_gen` integer;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `engine` text;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `gateway` text;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `body_sha256` text;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `sent_sha256` text;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `outcome` text;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `session` text;--> statement-breakpoint
ALTER TABLE `audit_event` ADD `resources` text;--> statement-breakpoint
INSERT OR IGNORE INTO `audit_meta` (`key`, `value`) SELECT 'indexed-after', CAST(coalesce(max(`seq`), 0) AS TEXT) FROM `audit_event`;
