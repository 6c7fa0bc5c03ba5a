import { status } from '@grpc/grpc-js';
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from '../gen/grpc/reflection/v1/reflection.js';
import type { DescriptorIndex } from './descriptor-index.js';
import { quoted } from './field-check.js';
import type { Router } from './router.js';

type Answer = ServerReflectionResponse['messageResponse'];

/** grpc.reflection.v1 over the descriptor set that buf built: what the protos said is what clients get. */
export const registerReflection = (router: Router, services: readonly string[]): void => {
  router.bidi(ServerReflectionService.serverReflectionInfo, async (requests, stream) => {
    const { descriptorIndex } = await import('./descriptor-index.js');
    const index = descriptorIndex();
    for await (const request of requests) {
      await stream.write({
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(index, services, request.messageRequest),
      });
    }
  });
};

const answer = (
  index: DescriptorIndex,
  services: readonly string[],
  request: ServerReflectionRequest['messageRequest'],
): Answer => {
  switch (request?.$case) {
    case 'listServices':
      return {
        $case: 'listServicesResponse',
        value: { service: services.map((name) => ({ name })) },
      };
    case 'fileByFilename':
      return files(index.fileByName(request.value), `file ${quoted(request.value)}`);
    case 'fileContainingSymbol':
      return files(index.fileOfSymbol(request.value), `symbol ${quoted(request.value)}`);
    case 'fileContainingExtension':
      return problem(status.NOT_FOUND, 'There are no extensions');
    case 'allExtensionNumbersOfType':
      return problem(status.NOT_FOUND, 'There are no extensions');
    case undefined:
      return problem(status.INVALID_ARGUMENT, 'The request names nothing to look up');
  }
};

const files = (found: readonly Uint8Array[] | null, what: string): Answer =>
  found === null
    ? problem(status.NOT_FOUND, `There is no ${what}`)
    : {
        $case: 'fileDescriptorResponse',
        value: { fileDescriptorProto: found.map((bytes) => Buffer.from(bytes)) },
      };

const problem = (errorCode: status, errorMessage: string): Answer => ({
  $case: 'errorResponse',
  value: { errorCode, errorMessage },
});
