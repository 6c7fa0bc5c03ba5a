import { Server, ServerCredentials } from '@grpc/grpc-js';
import { Redis } from 'ioredis';
import { type HealthServer, HealthService } from '../../../src/gen/grpc/health/v1/health.js';

/** The least that a gRPC sidecar with Redis is: both libraries loaded, one service served, nothing done. */
const [socket = ''] = process.argv.slice(2);
const redis = new Redis({ lazyConnect: true });
const server = new Server();
const health: HealthServer = {
  check: (_call, answer) => answer(null, { status: 1 }),
  watch: (stream) => stream.end(),
};
server.addService(HealthService, health);
server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log('ready', redis.status);
});
