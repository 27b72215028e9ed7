import { defineConfig } from 'drizzle-kit';

export default defineConfig({ dialect: 'sqlite', schema: './src/store/audit-schema.ts', out: './migrations/audit' });
