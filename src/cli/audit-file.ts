// An audit database read without a gateway: the routes of the admin API over the file, as an operator asks them. Nothing is recorded.
import { Hono } from 'hono';
import type { AdminEnv } from '../admin/app.ts';
import { mountAuditReportRoutes } from '../admin/audit-report-routes.ts';
import { mountAuditListRoutes } from '../admin/audit-routes.ts';
import { createAuditServices } from '../admin/audit-services.ts';
import { problemOf } from '../admin/problems.ts';
import { LOCAL_OPERATOR } from '../admin/services.ts';
import { openReview } from '../store/review.ts';

/** Takes all steps of an answer at once: no other question waits. */
function whole<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/**
 * @param file an audit.db of this release
 * @returns answers `GET` of a path below the prefix of the admin API, such as `/audit?subject=ci`
 */
export function auditOfFile(file: string): (path: string) => Promise<{ status: number; text: string }> {
  const review = openReview(file);
  const services = {
    ...createAuditServices({
      reader: {
        list: async (filter) => review.audit.list(filter),
        byAuditId: async (id) => review.audit.byAuditId(id),
        startingWith: async (start) => review.audit.startingWith(start),
        page: async (question) => whole(review.pages.page(question)),
      },
      reports: {
        count: async (question) => whole(review.reports.count(question)),
        timeline: async (question) => whole(review.reports.timeline(question)),
        uses: async (since) => whole(review.reports.uses(since)),
      },
      recorder: { append: () => {} },
      newAuditId: () => '',
      now: () => Date.now(),
    }),
    now: () => Date.now(),
    listAudit: async (filter: Parameters<typeof review.audit.list>[0]) => review.audit.list(filter),
  };
  const app = new Hono<AdminEnv>();
  app.use('*', async (c, next) => {
    c.set('context', { by: LOCAL_OPERATOR, auditId: '' });
    await next();
  });
  app.onError((error, c) => {
    const problem = problemOf(error, c.req.path, '');
    return new Response(JSON.stringify(problem), { status: problem.status });
  });
  mountAuditReportRoutes(app, services);
  mountAuditListRoutes(app, services);
  return async (path) => {
    const answer = await app.request(path);
    return { status: answer.status, text: await answer.text() };
  };
}
