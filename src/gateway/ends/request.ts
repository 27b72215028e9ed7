// The request an engine is sent: everything in it comes from the judged value, but for the headers on the allow list.
import { renderTarget } from '../../engine/render-target.ts';
import type { Ending } from '../../proxy/ending.ts';
import { forwardedRequestHeaders } from '../../proxy/headers.ts';
import type { EngineRequest } from '../../proxy/types.ts';
import { buildTarget, judgedBuild } from '../builds/judged-build.ts';
import { watchedUpload } from '../shown-caller.ts';
import type { Recorded, Sent } from '../steps/values.ts';
import { noticed } from '../tenancy/upload.ts';
import { UploadDigests } from '../upload-digests.ts';

export function sentOf(recorded: Recorded, ending: Ending): Sent {
  const { call, arrival, seen, rendered, build } = recorded;
  const headers = forwardedRequestHeaders(arrival.rawHeaders, call);
  const method = call.operation.method;
  const target = build !== undefined ? buildTarget(call) : seen === undefined ? renderTarget(call) : seen.render(call);
  const lane = call.operation.waits ? 'stream' : 'call';
  if (call.opaque && arrival.body.present) {
    headers.push('Content-Type', 'application/x-tar');
    return uploadOf(recorded, { method, target, headers, lane }, ending);
  }
  if (rendered !== undefined) headers.push('Content-Type', 'application/json');
  const request = { method, target, headers, body: rendered, lane } as const;
  return Object.freeze({ ...recorded, request, uploads: undefined });
}

/** A body that streams through, past all that looks at it on its way. */
function uploadOf(recorded: Recorded, head: Omit<EngineRequest, 'body'>, ending: Ending): Sent {
  const { call, arrival, tenantCall, watch, build, decision } = recorded;
  const uploads = decision.obligations.audit === 'request-response' ? new UploadDigests() : undefined;
  const arriving = tenantCall?.archive?.body() ?? arrival.body.stream();
  const upload = uploads?.receiving(arriving) ?? arriving;
  const isWatched = watch?.watches('in') === true;
  const judged = build === undefined ? upload : judgedBuild(call, upload, { ...build, ending });
  const leaving = isWatched ? watchedUpload(judged, watch) : judged;
  const stream = uploads?.sending(leaving) ?? leaving;
  const body = tenantCall === undefined ? stream : noticed(stream, tenantCall);
  // Carried as it came; no reader on its way keeps it.
  const isUntouched = build === undefined && tenantCall === undefined && !isWatched && uploads === undefined;
  const request = isUntouched ? { ...head, body, givesUpChunks: arrival.body.ownsChunks === true } : { ...head, body };
  return Object.freeze({ ...recorded, request, uploads });
}
