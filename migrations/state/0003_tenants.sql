CREATE TABLE `tenant` (
	`name` text PRIMARY KEY NOT NULL,
	`description` text,
	`quota` text NOT NULL,
	`identity_quota` text NOT NULL,
	`defaults` text NOT NULL,
	`created_at` integer NOT NULL
);
